"""However a path of a run file is spelled, it comes out in one way."""

from pathlib import Path

import pytest

from anatomical_embedding.settings.one_spelling import one_spelling


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """Work in `tmp/near/run`, with scans in it, beside it and elsewhere, and links to some of them."""
    for name in ("near/run/scans", "near/run/-scans", "near/beside/scans", "far/scans", "far/{scans}"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link_to_run").symlink_to(tmp_path / "near" / "run")
    (tmp_path / "near" / "run" / "link").symlink_to(tmp_path / "far" / "scans")
    monkeypatch.chdir(tmp_path / "near" / "run")
    return tmp_path


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("scans", "scans"),
        ("./scans/", "scans"),
        ("{tmp}/near/run/scans", "scans"),
        ("{tmp}/near/beside/../run/scans", "scans"),
        ("{tmp}/link_to_run/scans", "scans"),
        ("../beside/scans", "../beside/scans"),
        ("{tmp}/near/beside/scans", "../beside/scans"),
        ("{tmp}/near/run", "."),
        ("{tmp}/far/scans", "{tmp}/far/scans"),
        ("../../far/scans", "{tmp}/far/scans"),
        ("link", "link"),  # what it leads to is told by the state of the files
        ("link/../scans", "link/../scans"),  # that of the folder that the link leads to
        ("{tmp}/near/run/-scans", "{tmp}/near/run/-scans"),  # an option, if it came first
        ("absent", "absent"),
    ],
)
def test_spellings(run_folder, spelled, expected):
    assert str(one_spelling(Path(spelled.format(tmp=run_folder)))) == expected.format(tmp=run_folder)


def test_braces_that_only_the_absolute_path_has(run_folder, monkeypatch):
    (run_folder / "{far}" / "a" / "run").mkdir(parents=True)
    (run_folder / "{far}" / "scans").mkdir()
    monkeypatch.chdir(run_folder / "{far}" / "a" / "run")
    assert one_spelling(Path("../../scans")) == Path("../../scans")
