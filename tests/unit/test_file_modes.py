"""Every kind of output is readable as the user's umask says: colleagues on a shared disk read weights and stores."""

import datetime
import json
import os

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from anatomical_embedding.cli.new import new
from anatomical_embedding.files import folder_written_atomically
from anatomical_embedding.follow.dicom_out import write_dicom_objects
from anatomical_embedding.follow.history import read_history
from anatomical_embedding.follow.record_tables import append_decision
from anatomical_embedding.follow.records import DecisionRow
from anatomical_embedding.points.named_points import NamedPoints, PointForm
from anatomical_embedding.points.points_file import write_carried_points, write_point_table
from anatomical_embedding.points.slicer_markups import write_markups
from anatomical_embedding.registration import pair_map
from anatomical_embedding.registration.program_files import PROGRAMS
from anatomical_embedding.training.resume_state import TrainingProgress, save_state
from tests.packaged_model import usage_sections
from tests.unit.test_dicom_registration import GRIDS, RIGID
from tests.unit.test_dicom_registration import written as written_registration
from tests.unit.test_follow_dicom import write_dicom_patient
from tests.unit.test_full_disk import WRITERS, a_checkpoint
from tests.unit.test_new_run import write_ct
from tests.unit.test_program_files import PAIR
from workflow_scripts import package_model


@pytest.fixture(params=[0o002, 0o027], ids=["the group may write", "the group may read"])
def expected_mode(request):
    """Set a umask, and return the mode that files have under it."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def write_state(path):
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    for step in (1, 2):  # the one before stays beside it
        save_state(
            path,
            fingerprint="f",
            progress=TrainingProgress(step=step),
            best_weights=network.state_dict(),
            network=network,
            optimizer=optimizer,
            scaler=scaler,
        )


def write_package(path):
    a_checkpoint(path.with_name("trained.safetensors"))
    checkpoint = ["--checkpoint", str(path.with_name("trained.safetensors"))]
    settings = ["--settings", json.dumps(usage_sections()), "--name", "a", "--modality", "ct"]
    package_model.main([*settings, *checkpoint, "--output", str(path)])


def write_folder(path):
    with folder_written_atomically(path) as folder:
        write_markups([[1.0, 2.0, 3.0]], ["a"], folder / "a.mrk.json")


def write_carried(form):
    """Return what writes points in the form that they came in."""
    points = NamedPoints(np.zeros((1, 3)), ("a",), form=PointForm(form, "lps"))
    return lambda path: write_carried_points(points, path, coordinates="ras")


def write_new_run(path):
    for number in range(20):
        write_ct(path.parent / "scans" / f"{number}.nii.gz")
    done = CliRunner().invoke(
        new, [str(path.parent / "scans"), "--output", str(path)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output


def write_decision(path):
    append_decision(
        DecisionRow(datetime.datetime.now(datetime.UTC), "A. Reader", 1, "v1", "accept", (1.0, 2.0, 3.0)),
        path,
    )


def write_for_programs(path):
    for name, program in PROGRAMS.items():
        if name != "dicom":
            program.write(PAIR, path / name)


def write_dicom_registration(path):
    written_registration(path, RIGID, GRIDS["oblique"])


def write_followed_dicom(path):
    pytest.importorskip("highdicom", reason="needs the extra dicom-out")
    write_dicom_patient(path)
    write_dicom_objects(read_history(path))
    assert {"week8.seg.dcm", "week8.sr.dcm"} <= {entry.name for entry in (path / "dicom").iterdir()}


MORE_WRITERS = [
    ("state", write_state),
    ("package.safetensors", write_package),
    ("markups", write_folder),
    ("points.fcsv", write_carried("fcsv")),
    ("points.mrk.json", write_carried("markups")),
    ("points.txt", write_carried("elastix")),
    ("points.pts", write_carried("elastix")),
    ("ants.csv", write_carried("ants")),
    ("run.yaml", write_new_run),
    ("decisions.csv", write_decision),
    ("programs", write_for_programs),
    ("registration", write_dicom_registration),
    ("patient", write_followed_dicom),
    ("points.csv", lambda path: write_point_table([[1.0, 2.0, 3.0]], ["a"], path, coordinates="ras")),
]


@pytest.fixture(autouse=True)
def built_program(binary, monkeypatch):
    """Let `deeds` be the one that was built for the tests."""
    monkeypatch.setattr(pair_map, "installed_program", lambda: binary)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write"), [*WRITERS, *MORE_WRITERS], ids=[name for name, _ in [*WRITERS, *MORE_WRITERS]]
)
def test_files_are_readable_as_the_umask_says(tmp_path, expected_mode, name, write):
    write(tmp_path / name)
    made = list(tmp_path.rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {expected_mode}
    assert {path.stat().st_mode & 0o666 for path in made if path.is_dir()} <= {expected_mode}
