"""`match --refine`: answers below a cell, told by the scans; and where that cannot be."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from anatomical_embedding import api
from anatomical_embedding.cli.match import match
from anatomical_embedding.errors import UserError
from anatomical_embedding.volumes.nifti import read_volume
from tests.packaged_model import points_in, write_model, write_two_scans

SECOND_FROM_FIRST_VOX = np.array([-2, 0, -4])
"""The two scans are windows of one anatomy that begin at voxels (2, 2, 2) and (4, 2, 6) of it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refined")
    write_model(folder)
    write_two_scans(folder)
    return folder


@pytest.fixture(scope="module")
def queries(folder):
    return points_in(folder / "first.nii.gz", count=12)


def test_a_scan_is_found_in_itself(folder, queries):
    model = api.load_model(folder / "tiny.safetensors")
    scan = api.embed_scan(model, folder / "first.nii.gz", modality="ct")
    coarse = api.match_points(model, scan, scan, queries)
    fine = api.match_points(model, scan, scan, queries, refine=True)
    coarse_mm, fine_mm = (np.linalg.norm(answers.points_mm - queries, axis=1) for answers in (coarse, fine))
    is_near = coarse_mm < 12  # random weights take another place for some
    assert is_near.sum() >= 8
    assert {fine.refined[row] for row in np.flatnonzero(is_near)} == {"yes"}
    assert fine_mm[is_near].max() < 0.2 < np.median(coarse_mm[is_near])
    np.testing.assert_allclose(
        fine.refinement_shift_mm, np.linalg.norm(fine.points_mm - coarse.points_mm, axis=1)
    )
    assert set(coarse.refined) == {""}
    assert (fine.decision, fine.reason) == (coarse.decision, coarse.reason)


def test_a_wrong_match_stays_as_it_was(folder, queries):
    model = api.load_model(
        folder / "tiny.safetensors"
    )  # random weights, which match little between two scans
    first, second = (
        api.embed_scan(model, folder / f"{name}.nii.gz", modality="ct") for name in ("first", "second")
    )
    volumes = [read_volume(folder / f"{name}.nii.gz") for name in ("first", "second")]
    truth = volumes[1].world_from_voxel(volumes[0].voxel_from_world(queries) + SECOND_FROM_FIRST_VOX)
    coarse = api.match_points(model, first, second, queries)
    fine = api.match_points(model, first, second, queries, refine=True)
    is_wrong = np.linalg.norm(coarse.points_mm - truth, axis=1) > 25
    assert is_wrong.sum() >= 3
    np.testing.assert_array_equal(fine.points_mm[is_wrong], coarse.points_mm[is_wrong])
    assert all("yes" not in fine.refined[row] and fine.refined[row] for row in np.flatnonzero(is_wrong))


def test_the_verb_says_what_was_refined(folder, queries):
    scan = folder / "first.nii.gz"
    arguments = ["--checkpoint", folder / "tiny.safetensors", "--from", scan, "--to", scan]
    arguments += ["--point", ",".join(map(repr, queries[0].tolist())), "--refine"]
    done = CliRunner().invoke(match, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    found = np.array([float(row[f"{axis}_mm"]) for axis in "xyz"])
    assert row["refined"] == "yes"
    assert float(row["refinement_shift_mm"]) > 0
    assert np.linalg.norm(found - queries[0]) < 0.2


def test_a_store_cannot_refine(folder):
    arguments = ["--checkpoint", folder / "tiny.safetensors", "--from", folder / "first.nii.gz"]
    arguments += ["--to", folder / "tiny.safetensors", "--point", "0,0,0", "--refine"]
    done = CliRunner().invoke(match, list(map(str, arguments)))
    assert done.exit_code == 2
    assert "tiny.safetensors is a store; name its scan" in done.output
    model = api.load_model(folder / "tiny.safetensors")
    scan = replace(api.embed_scan(model, folder / "first.nii.gz", modality="ct"), raw=None)
    with pytest.raises(UserError, match="name the scan itself to refine matches by it"):
        api.match_points(model, scan, scan, [[0, 0, 0]], refine=True)
