"""Answers to the voxel: answers below a cell, told by the scans; and where that cannot be."""

import csv
import gc
import io
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from anatomical_embedding import api
from anatomical_embedding.cli.match import match
from anatomical_embedding.confidence import FeatureRange
from anatomical_embedding.errors import UserError
from anatomical_embedding.follow.seen import SeenVisit
from anatomical_embedding.follow.unlike import remarks_on_unlike
from anatomical_embedding.matching.coarse_registration import CoarseRegistration
from anatomical_embedding.matching.found_points import Scans, Weighing, find_points
from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.usage import refinement as refinement_module
from anatomical_embedding.usage import scans as scans_module
from anatomical_embedding.volumes.affine import invert_affine, transform_points
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.volume import Volume
from tests.confidences import confidence_of
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
    coarse = api.match_points(model, scan, scan, queries, refinement="parabolic")
    fine = api.match_points(model, scan, scan, queries)
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
    coarse = api.match_points(model, first, second, queries, refinement="parabolic")
    fine = api.match_points(model, first, second, queries)
    is_wrong = np.linalg.norm(coarse.points_mm - truth, axis=1) > 25
    assert is_wrong.sum() >= 3
    np.testing.assert_array_equal(fine.points_mm[is_wrong], coarse.points_mm[is_wrong])
    assert all("yes" not in fine.refined[row] and fine.refined[row] for row in np.flatnonzero(is_wrong))


def test_a_wrong_match_is_found_where_the_anchors_that_judge_it_expect_it(folder, queries):
    model = api.load_model(folder / "tiny.safetensors")
    usage = model.card.usage
    first, second = (
        api.embed_scan(model, folder / f"{name}.nii.gz", modality="ct") for name in ("first", "second")
    )
    truth = second.raw.volume.world_from_voxel(
        first.raw.volume.voxel_from_world(queries) + SECOND_FROM_FIRST_VOX
    )
    is_seen = second.raw.volume.spans(truth)
    wrong_mm, found_mm = (
        np.linalg.norm(
            find_points(
                usage.method("nearest"),
                first.searchable,
                second.searchable,
                queries,
                with_way_back=False,
                scans=Scans(first.raw, second.raw, usage.answers.refinement),
                weighing=weighing,
            ).matches.points_mm[is_seen]
            - truth[is_seen],
            axis=1,
        )
        for weighing in (None, Weighing(None, lambda: Anchors(queries, truth), usage.confidence.evidence))
    )
    assert np.sum(wrong_mm > 25) >= 3
    assert np.sum(found_mm > 1) <= 1


def test_a_wrong_match_is_found_where_a_registration_carries_the_point(folder, queries):
    """Or stays there, where the scans tell no place; the match stays where the registration does not reach."""
    model = api.load_model(folder / "tiny.safetensors")
    usage = model.card.usage
    first, second = (
        api.embed_scan(model, folder / f"{name}.nii.gz", modality="ct") for name in ("first", "second")
    )
    matrix = second.raw.volume.affine @ invert_affine(first.raw.volume.affine)
    matrix[:3, 3] = (
        transform_points(second.raw.volume.affine, SECOND_FROM_FIRST_VOX)
        - transform_points(matrix, transform_points(first.raw.volume.affine, np.zeros(3)))
        + matrix[:3, 3]
    )
    truth = transform_points(matrix, queries)
    is_seen = second.raw.volume.spans(truth)
    assert is_seen.sum() >= 6
    near = DisplacementField(np.full((*first.raw.volume.shape, 3), 2.0), first.raw.volume.affine)
    nowhere = DisplacementField(np.zeros((1, 1, 1, 3)), np.diag([1.0, 1.0, 1.0, 1.0]))

    def found(field, **changed):
        return find_points(
            usage.method("nearest"),
            first.searchable,
            second.searchable,
            queries,
            with_way_back=False,
            scans=Scans(
                first.raw,
                second.raw,
                usage.answers.refinement.model_copy(update=changed),
                lambda: CoarseRegistration(matrix, field),
            ),
            weighing=None,
        )

    alone = found(nowhere)
    carried = found(near)
    assert np.sum(np.linalg.norm(alone.matches.points_mm - truth, axis=1)[is_seen] > 25) >= 3
    assert np.sum(np.linalg.norm(carried.matches.points_mm - truth, axis=1)[is_seen] > 1) <= 1
    unmoved = found(near, min_correlation=1.0)  # which no place reaches
    np.testing.assert_allclose(unmoved.matches.points_mm[is_seen], truth[is_seen] + 2.0, atol=1e-6)
    assert all(word.startswith("by the coarse registration alone: ") for word in unmoved.refined)
    assert not any("registration" in word for word in alone.refined)
    away_mm = np.full((*first.raw.volume.shape, 3), 1000.0)
    outside = found(DisplacementField(away_mm, first.raw.volume.affine))
    matches = api.match_points(model, first, second, queries, refinement="parabolic")
    np.testing.assert_array_equal(outside.matches.points_mm, matches.points_mm)
    assert all(word and "registration" not in word for word in outside.refined)
    assert not outside.shift_mm.any()


def test_two_scans_are_registered_once_and_said_where_the_program_is_missing(
    folder, queries, monkeypatch, binary
):
    model = api.load_model(folder / "tiny.safetensors")
    usage = model.card.usage
    scan = api.embed_scan(model, folder / "first.nii.gz", modality="ct")
    monkeypatch.setattr(scans_module, "program_if_installed", lambda: binary)
    found = scan.registered_to(scan, usage=usage)
    np.testing.assert_allclose(found.carried(queries), queries, atol=1.0)  # to itself
    assert scan.registered_to(scan, usage=usage) is found
    without = usage.model_copy(
        update={"answers": usage.answers.model_copy(update={"registration_spacing_mm": None})}
    )
    assert scan.registered_to(scan, usage=without) is None
    assert scan.registered_to(replace(scan, coarse=None), usage=usage) is None
    monkeypatch.setattr(scans_module, "program_if_installed", lambda: None)
    assert scan.registered_to(scan, usage=usage) is None

    def missing():
        raise UserError("there is no registration program deeds")

    monkeypatch.setattr(refinement_module, "installed_program", missing)
    said = refinement_module.remarks_on_program(model, scan, [scan], None)
    assert said == [
        "answers are less near and fewer are found, since scans are searched where they match and not where a "
        "registration carries a point: there is no registration program deeds"
    ]
    assert refinement_module.remarks_on_program(model, scan, [scan], "parabolic") == []
    store = replace(scan, raw=None)
    assert refinement_module.remarks_on_program(model, scan, [store, scan], None) == said
    for template, target in ((scan, store), (store, scan)):
        assert refinement_module.remarks_on_program(model, template, [target], None) == []


def remove(program):
    program.unlink()


@pytest.mark.parametrize(
    "breaks",
    [
        lambda program: program.write_text("#!/bin/sh\nexit 1\n"),
        lambda program: program.write_text("#!/bin/sh\nkill -s SEGV $$\n"),
        lambda program: program.write_text("#!/bin/sh\nkill -s KILL $$\n"),
        lambda program: program.write_text("#!/bin/sh\necho 'deeds: disk full' >&2\nexit 2\n"),
        lambda program: program.write_text("#!/bin/sh\nexit 0\n"),  # without a field
        lambda program: program.write_text("no program"),
        lambda program: program.chmod(0o600),
        remove,
    ],
    ids=[
        "fails",
        "crashes",
        "is killed",
        "refuses",
        "writes nothing",
        "is none",
        "may not be run",
        "is gone",
    ],
)
def test_a_program_that_fails_is_said_and_the_scans_are_searched_where_they_match(
    folder, queries, monkeypatch, tmp_path, breaks
):
    program = tmp_path / "deeds"
    program.touch(mode=0o700)
    breaks(program)
    model = api.load_model(folder / "tiny.safetensors")
    scan, store = (api.embed_scan(model, folder / "first.nii.gz", modality="ct") for _ in range(2))
    monkeypatch.setattr(scans_module, "program_if_installed", lambda: program)
    found = api.match_points(model, scan, scan, queries)
    expected = api.match_points(model, store, replace(store, coarse=None), queries)
    np.testing.assert_array_equal(found.points_mm, expected.points_mm)
    (said,) = refinement_module.remarks_on_registration(scan, scan)
    assert said.startswith(
        "first and first could not be registered, so they were searched where they match: "
    )
    assert refinement_module.remarks_on_registration(store, replace(store, coarse=None)) == []


def test_no_room_for_temporary_files_is_said(folder, queries, monkeypatch, binary):
    model = api.load_model(folder / "tiny.safetensors")
    scan = api.embed_scan(model, folder / "first.nii.gz", modality="ct")
    monkeypatch.setattr(scans_module, "program_if_installed", lambda: binary)
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    assert "yes" in api.match_points(model, scan, scan, queries).refined
    (said,) = refinement_module.remarks_on_registration(scan, scan)
    assert "/nowhere" in said


def test_registrations_go_before_the_targets_that_they_are_of(folder, monkeypatch, binary):
    model = api.load_model(folder / "tiny.safetensors")
    first, second = (
        api.embed_scan(model, folder / f"{name}.nii.gz", modality="ct") for name in ("first", "second")
    )
    monkeypatch.setattr(scans_module, "program_if_installed", lambda: binary)
    fields = [np.zeros(3)]  # what takes the memory
    gone = weakref.ref(fields[0])
    monkeypatch.setattr(
        "anatomical_embedding.matching.coarse_registration.register_coarsely", lambda *_, **__: fields.pop()
    )
    first.registered_to(second, usage=model.card.usage)
    monkeypatch.undo()
    assert gone() is not None
    del second
    gc.collect()
    assert gone() is None


def test_the_verb_says_what_was_refined(folder, queries):
    scan = folder / "first.nii.gz"
    arguments = ["--checkpoint", folder / "tiny.safetensors", "--from", scan, "--to", scan]
    arguments += ["--point", ",".join(map(repr, queries[0].tolist()))]
    done = CliRunner().invoke(match, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    found = np.array([float(row[f"{axis}_mm"]) for axis in "xyz"])
    assert row["refined"] == "yes"
    assert float(row["refinement_shift_mm"]) > 0
    assert np.linalg.norm(found - queries[0]) < 0.2


def test_a_store_answers_in_cells_and_says_so(folder, queries, tmp_path):
    model = api.load_model(folder / "tiny.safetensors")
    scan = api.embed_scan(model, folder / "first.nii.gz", modality="ct")
    api.save_embedding(scan, tmp_path / "p7_ct.safetensors")  # as `embed` names the second ct.nii.gz
    store = api.open_embedding(model, tmp_path / "p7_ct.safetensors")
    for template, target in ((scan, store), (store, scan)):
        found = api.match_points(model, template, target, queries)
        assert set(found.refined) == {"p7_ct is a store, which answers in cells; name the scan itself"}
        expected = api.match_points(model, scan, scan, queries, refinement="parabolic")
        np.testing.assert_array_equal(found.points_mm, expected.points_mm)
        with pytest.raises(UserError, match="cannot be moved to the voxel: p7_ct is a store"):
            api.match_points(model, template, target, queries, refinement="voxel")
    arguments = ["--checkpoint", folder / "tiny.safetensors", "--from", folder / "first.nii.gz"]
    arguments += ["--to", tmp_path / "p7_ct.safetensors", "--point", "12,9,30", "--refinement", "voxel"]
    done = CliRunner().invoke(match, list(map(str, arguments)))
    assert "p7_ct is a store" in str(done.exception)


def test_scans_of_two_modalities_are_compared_by_self_similarities(folder, queries):
    """The scan itself with its grey values turned over: every point lies where it was."""
    model = api.load_model(folder / "tiny.safetensors")
    ct = api.embed_scan(model, folder / "first.nii.gz", modality="ct")
    negative = Volume(-ct.raw.volume.array.astype(np.float32), ct.raw.volume.affine)
    mr = replace(ct, raw=replace(ct.raw, volume=negative, modality="mr"))
    errors_mm = {}
    for refinement in ("parabolic", "voxel"):
        found = api.match_points(model, ct, mr, queries, refinement=refinement)
        errors_mm[refinement] = np.linalg.norm(found.points_mm - queries, axis=1)
    assert "yes" in found.refined
    assert np.median(errors_mm["voxel"]) < 0.5 * np.median(errors_mm["parabolic"])


def test_cells_alone_are_answered_by_their_centres(folder, queries):
    model = api.load_model(folder / "tiny.safetensors")
    scan = api.embed_scan(model, folder / "first.nii.gz", modality="ct")
    found = api.match_points(model, scan, scan, queries, refinement="none")
    cells = transform_points(invert_affine(scan.embedded.fine.cell_affine), found.points_mm)
    np.testing.assert_allclose(cells, np.rint(cells), atol=1e-6)


@pytest.mark.slow
def test_a_mask_is_carried_by_refined_points(folder):
    """To the scan itself: in cells its border moves by parts of a cell, refined not at all."""
    model = api.load_model(folder / "tiny.safetensors")
    scan = api.embed_scan(model, folder / "first.nii.gz", modality="ct")
    labels = np.zeros(scan.scan_grid.shape, np.uint8)
    labels[12:32, 12:30, 14:30] = 1
    mask = Volume(labels, scan.scan_grid.affine)
    dice = {}
    for refinement in ("parabolic", "voxel"):
        carried = api.propagate_labels(model, scan, mask, scan, grid=scan.scan_grid, refinement=refinement)
        both = np.count_nonzero((carried.volume.array == 1) & (labels == 1))
        dice[refinement] = 2 * both / (np.count_nonzero(carried.volume.array) + labels.sum())
        assert carried.refined == ("yes" if refinement == "voxel" else "")
    assert dice["voxel"] > dice["parabolic"]
    assert dice["voxel"] > 0.97
    in_cells = api.propagate_labels(model, scan, mask, replace(scan, raw=None))
    assert in_cells.refined == "first is a store, which answers in cells; name the scan itself"


class Visits(dict):
    """Scans by visit, with the model that embedded them."""


def test_a_mask_is_for_review_where_its_matches_are_unlike_those_of_the_fit(folder):
    """As every match of it says; a confidence that was fitted to the like finds it. `follow` says so of the visit."""
    model = api.load_model(folder / "tiny.safetensors")
    scan = api.embed_scan(model, folder / "first.nii.gz", modality="ct")
    labels = np.zeros(scan.scan_grid.shape, np.uint8)
    labels[14:26, 14:26, 14:26] = 7
    mask = Volume(labels, scan.scan_grid.affine)
    point_mm = mask.world_from_voxel(np.array([[20.0, 20.0, 20.0]]))
    above = FeatureRange(unknown=2.0, mean=2.0, scale=1.0, lowest=2.0, highest=3.0)
    told, said = {}, {}
    row = SimpleNamespace(point_mm=tuple(point_mm[0]))
    for name, ranges in (("like", {}), ("unlike", {"similarity": above})):
        fitted = confidence_of(features=confidence_of().features | ranges)
        known = replace(model, card=model.card.model_copy(update={"confidence": {"nearest": fitted}}))
        (label,) = api.propagate_labels(known, scan, mask, scan, refinement="parabolic").labels
        match = api.match_points(known, scan, scan, point_mm, method="nearest", refinement="parabolic")
        visits = Visits(first=scan, second=scan)
        visits.model = known
        said[name] = remarks_on_unlike("second", SeenVisit("first", {1: row}, None), visits)
        told[name] = (label.decision, label.reason, match.unlike[0])
    assert told["like"] == ("found", "", "") and said["like"] == ()
    decision, *reasons = told["unlike"]
    assert decision == "review"
    (remark,) = said["unlike"]
    assert remark.startswith(
        "second: probabilities may not hold, since matches in this scan are unlike the answers"
    )
    assert all(", at least 2 there" in said for said in [*reasons, remark])
