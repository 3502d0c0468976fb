"""Registration end to end on a pair whose map is known: the command line of the stage, and the rule of the workflow."""

import json
import os
import shutil
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from anatomical_embedding.errors import UserError
from anatomical_embedding.evaluation.registration.organ_overlap import read_pair_overlap
from anatomical_embedding.registration.deformation import deform
from anatomical_embedding.registration.displacement_field import read_field
from anatomical_embedding.volumes.affine import spacing_from_affine, transform_points
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.nifti_geometry import largest_skew
from anatomical_embedding.volumes.volume import Volume
from tests.integration.tiny_workflow import OVERLAY, planned_jobs, set_up, snakemake, write_overlay
from tests.registration_pairs import AFFINE, ORGANS, KnownPair, deeds_content, deeds_settings, known_pair
from workflow_scripts import register_deeds

pytestmark = pytest.mark.slow

SPACING_MM = 2.5
INPUTS = ("fixed", "moving", "fixed_labels", "moving_labels")


@pytest.fixture(scope="module")
def pair() -> KnownPair:
    """Return the pair."""
    return known_pair()


def write_inputs(pair, folder, *, name):
    """Write the four volumes under the names that `name(side)` gives."""
    for side in INPUTS:
        path = folder / name(side)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(getattr(pair, side), path)


def arguments(program, folder, *, settings):
    return [
        *(
            "--settings",
            json.dumps({"deeds": settings, "organs": ORGANS, "modalities": ["ct", "ct"]}),
            "--program",
            str(program),
        ),
        *[word for side in INPUTS for word in (f"--{side.replace('_', '-')}", str(folder / f"{side}.nii"))],
        *("--names", "test", "f", "m", "--threads", "1", "--output-stem", str(folder / "out" / "pair")),
        *("--output-field", str(folder / "field.nii.gz"), "--output-overlap", str(folder / "overlap.json")),
    ]


@pytest.fixture(scope="module")
def registered(pair, binary, tmp_path_factory):
    """Return the folder of the pair after the stage."""
    folder = tmp_path_factory.mktemp("registered")
    write_inputs(pair, folder, name=lambda side: f"{side}.nii")
    register_deeds.main(arguments(binary, folder, settings=deeds_content()))
    return folder


def dice(first, second, label):
    return (
        2 * np.sum((first == label) & (second == label)) / (np.sum(first == label) + np.sum(second == label))
    )


def test_overlap_grows_and_is_that_of_the_files(registered, pair):
    overlap = read_pair_overlap(registered / "overlap.json")
    assert (overlap.registration, overlap.fixed, overlap.moving) == ("test", "f", "m")
    assert [organ.organ for organ in overlap.organs] == list(ORGANS)
    carried = read_volume(registered / "out/pair_deformed_seg.nii.gz", require_contrast=False)
    np.testing.assert_allclose(carried.affine, AFFINE, atol=1e-4)
    for label, organ in enumerate(overlap.organs, start=1):
        truth = pair.fixed_labels.array
        assert organ.dice_before == pytest.approx(dice(pair.moving_labels.array, truth, label))
        assert organ.dice_after == pytest.approx(dice(carried.array, truth, label))
        assert organ.dice_after > 0.93
        assert organ.mean_distance_mm_after < 0.3 * SPACING_MM
    before, after = overlap.mean_dice
    assert after > before + 0.1


def test_field_is_the_known_map(registered, pair):
    """The field has LPS components in mm; this grid's axes are left, posterior, superior with 2.5 mm."""
    image = nibabel.load(registered / "field.nii.gz")
    found = np.moveaxis(np.asarray(image.dataobj)[:, :, :, 0], -1, 0) / SPACING_MM
    error = np.linalg.norm(found - pair.displacement_vox, axis=0)
    organs = pair.fixed_labels.array > 0
    assert np.linalg.norm(pair.displacement_vox, axis=0)[organs].mean() > 1.5
    assert error[organs].mean() < 0.6
    deformed = read_volume(registered / "out/pair_deformed.nii.gz").array
    by_field = map_coordinates(
        pair.moving.array.astype(float), np.indices(deformed.shape) + found, order=1, mode="nearest"
    )
    inner = (slice(5, -5),) * 3
    assert np.abs(by_field - deformed)[inner].max() < 0.5


@pytest.mark.parametrize("degrees", [0.05, 2.0])
def test_a_skewed_fixed_scan_is_registered_on_a_straight_grid_in_its_own_world(
    pair, binary, tmp_path, degrees
):
    """Both scans are skewed alike, so the known map is skewed with them."""
    skew = np.eye(4)
    skew[1, 2] = np.tan(np.radians(degrees))
    fixed, moving = (Volume(side.array, skew @ side.affine) for side in (pair.fixed, pair.moving))
    found = deform(
        binary,
        fixed,
        moving,
        matrix=None,
        moving_labels=None,
        settings=deeds_settings(),
        output_stem=tmp_path / "pair",
        threads=1,
        modalities=("ct", "ct"),
        with_image=False,
    )
    assert largest_skew(found.field.affine) < 1e-6
    organs = np.argwhere(pair.fixed_labels.array > 0)
    shifts = pair.displacement_vox[:, *organs.T].T
    placed = found.field.moving_points(fixed.world_from_voxel(organs))
    errors_mm = np.linalg.norm(placed - moving.world_from_voxel(organs + shifts), axis=1)
    assert errors_mm.mean() < 0.6 * SPACING_MM


def test_between_two_modalities_the_field_is_as_stiff_as_is_set_for_them(pair, binary, tmp_path):
    """It is the field that two CTs get where the same stiffness is set for them."""

    def field(*, alpha, moving):
        return deform(
            binary,
            pair.fixed,
            pair.moving,
            matrix=None,
            moving_labels=None,
            settings=deeds_settings(alpha=alpha, between_modalities={"alpha": 60.0, "linear_kind": "affine"}),
            output_stem=tmp_path / "pair",
            threads=1,
            modalities=("ct", moving),
            with_image=False,
        ).field.displacements_mm

    other = field(alpha=1.6, moving="mr")
    np.testing.assert_array_equal(other, field(alpha=60.0, moving="ct"))
    assert np.abs(other - field(alpha=1.6, moving="ct")).max() > SPACING_MM


@pytest.mark.parametrize("spacing_mm", [1.5, 4.0])
def test_volumes_are_registered_at_the_spacing_that_is_set(pair, binary, tmp_path, spacing_mm):
    """The field lies corner on corner with the fixed volume; the overlap is still that of the volumes' own voxels."""
    write_inputs(pair, tmp_path, name=lambda side: f"{side}.nii")
    register_deeds.main(arguments(binary, tmp_path, settings=deeds_content(spacing_mm=spacing_mm)))
    field = read_field(tmp_path / "field.nii.gz")
    np.testing.assert_allclose(spacing_from_affine(field.affine), spacing_mm, rtol=1e-5)
    corners = [affine @ [-0.5, -0.5, -0.5, 1] for affine in (field.affine, AFFINE)]
    np.testing.assert_allclose(corners[0], corners[1], atol=1e-3)
    size_mm = np.array(field.displacements_mm.shape[:3]) * spacing_mm
    np.testing.assert_allclose(size_mm, np.array(pair.fixed.shape) * SPACING_MM, atol=spacing_mm / 2 + 1e-6)
    voxels = np.argwhere(pair.fixed_labels.array > 0)[::7]
    found_mm = field.moving_points(transform_points(AFFINE, voxels))
    expected_mm = transform_points(AFFINE, voxels + pair.displacement_vox[:, *voxels.T].T)
    assert np.linalg.norm(found_mm - expected_mm, axis=1).mean() < 0.8 * SPACING_MM
    overlap = read_pair_overlap(tmp_path / "overlap.json")
    before = [dice(pair.moving_labels.array, pair.fixed_labels.array, label) for label in (1, 2, 3)]
    assert overlap.mean_dice[0] == pytest.approx(np.mean(before))
    assert overlap.mean_dice[1] > 0.9


def test_far_volumes_need_their_centres_aligned(registered, pair, binary, tmp_path):
    """Half a metre apart there is no overlap in world coordinates; the program's sentence reaches the user."""
    far = AFFINE.copy()
    far[0, 3] += 500
    write_inputs(pair, tmp_path, name=lambda side: f"{side}.nii")
    for side in ("moving", "moving_labels"):
        write_volume(Volume(getattr(pair, side).array, far), tmp_path / f"{side}.nii")
    with pytest.raises(UserError, match=r"moving\.nii: .*do not overlap in world coordinates"):
        register_deeds.main(arguments(binary, tmp_path, settings=deeds_content()))
    assert not (tmp_path / "overlap.json").exists() and not list((tmp_path / "out").iterdir())
    register_deeds.main(arguments(binary, tmp_path, settings=deeds_content(start="centres")))
    near, there = (read_pair_overlap(folder / "overlap.json") for folder in (registered, tmp_path))
    assert there.mean_dice == pytest.approx(near.mean_dice, abs=1e-6)


def test_command_line_names_what_is_wrong(registered, binary):
    """A settings error and a missing file end the stage with status 2 and one line."""
    command = [sys.executable, "-m", "workflow_scripts.register_deeds"]
    wrong = arguments(binary, registered, settings=deeds_content(alpha=-1))
    done = subprocess.run([*command, *wrong], check=False, capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "alpha" in done.stderr and len(done.stderr.splitlines()) == 1
    absent = [word.replace("moving.nii", "absent.nii") for word in wrong]
    done = subprocess.run([*command, *absent], check=False, capture_output=True, encoding="utf-8")
    assert done.returncode == 2 and "absent.nii: no such file" in done.stderr


def test_rule_registers_the_pair(pair, binary, tmp_path):
    """Prepared volumes and the built program lie ready, so that the rule alone runs; its settings rerun it alone."""
    set_up(tmp_path)
    subject = {"fixed": "case_1", "moving": "case_2"}
    for case in subject.values():
        (tmp_path / "cases" / case / "segmentations").mkdir(parents=True)
        for name in ("ct", *[f"segmentations/{organ}" for organ in ORGANS]):
            (tmp_path / "cases" / case / f"{name}.nii.gz").touch()
    cases = {
        "kind": "case_folders",
        "modality": "ct",
        "root": "cases",
        "organs": list(ORGANS),
        "landmarks": {},
    }
    cases["split"] = {"num_test": 2, "num_validation": 0, "seed": 1}
    named = {"dataset": "cases", "pairs": [["case_1", "case_2"]], "deeds": deeds_content()}
    pairs = {"test": named}
    datasets = OVERLAY["datasets"] | {"cases": cases}
    write_overlay(tmp_path, OVERLAY | {"datasets": datasets, "registrations": pairs})
    write_inputs(
        pair,
        tmp_path / "results" / "volumes" / "cases",
        name=lambda side: subject[side.split("_")[0]] + (".labels.nii" if "_" in side else ".nii"),
    )
    program = tmp_path / "results" / "deeds" / "deeds"
    program.parent.mkdir()
    shutil.copy2(binary, program)
    os.utime(program)
    folder = tmp_path / "results" / "registrations" / "test" / "case_1__case_2"
    target = folder.relative_to(tmp_path) / "overlap.json"
    only = ["--allowed-rules", "register_labelled_deeds", "--rerun-triggers", "mtime"]
    done = snakemake(tmp_path, *only, "--", str(target))
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in folder.iterdir()} >= {
        "pair_displacements.dat",
        "pair_displacements.json",
        "pair_deformed.nii.gz",
        "pair_deformed_seg.nii.gz",
        "displacement_field.nii.gz",
        "overlap.json",
    }
    overlap = read_pair_overlap(folder / "overlap.json")
    assert (overlap.registration, overlap.fixed, overlap.moving) == ("test", "case_1", "case_2")
    assert overlap.mean_dice[1] > 0.93
    assert planned_jobs(tmp_path, "--", str(target)) == {}
    pairs["test"]["deeds"] = deeds_content(alpha=deeds_content()["alpha"] * 2)
    write_overlay(tmp_path, OVERLAY | {"datasets": datasets, "registrations": pairs})
    assert planned_jobs(tmp_path, "--", str(target)) == {"register_labelled_deeds": 1}
