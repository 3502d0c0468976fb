"""What stands round the registration program: start, overlap of organs, settings, and the section of the report."""

import json
import math

import numpy as np
import pytest
from pydantic import ValidationError

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.evaluation.registration.landmark_errors import (
    measure_errors,
    write_registration_errors,
)
from anatomical_embedding.evaluation.registration.organ_overlap import (
    OrganOverlap,
    PairOverlap,
    measure_organs,
    read_pair_overlap,
    write_pair_overlap,
)
from anatomical_embedding.index_file import IndexRow, write_index
from anatomical_embedding.registration.correspondences import Correspondences, write_correspondences
from anatomical_embedding.registration.displacement_field import DisplacementField, write_field
from anatomical_embedding.registration.guided_start import GuidedStart, write_start
from anatomical_embedding.registration.starting_position import on_fixed_grid
from anatomical_embedding.report.inputs import ReportInputs
from anatomical_embedding.report.registration_inputs import read_pair_results
from anatomical_embedding.report.results_csv import results_table
from anatomical_embedding.report.sections.registrations import checkerboard, registrations
from anatomical_embedding.settings.registration import RegistrationSettings
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.registration_pairs import LINEAR, deeds_content
from tests.unit.test_robust_fit import fit_settings

RAS = np.diag([2.0, 2.0, 2.0, 1.0])
LPS = np.array([[-4.0, 0, 0, 100], [0, -4.0, 0, 90], [0, 0, 4.0, 0], [0, 0, 0, 1]])


def moved(affine, *, x_mm):
    shifted = affine.copy()
    shifted[0, 3] += x_mm
    return shifted


# The start


def ramp(shape, affine):
    """Return a volume whose values are the x of its voxels in world mm."""
    points = np.stack(np.indices(shape), axis=-1).reshape(-1, 3)
    world = points @ affine[:3, :3].T + affine[:3, 3]
    return Volume(world[:, 0].reshape(shape).astype(np.float32), affine)


def test_world_start_keeps_world_coordinates():
    fixed = ramp((10, 8, 6), moved(RAS, x_mm=4))
    start = on_fixed_grid(ramp((20, 9, 7), RAS), fixed, start="world", is_label=False, fill_value=-1)
    np.testing.assert_allclose(start.array, fixed.array, atol=1e-4)
    np.testing.assert_array_equal(start.affine, fixed.affine)


def test_centre_start_lays_the_centres_on_one_another():
    """Centres in x: fixed 4 + 9 = 13 mm, moving 19 mm; every fixed voxel so reads what lies 6 mm further."""
    fixed = ramp((10, 8, 6), moved(RAS, x_mm=4))
    moving = ramp((20, 8, 6), RAS)
    start = on_fixed_grid(moving, fixed, start="centres", is_label=False, fill_value=-1)
    np.testing.assert_allclose(start.array, fixed.array + 6, atol=1e-4)
    np.testing.assert_array_equal(start.affine, fixed.affine)


def test_start_fills_where_the_moving_volume_does_not_reach_and_keeps_labels():
    labels = Volume(np.full((4, 4, 4), 7, np.uint8), RAS)
    fixed = Volume(np.zeros((8, 4, 4), np.uint8), RAS)
    start = on_fixed_grid(labels, fixed, start="world", is_label=True, fill_value=0)
    assert np.all(start.array[:4] == 7) and np.all(start.array[4:] == 0)
    assert start.array.dtype.kind in "iu"


# Overlap


EVERYWHERE = np.ones((12, 12, 4), dtype=bool)


def rods(*starts):
    """Return labels 1, 2, ... as rods of 4 x 2 x 2 voxels that begin at the given x; None leaves one out."""
    array = np.zeros((12, 12, 4), np.uint8)
    for label, start in enumerate(starts, start=1):
        if start is not None:
            array[start : start + 4, 3 * label : 3 * label + 2, 1:3] = label
    return Volume(array, RAS)


def test_overlap_of_organs_by_hand():
    """Of four voxels along x three are common after one step, two after two, and so on: Dice 3/4, 1/2, 1/4."""
    organs = measure_organs(
        rods(3, 5, None), rods(1, 2, None), rods(2, 2, None), is_shared=EVERYWHERE, organs=["a", "b", "c"]
    )
    assert [(organ.organ, organ.dice_before, organ.dice_after) for organ in organs] == [
        ("a", 0.75, 0.75),
        ("b", 0.25, 1.0),
        ("c", None, None),
    ]
    assert organs[1].mean_distance_mm_after == 0.0 and organs[1].reason == ""
    assert organs[2].mean_distance_mm_after is None and organs[2].reason
    pair = PairOverlap("test", "f", "m", organs)
    assert pair.mean_dice == (0.5, 0.875)


def test_what_the_moving_volume_does_not_show_counts_for_nothing():
    """Only x up to 3 is shared: one voxel of each rod that begins at 3, two of the one that begins at 2, Dice 2/3."""
    is_shared = EVERYWHERE & (np.arange(12) <= 3)[:, None, None]
    organs = measure_organs(rods(3, 8), rods(2, 1), rods(2, 8), is_shared=is_shared, organs=["a", "b"])
    assert organs[0].dice_before == pytest.approx(2 / 3)
    assert (organs[0].dice_after, organs[1].dice_before, organs[1].dice_after) == (1.0, None, 0.0)


def test_a_lost_organ_counts_as_zero():
    (organ,) = measure_organs(rods(2), rods(None), rods(2), is_shared=EVERYWHERE, organs=["a"])
    assert (organ.dice_before, organ.dice_after, organ.mean_distance_mm_after) == (1.0, 0.0, None)
    assert PairOverlap("test", "f", "m", (organ,)).mean_dice == (1.0, 0.0)
    apart = measure_organs(rods(0), rods(5), rods(5), is_shared=EVERYWHERE, organs=["a"])
    assert PairOverlap("test", "f", "m", apart).mean_dice == (0.0, 1.0)


def test_mean_of_nothing_is_not_a_number():
    missing = OrganOverlap("a", None, None, None, None, "neither volume has it")
    assert all(math.isnan(mean) for mean in PairOverlap("test", "f", "m", (missing,)).mean_dice)


def test_overlap_needs_one_grid():
    other = Volume(rods(2).array, moved(RAS, x_mm=1))
    with pytest.raises(UserError, match="grid"):
        measure_organs(rods(2), other, rods(2), is_shared=EVERYWHERE, organs=["a"])


def pair_overlap():
    organs = (
        OrganOverlap("liver", 0.5, 0.875, 1.25, 4.5, ""),
        OrganOverlap("<gland>", None, None, None, None, "neither volume has it"),
    )
    return PairOverlap("test", "f", "m", organs)


def test_overlap_file_round_trip(tmp_path):
    write_pair_overlap(pair_overlap(), tmp_path / "overlap.json")
    assert read_pair_overlap(tmp_path / "overlap.json") == pair_overlap()
    assert json.loads((tmp_path / "overlap.json").read_text(encoding="utf-8"))["organs"][0] == {
        "organ": "liver",
        "dice_before": 0.5,
        "dice_after": 0.875,
        "mean_distance_mm_after": 1.25,
        "p95_distance_mm_after": 4.5,
        "reason": "",
    }


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"organs": [{"organ": "a"}]}', '{"organs": [], "extra": 1}']
)
def test_other_files_are_no_overlap(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputFileError, match=r"other.json: is not the overlap of a registered pair"):
        read_pair_overlap(path)


# Settings


def section(**changes):
    return {"dataset": "ct", "pairs": [["a", "b"], ["b", "a"]], "deeds": deeds_content()} | changes


def test_settings_hold_pairs_and_levels():
    settings = RegistrationSettings.model_validate(section())
    assert settings.pairs == (("a", "b"), ("b", "a"))
    assert settings.deeds.grid_spacing_vox == (5, 4, 3)
    assert RegistrationSettings.model_validate(section(deeds=deeds_content(linear=None))).deeds.linear is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": [["a", "b"], ["a", "b"]]}, "names a pair twice"),
        ({"pairs": [["a", "a"]]}, "'a' with itself"),
        ({"pairs": []}, "at least 1 item"),
        ({"dataset": ""}, "at least 1 character"),
        ({"deeds": deeds_content(quantization_vox=[1])}, "one entry per level, got 3, 3 and 1"),
        ({"deeds": deeds_content(linear=LINEAR | {"search_radius": [1]})}, "got 2, 1 and 2"),
        ({"deeds": deeds_content(linear=LINEAR | {"kind": "bent"})}, "'affine' or 'rigid'"),
        ({"deeds": deeds_content(grid_spacing_vox=[5, 4, 17])}, "less than or equal to 16"),
        ({"deeds": deeds_content(search_radius=[0, 1, 1])}, "greater than or equal to 1"),
        ({"deeds": deeds_content(alpha=0)}, "greater than 0"),
        ({"deeds": deeds_content(start="somewhere")}, "'world' or 'centres'"),
        ({"deeds": deeds_content(speed=1)}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ValidationError, match=message):
        RegistrationSettings.model_validate(section(**changes))


# Report


def test_checkerboard_takes_volumes_in_turn():
    """Cubes of 4 mm are two voxels of 2 mm; the sum of the three cube numbers decides."""
    first, second = (Volume(np.full((5, 4, 4), value, np.int16), RAS) for value in (1, 2))
    board = checkerboard(first, second, tile_mm=4.0)
    assert board.array[:, 0, 0].tolist() == [1, 1, 2, 2, 1]
    assert board.array[:, 2, 0].tolist() == [2, 2, 1, 1, 2]
    assert board.array[:, 2, 2].tolist() == [1, 1, 2, 2, 1]
    np.testing.assert_array_equal(board.affine, RAS)


def index_row(folder, volume_id, *, modality, generator):
    """Write a volume with its body mask and return its index row."""
    shape = (24, 20, 22)
    image_path, mask_path = folder / f"{volume_id}.nii", folder / f"{volume_id}.body_mask.nii"
    write_volume(Volume(generator.integers(-900, 300, shape).astype(np.int16), LPS), image_path)
    write_volume(Volume(np.ones(shape, np.uint8), LPS), mask_path)
    return IndexRow(
        volume_id, "p", modality, "train", image_path, mask_path, None, "0" * 64, *shape, 4.0, 4.0, 4.0
    )


def write_pair(folder, *, is_guided):
    """Write the files of a registered pair and return its folder and the index of its data set."""
    generator = np.random.default_rng(0)
    volumes = folder / "volumes"
    volumes.mkdir(parents=True)
    rows = [
        index_row(volumes, name, modality=modality, generator=generator)
        for name, modality in (("f", "ct"), ("m", "mr"))
    ]
    write_index(rows, folder / "volumes" / "set.csv")
    pair = folder / "f__m"
    pair.mkdir()
    deformed = Volume(generator.integers(-900, 300, (20, 18, 22)).astype(np.int16), LPS)
    write_volume(deformed, pair / "pair_deformed.nii.gz")
    field = DisplacementField(np.zeros((20, 18, 22, 3), np.float32), LPS)
    write_field(field, pair / "displacement_field.nii.gz")
    write_pair_overlap(pair_overlap(), pair / "overlap.json")
    points = generator.uniform(20, 60, (30, 3))
    before = (
        {"body_boxes": np.eye(4), "affine": moved(np.eye(4), x_mm=3)} if is_guided else {"start": np.eye(4)}
    )
    errors = measure_errors(
        field, before=before, fixed_mm=points, moving_mm=points, is_headline=np.zeros(30, bool)
    )
    write_registration_errors(errors, pair / "errors.json")
    if is_guided:
        write_start(
            GuidedStart("failed", "5 correspondences, expected 8 or more", np.eye(4), 30, 30, 5, 0.0, 1.5),
            pair / "start.json",
        )
        ones = np.ones(30)
        found = Correspondences(points, points + 1.0, generator.uniform(0.5, 1, 30), ones, ones > 0)
        write_correspondences(found, pair / "correspondences.csv")
    return pair, folder / "volumes" / "set.csv"


GUIDE = {
    "model": "sam",
    "grid": {"spacing_mm": [24, 24, 24], "min_similarity": 0.6, "max_return_distance_mm": None},
    "fit": fit_settings().model_dump(mode="json"),
}


def read_written(folder, *, is_guided=False, **changes):
    pair, index = write_pair(folder, is_guided=is_guided)
    guide = {"guide": GUIDE} if is_guided else {}
    settings = RegistrationSettings.model_validate(section(**guide, **changes))
    return read_pair_results([pair], [index], settings={"test": settings})


def inputs_with(pairs):
    return ReportInputs(
        evaluations=[],
        trainings=[],
        stage_times=None,
        settings={},
        versions={},
        registrations=pairs,
        trackings=[],
        manifests=[],
    )


def test_report_shows_before_and_after_and_every_organ(tmp_path):
    pairs = read_written(tmp_path, deeds=deeds_content(start="centres"))
    assert pairs[0].lay_at == "centres"
    page = registrations(inputs_with(pairs))
    assert page.count("<h3") == 1 and "test: m onto f" in page
    assert page.index(">Before<") < page.index(">After deeds<")
    assert page.count("data:image/png;base64,") == 3 * 3
    assert "Registration test: 1 pairs; median landmark error before 0.0 mm, deformable 0.0 mm." in page
    for shown in (">0.500<", ">0.875<", ">1.2<", ">4.5<", "&lt;gland&gt;", "neither volume has it", ">mean<"):
        assert shown in page
    assert "<gland>" not in page and "None" not in page and ">nan<" not in page


def test_report_shows_why_a_guided_pair_failed_and_its_matches(tmp_path):
    page = registrations(inputs_with(read_written(tmp_path, is_guided=True)))
    assert "Registration test: 1 pairs, 1 failed; median landmark error bodies centred 0.0 mm" in page
    assert ">failed: 5 correspondences, expected 8 or more<" in page
    assert page.count("data:image/png;base64,") == 5 * 3
    assert page.count('class="arrow agrees"') == 3 * 30
    assert ">After the start found by the embeddings<" in page
    assert "residuals of the start" in page and ">nan<" not in page


def test_results_table_holds_the_errors_of_every_step(tmp_path):
    table = results_table(inputs_with(read_written(tmp_path, is_guided=True)))
    rows = table[(table["kind"] == "registration") & (table["metric"] == "median_mm")]
    assert dict(zip(rows["method"], rows["value"], strict=True)) == {
        "body_boxes": 0.0,
        "affine": 3.0,
        "deformable": 0.0,
    }
    assert set(rows["num_failed"]) == {1}
    assert set(rows["num"]) == {30}


def test_report_without_registrations_has_no_such_section():
    assert registrations(inputs_with([])) is None


def test_pairs_of_an_unknown_registration_are_refused(tmp_path):
    pair, index = write_pair(tmp_path, is_guided=False)
    with pytest.raises(InputFileError, match=r"overlap\.json: is of the registration 'test'"):
        read_pair_results([pair], [index], settings={})
