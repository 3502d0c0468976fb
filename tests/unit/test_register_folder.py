"""What `register` leaves in its folder."""

import csv
import json
import threading

import nibabel
import numpy as np
import pytest
import SimpleITK

from anatomical_embedding import api
from anatomical_embedding.files import held_folder
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.guided_start import GuidedStart
from anatomical_embedding.volumes.nifti import read_volume
from tests.command import refusal_of
from tests.packaged_model import points_in
from tests.scans_and_stores import (
    answer_and_notes,
    fixture_folder,  # noqa: F401
    model_of,
)


@pytest.fixture
def registration(binary, folder, monkeypatch):
    """Make two scans count as registered: the start moves by (10, -20, 30) mm, and nothing is deformed."""
    fixed, moving = (read_volume(folder / f"{name}.nii.gz") for name in ("first", "second"))
    matrix = np.eye(4)
    matrix[:3, 3] = (10.0, -20.0, 30.0)
    start = GuidedStart(
        status="found",
        reason="",
        matrix=matrix,
        num_queries=9,
        num_kept=9,
        num_inliers=9,
        confidence=1.0,
        median_residual_mm=1.0,
    )
    affine = fixed.affine.copy()
    field = DisplacementField(np.zeros((*fixed.shape, 3), np.float32), affine)
    found = api.ScanRegistration(start, field, fixed, moving, program=binary)
    monkeypatch.setattr(api, "register_scans", lambda *_, **__: found)
    return found


def register_arguments(folder, tmp_path, *more):
    program = tmp_path / "deeds"
    program.write_text("#!/bin/sh\necho deeds 0.2.0\n", encoding="utf-8")
    program.chmod(0o755)
    scans = [folder / "first.nii.gz", folder / "second.nii.gz"]
    return ["register", *scans, *model_of(folder), "--deeds", program, "--output", tmp_path / "out", *more]


@pytest.mark.usefixtures("registration")
def test_two_registrations_at_once_into_one_folder_are_refused(folder, tmp_path, capsys):
    """Each would read the images and fields that the other has written there for deeds."""
    refused = []
    with held_folder(tmp_path / "out"):
        arguments = register_arguments(folder, tmp_path)
        thread = threading.Thread(target=lambda: refused.append(refusal_of(capsys, arguments)))
        thread.start()
        thread.join()
    assert "out: another command is writing into it" in refused[0]
    assert not (tmp_path / "out").exists()


NAMES = ("lesion 1, left", 'two\nlines; "x"', "far")


@pytest.mark.slow
@pytest.mark.parametrize(("side", "sign"), [("fixed", 1.0), ("moving", -1.0)])
@pytest.mark.usefixtures("registration")
def test_register_carries_points_of_any_name_and_says_what_lies_outside(folder, tmp_path, capsys, side, sign):
    scan = folder / ("first.nii.gz" if side == "fixed" else "second.nii.gz")
    inside = points_in(scan, count=2)
    points = [*inside, inside[0] + [5000.0, 0.0, 0.0]]
    with (tmp_path / "points.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = [[*map(repr, map(float, point)), name] for point, name in zip(points, NAMES, strict=True)]
        csv.writer(stream).writerows([["x_mm", "y_mm", "z_mm", "name"], *rows, ["", "", "", "never placed"]])
    arguments = register_arguments(folder, tmp_path, "--points", tmp_path / "points.csv", "--points-of", side)
    found, notes = answer_and_notes(capsys, arguments)
    assert found["status"] == "found"
    assert found["remarks"] == notes
    assert [note.split(": ")[-1].split(scan.name)[0] for note in notes] == [
        "the point 'never placed' is left out, line 6 gives it no position",
        f"the point 'far' lies outside {scan.parent}/",
    ]
    with (tmp_path / "out" / "points.csv").open(newline="", encoding="utf-8") as stream:
        header, *table = csv.reader(stream)
    assert header == ["x_mm", "y_mm", "z_mm", "name", "doubt_mm", "decision", "reason"]
    assert [row[3] for row in table] == list(NAMES)
    carried = np.array([[float(cell) for cell in row[:3]] for row in table])
    np.testing.assert_allclose(carried, np.array(points) + sign * np.array([10.0, -20.0, 30.0]), atol=2e-6)
    other = nibabel.load(folder / ("second.nii.gz" if side == "fixed" else "first.nii.gz"))
    voxels = nibabel.affines.apply_affine(np.linalg.inv(other.affine), carried)
    is_shown = np.all((voxels >= -0.5) & (voxels <= np.array(other.shape) - 0.5), axis=1)
    assert not is_shown[2]
    assert [row[4:6] for row in table] == [["", "unknown" if shown else "out_of_view"] for shown in is_shown]


def test_what_was_registered_is_kept_when_the_image_cannot_be_written(folder, tmp_path, capsys, registration):
    (tmp_path / "out" / "warped.nii.gz").mkdir(parents=True)
    assert "warped.nii.gz: is a folder" in refusal_of(capsys, register_arguments(folder, tmp_path))
    output = tmp_path / "out"
    kept = sorted(path.name for path in output.iterdir() if path.is_file())
    assert kept == ["displacement_field.nii.gz", "forward.h5", "inverse.h5", "start.json"]
    start = json.loads((output / "start.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose(start["matrix"], registration.start.matrix)
    forward = SimpleITK.ReadTransform(str(output / "forward.h5"))
    np.testing.assert_allclose(forward.TransformPoint((0.0, 0.0, 0.0)), (-10.0, 20.0, 30.0), atol=1e-6)
