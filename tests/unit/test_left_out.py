"""Points and labels that are left out, and named."""

import json

import numpy as np
import pytest

from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.scans_and_stores import (
    POINT_MM,
    answer_and_notes,
    fixture_folder,  # noqa: F401
    model_of,
    stored,
)


def write_points(path, *positions, **left_out):
    """Write points RAS as Slicer does, and after them some with another status."""
    controls = [
        {"label": f"P{number}", "position": [-x, -y, z], "positionStatus": "defined"}
        for number, (x, y, z) in enumerate(positions)
    ]
    controls += [
        {"label": name, "position": [1, 2, 3], "positionStatus": status} for name, status in left_out.items()
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": controls}
    path.write_text(json.dumps({"markups": [markup]}), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mrk.json", "csv", "fcsv"])
def test_match_answers_the_points_that_were_placed_and_names_the_others(folder, tmp_path, capsys, kind):
    x, y, z = POINT_MM
    path = tmp_path / f"points.{kind}"
    if kind == "mrk.json":
        write_points(path, POINT_MM, Q="undefined")
        why = "its position is undefined"
    elif kind == "csv":
        path.write_text(
            f"x_mm;y_mm;z_mm;name\n{x:.1f};{y};{z};P0\n;;;Q\n".replace(".", ","), encoding="utf-8"
        )
        why = "line 3 gives it no position"
    else:
        head = "# Markups fiducial file version = 5.4\n# CoordinateSystem = LPS\n"
        rows = f"1,{-x},{-y},{z},0,0,0,1,1,1,0,P0,,,2,0\n2,1,2,3,0,0,0,1,1,1,0,Q,,,3,0\n"
        path.write_text(head + rows, encoding="utf-8")
        why = "its position is missing"
    arguments = [
        "match",
        *model_of(folder),
        "--from",
        stored(folder, "first"),
        "--to",
        stored(folder, "second"),
    ]
    found, notes = answer_and_notes(capsys, [*arguments, "--points", path])
    assert found["remarks"] == notes == [f"{path}: the point 'Q' is left out, {why}"]
    (row,) = found["answers"]
    assert row["name"] == "P0"
    assert [row[f"query_{axis}_mm"] for axis in "xyz"] == pytest.approx(POINT_MM, abs=1e-6)


@pytest.mark.slow
def test_a_label_outside_the_scan_is_left_out_and_said(folder, tmp_path, capsys):
    scan = read_volume(folder / "first.nii.gz")
    labels = np.zeros((60, *scan.shape[1:]), np.uint8)
    labels[30:40, 16:26, 16:26] = 1  # on a grid that begins 14 voxels before the scan: its voxels 16 to 25
    labels[4:8, 18:26, 18:26] = 2  # its voxels -10 to -7
    affine = scan.affine.copy()
    affine[:3, 3] -= 14 * scan.affine[:3, 0]
    write_volume(Volume(labels, affine), tmp_path / "labels.nii.gz")
    arguments = ["propagate", *model_of(folder), "--labels", tmp_path / "labels.nii.gz"]
    arguments += ["--from", stored(folder, "first"), "--to", stored(folder, "second")]
    found, notes = answer_and_notes(capsys, [*arguments, "--output", tmp_path / "carried.nii.gz"])
    by_label = {row["label"]: row for row in found["labels"]}
    assert (by_label[1]["outside_share"], by_label[2]["outside_share"]) == (0.0, 1.0)
    assert by_label[2]["decision"] == "failed"
    assert found["remarks"] == notes
    assert notes[-1] == "label 2 is left out, all of it lies outside the scan that it belongs to"
    assert 2 not in read_volume(tmp_path / "carried.nii.gz", require_contrast=False).array
