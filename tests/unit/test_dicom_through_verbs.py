"""DICOM series given to the verbs."""

import numpy as np
import pytest

from anatomical_embedding import api
from anatomical_embedding.volumes.nifti import write_volume
from tests.command import refusal_of, run
from tests.oblique_scans import (
    fixture_folder,  # noqa: F401
    fixture_model,  # noqa: F401
)
from tests.packaged_model import body_scan, points_in, write_dicom_series
from tests.unit.samples import oblique_affine


@pytest.mark.slow
@pytest.mark.parametrize("numbered_backwards", [False, True])
@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_a_dicom_series_is_the_nifti_it_was_made_of(folder, model, tmp_path, numbered_backwards, flip):
    affine = oblique_affine((8.0, -12.0, 15.0), (4.0, 3.75, 4.25), (-31.7, 12.9, 211.3)) @ np.diag(
        [flip, 1, 1, 1]
    )
    volume = body_scan(offset_vox=(4, 2, 6), affine=affine)
    nifti = tmp_path / "scan.nii.gz"
    write_volume(volume, nifti)
    series = write_dicom_series(volume, tmp_path / "series", numbered_backwards=numbered_backwards)
    by_nifti, by_dicom = (api.embed_scan(model, path, modality=None) for path in (nifti, series))
    np.testing.assert_allclose(by_dicom.embedded.affine, by_nifti.embedded.affine, atol=1e-3)
    assert by_dicom.embedded.shape == by_nifti.embedded.shape
    differences = np.abs(
        by_dicom.embedded.fine.values.astype(float) - by_nifti.embedded.fine.values.astype(float)
    )
    assert differences.max() < 0.02
    asked = points_in(volume, count=5)
    there, itself = (
        api.match_points(model, by_nifti, other, asked).points_mm for other in (by_dicom, by_nifti)
    )
    assert np.median(np.linalg.norm(there - itself, axis=1)) < 0.1


@pytest.mark.parametrize(
    ("moved", "message"),
    [
        ({20: (0.0, 0.0, 1.0)}, "has unequal slice gaps: 5.250 mm between"),
        ({n: (0.0, 0.4 * n, 0.0) for n in range(42)}, "was acquired with a gantry tilt of 5.4"),
    ],
    ids=["gap", "tilt"],
)
def test_slices_on_no_straight_grid_are_straightened_and_the_store_says_so(
    folder, model, tmp_path, moved, message
):
    volume = body_scan(offset_vox=(4, 2, 6), affine=np.diag([-4.0, -4.0, 4.25, 1.0]))
    series = write_dicom_series(volume, tmp_path / "series", moved_slices_mm=moved)
    assert not run(
        ["embed", series, "--checkpoint", folder / "tiny.safetensors", "--output", tmp_path / "out"]
    )
    remark = api.open_embedding(model, tmp_path / "out" / "series.safetensors").remarks[0]
    assert remark.startswith(f"{series}: ") and message in remark
    assert "resampled onto a straight grid" in remark


def test_a_gap_that_is_too_large_is_refused(folder, tmp_path, capsys):
    volume = body_scan(offset_vox=(4, 2, 6), affine=np.diag([-4.0, -4.0, 4.25, 1.0]))
    series = write_dicom_series(volume, tmp_path / "series")
    for number in (20, 21):
        (series / f"slice_{number:03d}.dcm").unlink()
    arguments = ["embed", series, "--checkpoint", folder / "tiny.safetensors", "--output", tmp_path / "out"]
    refusal = refusal_of(capsys, arguments)
    assert f"{series}: has unequal slice gaps: 12.750 mm between" in refusal
    assert not list(tmp_path.glob("out/*"))
    assert not run([*arguments, "--largest-gap", "13"])


def damaged_series(folder, damage):
    """Return a series of which one file is damaged."""
    series = write_dicom_series(
        body_scan(offset_vox=(4, 2, 6), affine=np.diag([-4.0, -4.0, 4.25, 1.0])), folder / "series"
    )
    middle = series / "slice_020.dcm"
    content = middle.read_bytes()
    middle.write_bytes(damage(content))
    return series


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: content[:-100], "is cut short: 3596 of 3696 bytes of pixels"),
        (lambda content: content[: len(content) // 2], "is cut short: "),
        (lambda content: b"no DICOM at all", "looks like a slice of the series, but is "),
        (lambda content: b"", "looks like a slice of the series, but is "),
    ],
    ids=["end missing", "cut off", "other file", "empty"],
)
def test_a_damaged_series_is_refused_and_the_file_named(folder, tmp_path, capsys, damage, problem):
    series = damaged_series(tmp_path, damage)
    arguments = ["embed", series, "--checkpoint", folder / "tiny.safetensors", "--output", tmp_path / "out"]
    refusal = refusal_of(capsys, arguments)
    assert f"{series / 'slice_020.dcm'}: {problem}" in refusal
    assert not list(tmp_path.glob("out/*"))
