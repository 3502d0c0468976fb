"""A followed scan that is not where it was says so, and from where its path was meant."""

from dataclasses import replace
from pathlib import Path

import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.follow.history import read_history, read_scan_of
from anatomical_embedding.follow.recent_scans import RecentScans
from tests.followed_patient import write_followed


def test_a_path_is_meant_from_where_follow_ran(tmp_path, monkeypatch):
    visit = read_history(write_followed(tmp_path / "one").folder).record.visits[0]
    assert visit.scan.is_absolute()
    monkeypatch.chdir(visit.scan.parent)
    relative = replace(visit, scan=Path(visit.scan.name))
    assert read_scan_of(relative, RecentScans(1)).volume.shape == visit.shape
    monkeypatch.chdir("/")
    with pytest.raises(InputFileError, match=r"is not there; .* seen from the folder where `follow` ran"):
        read_scan_of(relative, RecentScans(1))
    with pytest.raises(InputFileError, match=r"is not there; .* was followed by this path$"):
        read_scan_of(replace(visit, scan=tmp_path / "gone.nii.gz"), RecentScans(1))
