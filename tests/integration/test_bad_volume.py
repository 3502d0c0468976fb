"""One bad scan in a folder: it names itself, the others are prepared, and once it is mended only it is made."""

import pytest

from tests.integration.tiny_workflow import planned_jobs, set_up, snakemake, write_scan

pytestmark = pytest.mark.slow

INDEX = "results/volumes/folder_ct.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad_volume")
    set_up(folder)
    bad = folder / "scans" / "scan_1.nii.gz"
    bad.write_bytes(bad.read_bytes()[:2000])
    return folder, snakemake(folder, "--keep-going", "--show-failed-logs", INDEX)


def test_the_run_fails_and_names_the_file_and_its_fault(run):
    folder, done = run
    assert done.returncode == 1
    log = (folder / "results/logs/resample_volume/folder_ct/scan_1.log").read_text(encoding="utf-8")
    for text in (done.stdout + done.stderr, log):
        assert "scans/scan_1.nii.gz" in text
        assert "cut short" in text
    assert "Traceback" not in log


def test_the_other_volumes_are_finished_and_nothing_is_left_of_the_bad_one(run):
    folder, _ = run
    prepared = {path.name for path in (folder / "results/volumes/folder_ct").iterdir()}
    assert prepared == {
        f"scan_{number}{suffix}" for number in (0, 2) for suffix in (".nii", ".body_mask.nii", ".json")
    }
    assert not (folder / INDEX).exists()


def test_a_mended_file_is_all_that_is_prepared_again(run):
    folder, _ = run
    write_scan(folder / "scans" / "scan_1.nii.gz", seed=1)
    assert planned_jobs(folder, INDEX) == {"resample_volume": 1, "index_dataset": 1}
