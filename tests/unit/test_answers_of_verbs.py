"""What `match`, `propagate` and `embed` answer."""

import json

import numpy as np
import pytest
import SimpleITK

from anatomical_embedding import api
from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.stable_points import match_stable_points
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.command import output_of
from tests.oblique_scans import (
    fixture_folder,  # noqa: F401
    fixture_model,  # noqa: F401
)
from tests.packaged_model import points_in


def point(values):
    return ",".join(repr(float(value)) for value in values)


def match_arguments(folder, source, target, *more, checkpoint="tiny.safetensors"):
    pair = ["--from", folder / source, "--to", folder / target]
    return ["match", "--checkpoint", folder / checkpoint, *pair, *more]


def answers_of(capsys, arguments):
    return json.loads(output_of(capsys, [*arguments, "--json"]))["answers"]


@pytest.mark.slow
def test_a_scan_finds_itself(folder, capsys):
    asked = points_in(folder / "first.nii.gz", count=3)
    points = [word for values in asked for word in ("--point", point(values))]
    rows = answers_of(capsys, match_arguments(folder, "first.nii.gz", "first.nii.gz", *points))
    found = np.array([[row["x_mm"], row["y_mm"], row["z_mm"]] for row in rows])
    assert np.median(np.linalg.norm(found - asked, axis=1)) < 6.0  # the weights are random
    assert all(row["similarity"] > 0.7 for row in rows)


def test_an_oblique_scan_lies_where_its_prepared_file_does(folder, model, tmp_path):
    """The workflow reads prepared volumes from files, whose headers hold single precision."""
    embedded = api.embed_scan(model, folder / "oblique.nii.gz", modality="ct")
    write_volume(embedded.body_mask, tmp_path / "body.nii")
    read_again = read_volume(tmp_path / "body.nii", require_contrast=False)
    np.testing.assert_array_equal(embedded.embedded.affine, read_again.affine)


@pytest.mark.slow
def test_lps_numbers_come_and_go(folder, capsys):
    (asked,) = points_in(folder / "first.nii.gz", count=1)
    (ras,) = answers_of(
        capsys, match_arguments(folder, "first.nii.gz", "second.nii.gz", "--point", point(asked))
    )
    flipped = point(asked * [-1, -1, 1])
    arguments = match_arguments(
        folder, "first.nii.gz", "second.nii.gz", "--point", flipped, "--coordinates", "lps"
    )
    (lps,) = answers_of(capsys, arguments)
    assert lps["x_mm"] == pytest.approx(-ras["x_mm"])
    assert lps["y_mm"] == pytest.approx(-ras["y_mm"])
    assert lps["z_mm"] == pytest.approx(ras["z_mm"])


def test_a_store_answers_as_its_scan(folder, capsys):
    (asked,) = points_in(folder / "first.nii.gz", count=1)
    by_scan, by_store = (
        answers_of(capsys, match_arguments(folder, source, "second.nii.gz", "--point", point(asked)))[0]
        for source in ("first.nii.gz", "stores/first.safetensors")
    )
    assert by_store["similarity"] == pytest.approx(by_scan["similarity"], abs=2e-3)


def test_the_similarity_map_opens_and_peaks_at_the_answer(folder, tmp_path, capsys):
    (asked,) = points_in(folder / "first.nii.gz", count=1)
    path = tmp_path / "map.nii.gz"
    arguments = match_arguments(
        folder, "first.nii.gz", "first.nii.gz", "--point", point(asked), "--similarity-map", path
    )
    answers_of(capsys, arguments)
    shown = read_volume(path)
    peak = shown.world_from_voxel(np.array([np.unravel_index(shown.array.argmax(), shown.shape)]))[0]
    assert np.linalg.norm(peak - asked) < 10.0
    assert shown.array.max() <= 1.0 + 1e-5


def test_a_point_outside_the_body_is_for_review_and_one_outside_the_volume_fails(folder, capsys):
    scan = read_volume(folder / "first.nii.gz")
    inside = points_in(scan, count=1)[0]
    arguments = match_arguments(folder, "first.nii.gz", "second.nii.gz", "--point", point(inside))
    rows = answers_of(capsys, [*arguments, "--point", point(inside + np.array([5000, 0, 0]))])
    assert rows[1]["decision"] == "failed" and "outside" in rows[1]["reason"]


def test_stable_points_answer_as_the_library_does(folder, model, capsys):
    asked = points_in(folder / "first.nii.gz", count=2)
    points = [word for values in asked for word in ("--point", point(values))]
    arguments = match_arguments(folder, "first.nii.gz", "second.nii.gz", *points, "--method", "stable_points")
    rows = answers_of(capsys, arguments)
    first, second = (
        api.embed_scan(model, folder / f"{name}.nii.gz", modality="ct").searchable
        for name in ("first", "second")
    )
    expected = match_stable_points(
        first,
        second,
        asked,
        settings=model.card.usage.matching,
        stable_points=model.card.usage.methods["stable_points"],
    )
    found = np.array([[row["x_mm"], row["y_mm"], row["z_mm"]] for row in rows])
    np.testing.assert_allclose(found, expected.matches.points_mm, atol=1e-6)
    assert [row["cycle_error_mm"] for row in rows] == pytest.approx(expected.cycle_error_mm.tolist())
    assert [row["confidence"] for row in rows] == ["unknown", "unknown"]  # no evaluation told this model


def ball_labels(scan, *, centre_mm, radius_mm):
    """Return a mask of a ball on the grid of a scan."""
    voxels = np.indices(scan.shape).reshape(3, -1).T
    is_near = np.linalg.norm(scan.world_from_voxel(voxels) - centre_mm, axis=1) <= radius_mm
    return Volume(is_near.reshape(scan.shape).astype(np.uint8), scan.affine)


@pytest.mark.slow
def test_a_mask_is_carried_to_the_same_anatomy(folder, tmp_path, capsys):
    """The second scan is the first, cut elsewhere: by 2, 0 and 4 voxels, in a world of its own."""
    first, second = (read_volume(folder / f"{name}.nii.gz") for name in ("first", "second"))
    centre_vox = np.array([[20.0, 20.0, 22.0]])
    mask = ball_labels(first, centre_mm=first.world_from_voxel(centre_vox), radius_mm=16.0)
    write_volume(mask, tmp_path / "mask.nii.gz")
    arguments = [
        "propagate",
        "--checkpoint",
        folder / "tiny.safetensors",
        "--labels",
        tmp_path / "mask.nii.gz",
    ]
    arguments += ["--from", folder / "first.nii.gz", "--to", folder / "second.nii.gz"]
    printed = output_of(capsys, [*arguments, "--output", tmp_path / "carried.nii.gz", "--json"])
    (label,) = json.loads(printed)["labels"]
    assert label["label"] == 1
    assert (label["decision"], label["reason"]) == (
        "unknown",
        "the model holds no confidence for its matches",
    )
    carried = read_volume(tmp_path / "carried.nii.gz")
    assert carried.shape == second.shape
    place = second.world_from_voxel(centre_vox - [[2, 0, 4]])
    truth = ball_labels(second, centre_mm=place, radius_mm=16.0).array > 0
    assert (
        2 * (truth & (carried.array > 0)).sum() / (truth.sum() + (carried.array > 0).sum()) > 0.5
    )  # the weights are random
    read_by_itk = SimpleITK.ReadImage(str(tmp_path / "carried.nii.gz"))
    assert read_by_itk.GetSize() == second.shape
    said = output_of(capsys, [*arguments, "--output", tmp_path / "again.nii.gz"])
    assert said.startswith("label 1: unknown, ")


def test_the_library_refuses_scans_of_another_model(folder, model):
    scan = api.embed_scan(model, folder / "first.nii.gz", modality="ct")
    other = api.load_model(folder / "other.safetensors")
    point_mm = points_in(folder / "first.nii.gz", count=1)
    with pytest.raises(UserError, match="first was embedded by another model"):
        api.match_points(other, scan, scan, point_mm)
    with pytest.raises(UserError, match="first was embedded by another model"):
        api.map_similarity(other, scan, scan, point_mm[0])


def test_embedding_again_leaves_stores_alone(folder, capsys):
    store = folder / "stores" / "first.safetensors"
    before = store.stat().st_mtime_ns
    arguments = ["embed", folder / "first.nii.gz", "--checkpoint", folder / "tiny.safetensors"]
    (entry,) = json.loads(output_of(capsys, [*arguments, "--output", folder / "stores", "--json"]))
    assert entry["store"] == str(store)
    assert store.stat().st_mtime_ns == before
