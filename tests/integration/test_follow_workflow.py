"""Lesions followed in the workflow: a new visit runs its own jobs, a corrected mask its report, faults none."""

import datetime
import os
import shutil

import numpy as np
import pytest

from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.record_tables import append_decision, read_lesions, read_measurements
from anatomical_embedding.follow.records import DecisionRow
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.integration.tiny_workflow import OVERLAY, planned_jobs, snakemake, write_overlay

pytestmark = pytest.mark.slow

HEADER = "patient,visit,date,scan,lesions\n"
ROWS = ["P1,v0,2026-01-05,scans/scan_0.nii.gz,lesions.nii.gz\n", "P1,v1,2026-03-05,scans/scan_1.nii.gz,\n"]
NEW_ROW = "P1,v2,2026-06-05,scans/scan_2.nii.gz,\n"
PATIENT = "results/followings/clinic/P1"


def plan(folder):
    """Return the jobs that are planned for the followed patient."""
    return planned_jobs(folder, f"{PATIENT}/report.html")


@pytest.fixture(scope="module")
def followed(tiny_run, tmp_path_factory):
    """Return a finished run with one patient followed over two visits."""
    folder = tmp_path_factory.mktemp("followed") / "run"
    shutil.copytree(tiny_run, folder)
    scan = read_volume(folder / "scans" / "scan_0.nii.gz")
    labels = np.zeros(scan.shape, dtype=np.uint8)
    labels[18:21, 18:21, 13:16] = 1
    write_volume(Volume(labels, scan.affine), folder / "lesions.nii.gz")
    (folder / "visits.csv").write_text(HEADER + "".join(ROWS), encoding="utf-8")
    write_overlay(
        folder,
        OVERLAY | {"followings": {"clinic": {"visits": "visits.csv", "model": "sam", "modality": "ct"}}},
    )
    done = snakemake(folder, "--keep-going", f"{PATIENT}/report.html")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_patient_is_followed(followed):
    place = FollowFolder(followed / PATIENT)
    assert [(row.visit, row.lesion) for row in read_lesions(place.lesions)] == [("v0", 1), ("v1", 1)]
    assert read_measurements(place.measurements)[0].volume_ml == pytest.approx(27 * 8.0**3 / 1000.0)
    assert plan(followed) == {}


def test_a_new_visit_runs_its_own_jobs(followed):
    table = followed / "visits.csv"
    before = table.read_text(encoding="utf-8")
    table.write_text(before + NEW_ROW, encoding="utf-8")
    assert plan(followed) == {"follow_visit": 1, "report_followed": 1}
    table.write_text(before, encoding="utf-8")


def test_a_corrected_mask_runs_its_report(followed):
    place = FollowFolder(followed / PATIENT)
    place.corrected("v1").parent.mkdir()
    shutil.copy(place.mask("v0"), place.corrected("v1"))
    assert plan(followed) == {"report_followed": 1}
    shutil.rmtree(place.corrected("v1").parent)


@pytest.mark.parametrize(
    "name", ["targets.csv", "decisions.csv", "corrected/v1.nii.gz", "corrected/notes.txt"]
)
def test_a_file_of_the_reader_that_comes_changes_or_goes_runs_the_report(followed, tmp_path, name):
    """Also one that is older than the report. The last name is that of no visit: the report says so."""
    folder = tmp_path / "run"
    shutil.copytree(followed, folder, symlinks=True)
    assert plan(folder) == {}
    path = folder / PATIENT / name
    path.parent.mkdir(exist_ok=True)
    masks = FollowFolder(folder / PATIENT).mask("v0")
    rows = {
        "targets.csv": b"lesion,organ,kind\n1,,lesion\n",
        "decisions.csv": b"time,name,lesion,visit,action,x_mm,y_mm,z_mm\n2026-03-31T09:30:00+00:00,A,1,v1,accept,,,\n",
        "corrected/v1.nii.gz": masks.read_bytes(),
        "corrected/notes.txt": b"mine",
    }
    path.write_bytes(rows[name])
    os.utime(path, (1e9, 1e9))
    assert plan(folder) == {"report_followed": 1}
    done = snakemake(folder, "--keep-going", f"{PATIENT}/report.html")
    assert done.returncode == 0, done.stdout + done.stderr
    assert plan(folder) == {}
    os.utime(path, (1.1e9, 1.1e9))
    assert plan(folder) == {"report_followed": 1}
    path.unlink()
    assert plan(folder) == {"report_followed": 1}


def test_a_decision_runs_the_report_and_a_moved_place_its_visit(followed):
    place = FollowFolder(followed / PATIENT)
    time = datetime.datetime(2026, 3, 31, 9, 30, tzinfo=datetime.UTC)
    for action in ("accept", "reject"):
        append_decision(DecisionRow(time, "reader", 1, "v1", action, (np.nan,) * 3), place.decisions)
        assert plan(followed) == {"report_followed": 1}
    append_decision(DecisionRow(time, "reader", 1, "v1", "move", (1.0, 2.0, 3.0)), place.decisions)
    assert plan(followed) == {"follow_visit": 1, "report_followed": 1}
    place.decisions.unlink()


def test_a_changed_threshold_follows_again(followed):
    following = {"visits": "visits.csv", "model": "sam", "modality": "ct", "present_probability": 0.6}
    write_overlay(followed, OVERLAY | {"followings": {"clinic": following}})
    assert plan(followed) == {"follow_visit": 2, "report_followed": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "P1,v2,2026-01-01,scans/scan_2.nii.gz,\n",
            "line 4: is of 2026-01-01, before visit v1 of 2026-03-05",
        ),
        ("P1,v2,2026-06-05,scans/scan_0.nii.gz,\n", "line 4: its scan is that of line 2"),
        ("P2,v0,2026-06-05,scans/scan_2.nii.gz,\n", "patient 'P2' has one visit"),
    ],
)
def test_a_fault_of_the_table_is_told_before_anything_runs(followed, row, message):
    (followed / "visits.csv").write_text(HEADER + "".join(ROWS) + row, encoding="utf-8")
    done = snakemake(followed, "--dry-run", f"{PATIENT}/report.html")
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
