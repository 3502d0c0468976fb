"""What a model card quotes."""

from workflow_scripts.package_model import last_row


def test_the_last_validation_is_quoted_without_its_time(tmp_path):
    """The time differs from run to run, and with it the bytes of the package would."""
    log = tmp_path / "validation_log.csv"
    log.write_text("step,seconds,median_mm\n10,1.5,9\n20,2.75,8.5\n", encoding="utf-8")
    assert last_row(log) == {"step": 20.0, "median_mm": 8.5}


def test_a_log_without_rows_gives_nothing(tmp_path):
    log = tmp_path / "validation_log.csv"
    log.touch()
    assert last_row(log) == {}
