"""The command `anatomical-embedding`: answers of the pipeline, and one line for errors that a user can fix."""

import json
import os
import signal
import socket

import numpy as np
import pytest
import SimpleITK

from anatomical_embedding import api
from anatomical_embedding.cli.main import commands, main
from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.stable_points import match_stable_points
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.command import refusal_of, run
from tests.packaged_model import (
    body_scan,
    points_in,
    write_dicom_series,
    write_model,
    write_two_scans,
)
from tests.unit.samples import oblique_affine


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with two models and two scans, one of them oblique."""
    folder = tmp_path_factory.mktemp("command_line")
    write_model(folder)
    write_model(folder, seed=1, name="other")
    first, _ = write_two_scans(folder)
    affine = oblique_affine((8.0, -12.0, 15.0), (4.0, 3.7, 4.3), (-31.7, 12.9, 211.3))
    write_volume(body_scan(offset_vox=(4, 2, 6), affine=affine), folder / "oblique.nii.gz")
    run(["embed", first, "--checkpoint", folder / "tiny.safetensors", "--output", folder / "stores"])
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return api.load_model(folder / "tiny.safetensors")


def output_of(capsys, arguments):
    """Run the command, which must end well, and return what it printed."""
    capsys.readouterr()
    code = run(arguments)
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out


def point(values):
    return ",".join(repr(float(value)) for value in values)


def match_arguments(folder, source, target, *more, checkpoint="tiny.safetensors"):
    pair = ["--from", folder / source, "--to", folder / target]
    return ["match", "--checkpoint", folder / checkpoint, *pair, *more]


def answers_of(capsys, arguments):
    return json.loads(output_of(capsys, [*arguments, "--json"]))["answers"]


# Answers


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


def test_describe_says_what_a_model_is(folder, capsys):
    said = output_of(capsys, ["describe", folder / "tiny.safetensors"])
    assert "limit          Random weights." in said
    card = json.loads(output_of(capsys, ["describe", folder / "tiny.safetensors", "--json"]))["card"]
    assert card["modalities"] == ["ct"]


def test_embedding_again_leaves_stores_alone(folder, capsys):
    store = folder / "stores" / "first.safetensors"
    before = store.stat().st_mtime_ns
    arguments = ["embed", folder / "first.nii.gz", "--checkpoint", folder / "tiny.safetensors"]
    (entry,) = json.loads(output_of(capsys, [*arguments, "--output", folder / "stores", "--json"]))
    assert entry["store"] == str(store)
    assert store.stat().st_mtime_ns == before


# DICOM


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


# What a user can fix


def wrong_inputs(folder):
    """Return, by name, arguments that are wrong and what the line must say."""
    scan, model = folder / "first.nii.gz", folder / "tiny.safetensors"
    (folder / "text.nii.gz").write_text("no image", encoding="utf-8")
    (folder / "text.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (folder / "empty").mkdir(exist_ok=True)
    mr = body_scan(offset_vox=(2, 2, 2), affine=np.diag([-4.0, -4.0, 4.0, 1.0]))
    write_volume(Volume(np.clip(mr.array, 0, None), mr.affine), folder / "mr.nii.gz")
    match = ["match", "--checkpoint", model, "--from", scan, "--to", scan]
    carry = ["propagate", "--checkpoint", model, "--from", scan, "--to", scan]
    return {
        "mask of a scan": (
            [*carry, "--labels", scan, "--output", folder / "x" / "mask.nii.gz"],
            "first.nii.gz: has the value -1000, expected whole numbers from 0",
        ),
        "mask of no name": ([*carry, "--labels", scan, "--output", folder / "x"], "ends in .nii.gz or .nii"),
        "no point inside": (
            [*match, "--point", "9000,0,0"],
            f"no point lies inside {folder / 'first.nii.gz'}",
        ),
        "no number": ([*match, "--point", "1,2"], "expected three numbers in mm"),
        "no finite number": ([*match, "--point", "nan,0,0"], "expected three numbers in mm"),
        "no point": (match, "expected either --point or --points"),
        "other table": ([*match, "--points", folder / "text.csv"], "text.csv: "),
        "no scan": (
            ["match", "--checkpoint", model, "--from", folder / "absent.nii", "--to", scan],
            "absent.nii",
        ),
        "no image": (
            ["embed", folder / "text.nii.gz", "--checkpoint", model, "--output", folder / "x"],
            "text.nii.gz: ",
        ),
        "no series": (
            ["embed", folder / "empty", "--checkpoint", model, "--output", folder / "x"],
            "holds no DICOM series",
        ),
        "other modality": (
            ["embed", folder / "mr.nii.gz", "--checkpoint", model, "--output", folder / "x"],
            "is a scan of modality mr, judging by its header or its values",
        ),
        "other model": (
            [
                *("match", "--checkpoint", folder / "other.safetensors", "--to", scan),
                *("--from", folder / "stores" / "first.safetensors", "--point", "0,0,0"),
            ],
            "stores/first.safetensors: ",
        ),
        "weights only": (
            ["describe", folder / "tiny.trained.safetensors"],
            "holds weights but no model card",
        ),
        "no checkpoint": (["describe", folder / "text.csv"], "text.csv: "),
        "one scan": (["view", scan, "--checkpoint", model], "expected two or more scans"),
        "no program": (
            [
                "register",
                scan,
                scan,
                "--checkpoint",
                model,
                "--output",
                folder / "x",
                "--deeds",
                folder / "absent",
            ],
            "absent",
        ),
        "unknown option": (["match", "--speed"], "--speed"),
    }


NAMES = (
    "mask of a scan, mask of no name, "
    "no point inside, no number, no finite number, no point, other table, no scan, no image, no series, "
    "other modality, other model, weights only, no checkpoint, one scan, no program, unknown option"
).split(", ")


@pytest.mark.parametrize("name", NAMES)
def test_wrong_input_ends_with_one_line(folder, capsys, name):
    wrong = wrong_inputs(folder)
    assert set(wrong) == set(NAMES)
    arguments, message = wrong[name]
    assert message in refusal_of(capsys, arguments)
    assert not (folder / "x").exists()


def test_a_busy_port_is_named(folder, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        scans = [folder / "first.nii.gz", folder / "second.nii.gz"]
        arguments = ["view", *scans, "--checkpoint", folder / "tiny.safetensors", "--no-open", "--port", port]
        assert f"--port {port}: cannot listen there" in refusal_of(capsys, arguments)


def test_the_run_files_at_fault_are_named(tmp_path, capsys):
    (tmp_path / "first.yaml").write_text("title: One\n", encoding="utf-8")
    (tmp_path / "second.yaml").write_text("preparation: fine\n", encoding="utf-8")
    files = [tmp_path / "first.yaml", tmp_path / "second.yaml"]
    assert f"error: {files[0]}, {files[1]}: preparation: expected one of" in refusal_of(
        capsys, ["settings", *files]
    )


@pytest.mark.parametrize("verb", ["embed", "match", "propagate", "register", "view", "score", "describe"])
def test_every_verb_has_help(capsys, verb):
    said = output_of(capsys, [verb, "--help"])
    assert said.startswith("Usage: anatomical-embedding") and "--json" in said


def test_a_command_that_is_terminated_ends_as_after_ctrl_c(monkeypatch):
    """Else deeds would go on alone, and files that are not whole would stay."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(commands, "main", lambda **_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        with pytest.raises(SystemExit) as stop:
            main([])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stop.value.code == 143
