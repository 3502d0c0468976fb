"""The row of a lesion at a visit where it is not given, and its masks, in scans of one ball."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from anatomical_embedding.follow.answered import answered_row
from anatomical_embedding.follow.fit_mask import NO_EDGE, ball_radius_mm, fit_mask
from anatomical_embedding.follow.place_masks import place_masks
from anatomical_embedding.follow.places import AnsweredPlace
from anatomical_embedding.follow.seen import SeenVisit, Source, last_state, sources_of
from anatomical_embedding.follow.visits import AskedVisit
from anatomical_embedding.matching.refine_scans import REFINED
from anatomical_embedding.settings.follow import delivered_follow_settings
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.followed_ball import AFFINE, CENTRE_MM, LESION_HU, TISSUE_HU, scan_with_ball

SETTINGS = delivered_follow_settings()


class Visits(dict):
    """Scans by visit, as far as a lesion is looked at in them."""

    model = SimpleNamespace(
        card=SimpleNamespace(
            usage=SimpleNamespace(confidence=SimpleNamespace(fit=SimpleNamespace(within_mm=10.0)))
        )
    )


def place_at(point_mm, *elsewhere_mm, disagreement_mm=np.nan):
    """Return a place well inside the scan that the scans confirm, from where nothing is turned or stretched."""
    return AnsweredPlace(
        point_mm, 50.0, 1.0, disagreement_mm, REFINED, np.eye(3), "direct", np.eye(3), elsewhere_mm
    )


def answered_at(place, sources, *, last=None, **volumes):
    """Return the row and the masks of a lesion at the visit `now`, given the scan of each visit."""
    scans = Visits(
        {name: SimpleNamespace(raw=SimpleNamespace(volume=scan)) for name, scan in volumes.items()}
    )
    asked = AskedVisit("now", Path("now.nii"), None)
    return answered_row(1, asked, place, sources, scans, others_mm=(), last=last, settings=SETTINGS)


def test_where_the_visits_disagree_the_place_that_shows_the_lesion_is_taken():
    before, mask = scan_with_ball(9.0)
    now, _ = scan_with_ball(9.0, seed=1)
    sources = [Source("before", CENTRE_MM, 9.0, mask)] * 2
    wrong_mm = CENTRE_MM + np.array([25.0, 0.0, 0.0])
    place = place_at(wrong_mm, CENTRE_MM, disagreement_mm=25.0)
    row, _ = answered_at(place, sources, before=before, now=now)
    assert row.state == "present"
    assert np.array(row.point_mm) == pytest.approx(CENTRE_MM, abs=0.5)


def test_a_lesion_that_none_of_the_places_shows_has_gone_though_the_visits_disagree():
    before, mask = scan_with_ball(9.0)
    now, _ = scan_with_ball(0.0, seed=1)
    sources = [Source("before", CENTRE_MM, 9.0, mask)] * 2
    place = place_at(CENTRE_MM, CENTRE_MM + np.array([15.0, 0.0, 0.0]), disagreement_mm=15.0)
    assert answered_at(place, sources, before=before, now=now)[0].state == "gone"


def test_tissue_beside_a_confirmed_place_does_not_hide_that_a_lesion_has_gone():
    """The ball of the lesion, 9 mm in radius, has gone, and one like it lies 10 mm from its middle."""
    before, mask = scan_with_ball(9.0)
    beside = np.eye(4)
    beside[0, 3] = 10.0
    moved, _ = scan_with_ball(9.0)
    now = Volume(moved.array, beside @ moved.affine)
    row, fits = answered_at(
        place_at(CENTRE_MM), [Source("given", CENTRE_MM, 9.0, mask)], given=before, now=now
    )
    assert (row.state, fits) == ("gone", ())


def test_the_middle_of_a_fitted_mask_moves_a_place_by_its_share():
    before, mask = scan_with_ball(9.0)
    now, _ = scan_with_ball(9.0, seed=1)
    off_mm = np.array([2.0, 0.0, 0.0])
    source = Source("given", CENTRE_MM, 9.0, mask)
    row, (fit,) = answered_at(place_at(CENTRE_MM + off_mm), [source], given=before, now=now)
    assert row.state == "present" and fit.is_fitted
    assert np.linalg.norm(fit.centre_mm - CENTRE_MM) < 0.7
    # A quarter of the 2 mm to the true middle.
    assert np.array(row.point_mm) - CENTRE_MM == pytest.approx([1.5, 0.0, 0.0], abs=0.2)


def test_a_mask_of_one_visit_is_carried_by_the_map_from_that_visit():
    """Of the visits between, which the other map comes from, none shows the lesion whole; nothing is to be fitted."""
    before, mask = scan_with_ball(9.0)
    empty = Volume(np.full_like(before.array, TISSUE_HU), AFFINE)
    place = replace(place_at(CENTRE_MM), matrix=1.5 * np.eye(3), how="moved")
    source = Source("given", CENTRE_MM, 9.0, mask)
    _, (fit,) = answered_at(place, [source, source], given=before, now=empty)
    assert not fit.is_fitted
    assert fit.radius_mm == pytest.approx(9.0, rel=0.05)


@pytest.mark.parametrize(("given_mm", "nearest_mm", "is_given"), [(8.0, 11.0, True), (4.5, 8.0, False)])
def test_the_mask_that_was_given_is_carried_unless_the_lesion_has_changed_too_much(
    given_mm, nearest_mm, is_given
):
    """Now it has a radius of 9 mm, 8 times the volume of one of 4.5 mm."""
    scan, _ = scan_with_ball(9.0, seed=1)
    sources, scans = [], {"now": scan}
    for visit, radius_mm in (("given", given_mm), ("nearest", nearest_mm)):
        before, mask = scan_with_ball(radius_mm)
        scans[visit] = before
        sources.append(Source(visit, CENTRE_MM, radius_mm, mask))
    row, (fit,) = answered_at(place_at(CENTRE_MM), sources, **scans)
    carried = sources[0] if is_given else sources[1]
    expected = fit_mask(
        scan,
        CENTRE_MM,
        carried.mask,
        CENTRE_MM,
        np.eye(3),
        radius_mm=carried.radius_mm,
        settings=SETTINGS.masks,
    )
    assert row.state == "present" and expected.is_fitted
    assert np.array_equal(fit.mask, expected.mask)


def drawn(shape, radius_mm):
    """Return a mask that was drawn round `CENTRE_MM`: a ball, or the box round it."""
    _, ball = scan_with_ball(radius_mm)
    if shape == "ball":
        return ball
    box = np.zeros_like(ball.array)
    box[tuple(slice(each.min(), each.max() + 1) for each in np.nonzero(ball.array))] = True
    return Volume(box, AFFINE)


@pytest.mark.parametrize(("shape", "drawn_mm", "true_mm"), [("ball", 9.0, 14.0), ("box", 11.0, 11.0)])
def test_a_mask_without_an_edge_of_the_scan_round_it_is_not_fitted(shape, drawn_mm, true_mm):
    """A ball drawn within a larger one, such as a heart, had grown to it, and a box round a ball shrunken to that."""
    mask = drawn(shape, drawn_mm)
    before, now = (scan_with_ball(true_mm, seed=seed)[0] for seed in (0, 1))
    radius_mm = ball_radius_mm(float(mask.array.sum() * np.prod(mask.spacing_mm)))
    source = Source("given", CENTRE_MM, radius_mm, mask)
    # A copy that happens to end at an edge is not fitted either; a mask that a reader drew at a visit between is.
    right = Source("nearest", CENTRE_MM, true_mm, scan_with_ball(true_mm)[1])
    for nearest in (source, replace(right, is_copy=True)):
        row, (fit,) = answered_at(
            place_at(CENTRE_MM), [source, nearest], given=before, nearest=before, now=now
        )
        assert row.state == "present" and not fit.is_fitted and fit.note == NO_EDGE
        assert fit.radius_mm == pytest.approx(radius_mm, rel=0.05)
    _, (fit,) = answered_at(place_at(CENTRE_MM), [source, right], given=before, nearest=before, now=now)
    assert fit.is_fitted and fit.radius_mm == pytest.approx(true_mm, rel=0.05)


def test_a_lesion_in_two_parts_has_split_and_each_gets_a_mask():
    before, mask = scan_with_ball(12.0)
    half_mm = np.array([0.0, 10.0, 0.0])
    parts = [scan_with_ball(7.2)[1].array]
    steps = np.rint(half_mm / np.diag(AFFINE)[:3]).astype(int)
    both = np.roll(parts[0], steps, axis=(0, 1, 2)) | np.roll(parts[0], -steps, axis=(0, 1, 2))
    now = Volume(np.where(both, before.array.max(), TISSUE_HU), AFFINE)
    given = Source("given", CENTRE_MM, 12.0, mask)
    row, fits = answered_at(place_at(CENTRE_MM), [given], given=before, now=now)
    assert row.state == "split" and len(fits) == len(half_mm) - 1 and all(fit.is_fitted for fit in fits)
    assert np.array(row.point_mm) == pytest.approx(CENTRE_MM, abs=2.0)
    found_mm = sorted((fit.centre_mm - CENTRE_MM).tolist() for fit in fits)
    assert sorted(each[1] for each in found_mm) == pytest.approx([-10.0, 10.0], abs=2.0)
    # The map from the given mask carries it, and a mask that its own scan shows no edge of is not fitted.
    other_map = replace(place_at(CENTRE_MM), matrix=3.0 * np.eye(3))
    _, same = answered_at(other_map, [given], given=before, now=now)
    assert [fit.mask.tobytes() for fit in same] == [fit.mask.tobytes() for fit in fits]
    within = drawn("ball", 9.0)
    within_mm3 = float(within.array.sum() * np.prod(within.spacing_mm))
    unlike = Source("given", CENTRE_MM, ball_radius_mm(within_mm3), within)
    row, fits = answered_at(place_at(CENTRE_MM), [unlike], given=before, now=now)
    assert row.state == "split" and [(fit.is_fitted, fit.note) for fit in fits] == [(False, NO_EDGE)] * 2
    carried_mm3 = sum(fit.mask.sum() * fit.patch.step_mm**3 for fit in fits)
    assert carried_mm3 == pytest.approx(within_mm3, rel=0.1)
    # One that was gone at the visit before comes back in two parts where they are clearly there.
    source = Source("given", CENTRE_MM, 12.0, mask)
    weak = Volume(np.where(both, TISSUE_HU + 0.5 * (LESION_HU - TISSUE_HU), TISSUE_HU), AFFINE)
    states = {
        (is_weak, last): answered_at(
            place_at(CENTRE_MM), [source], last=last, given=before, now=weak if is_weak else now
        )[0].state
        for is_weak in (False, True)
        for last in ("present", "gone")
    }
    assert states == {
        (False, "present"): "split", (False, "gone"): "split", (True, "present"): "split", (True, "gone"): "gone",
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "is_copy"), [("grown", True), ("carried", True), ("fitted", False)])
def test_a_mask_that_was_grown_or_carried_is_a_copy(tmp_path, kind, is_copy):
    _, mask = scan_with_ball(9.0)
    write_volume(Volume(mask.array.astype(np.uint8), mask.affine), tmp_path / "masks.nii.gz")
    visits = [
        SeenVisit(
            name,
            {1: SimpleNamespace(state=state, mask=each, point_mm=tuple(CENTRE_MM))},
            tmp_path / "masks.nii.gz",
        )
        for name, state, each in (("a", "given", "given"), ("b", "present", kind))
    ]
    assert [source.is_copy for source in sources_of(1, visits, SETTINGS)] == [False, is_copy]


@pytest.mark.parametrize(("state", "nearest"), [("present", "b"), ("split", "a"), ("merged", "a")])
def test_a_visit_that_shows_a_lesion_in_parts_or_with_another_tells_no_size(tmp_path, state, nearest):
    _, mask = scan_with_ball(9.0)
    write_volume(Volume(mask.array.astype(np.uint8), mask.affine), tmp_path / "masks.nii.gz")
    visits = [
        SeenVisit(
            name,
            {1: SimpleNamespace(state=each, mask="fitted", point_mm=tuple(CENTRE_MM))},
            tmp_path / "masks.nii.gz",
        )
        for name, each in (("a", "given"), ("b", state))
    ]
    assert [source.visit for source in sources_of(1, visits, SETTINGS)] == ["a", nearest]


def test_lesions_that_have_merged_have_one_mask_under_the_first_of_their_numbers():
    """What is found of either overlaps with that of the other; lesion 1 itself looked gone."""
    before, mask = scan_with_ball(9.0)
    row, (fit,) = answered_at(
        place_at(CENTRE_MM), [Source("given", CENTRE_MM, 9.0, mask)], given=before, now=before
    )
    beside = replace(fit, patch=replace(fit.patch, centre_mm=np.add(fit.patch.centre_mm, (8.0, 0, 0))))
    rows = [
        replace(row, lesion=number, state="merged", related=related)
        for number, related in ((1, (2,)), (2, (1, 3)), (3, (2,)))
    ]
    masks = np.zeros(before.shape, np.uint16)
    done = place_masks(rows, {2: [fit], 3: [beside]}, masks, before)
    assert np.unique(masks).tolist() == [0, 1]
    alone = [len(each.voxels_on(before)) for each in (fit, beside)]
    assert max(alone) < (masks == 1).sum() < sum(alone)
    assert [each.mask for each in done] == ["fitted"] * 3


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["given", "gone"], "gone"),
        (["given", "split", "review", "out_of_view"], "split"),
        (["given", "gone", "present"], "present"),
        (["review"], None),
        ([None, "given", "gone"], "gone"),
    ],
)
def test_what_became_of_a_lesion_before_is_what_the_last_visit_that_tells_it_says(states, expected):
    before = [
        SeenVisit(str(number), {} if state is None else {1: SimpleNamespace(state=state)}, None)
        for number, state in enumerate(states)
    ]
    assert last_state(1, before) == expected


def test_a_lesion_too_faint_for_an_edge_is_as_large_as_explains_the_scan_best():
    """It differs by 1.5 deviations of the noise, and its radius has grown from 9 to 12 mm."""
    scans, masks = [], []
    for seed, radius_mm in ((0, 9.0), (1, 12.0)):
        _, mask = scan_with_ball(radius_mm)
        noise = np.random.default_rng(seed).normal(0.0, 10.0, mask.shape)
        scans.append(Volume(TISSUE_HU + 15.0 * mask.array + noise, AFFINE))
        masks.append(mask)
    source = Source("given", CENTRE_MM, 9.0, masks[0])
    row, (fit,) = answered_at(place_at(CENTRE_MM), [source], given=scans[0], now=scans[1])
    assert row.state in ("present", "review") and not fit.is_fitted
    assert fit.radius_mm == pytest.approx(12.0, rel=0.08)
    assert fit.note == "lesion and surroundings hardly differ"
    assert fit.is_grown


def faint_scans(rim_mm, *, noise_hu, contrast_hu=15.0):
    """Return the mask of a ball of 9 mm and two scans that show it up to a rim, with noise of their own."""
    _, mask = scan_with_ball(9.0)
    _, shown = scan_with_ball(9.0 - rim_mm)
    texture = np.random.default_rng(0).normal(0.0, 10.0, mask.shape)
    before = Volume(TISSUE_HU + contrast_hu * shown.array + texture, AFFINE)
    noise = np.random.default_rng(1).normal(0.0, noise_hu, mask.shape)
    return mask, before, Volume(before.array + noise, AFFINE)


def test_a_faint_lesion_keeps_its_size_in_the_same_scan():
    """Its rim looks like its surroundings, so that a smaller lesion would explain the scan better."""
    mask, before, now = faint_scans(2.0, noise_hu=1.0)
    source = Source("given", CENTRE_MM, 9.0, mask)
    _, (fit,) = answered_at(place_at(CENTRE_MM), [source], given=before, now=now)
    assert not fit.is_fitted
    assert fit.radius_mm == pytest.approx(9.0, rel=0.03)


def test_a_mask_whose_size_the_scan_does_not_tell_says_so():
    """The lesion hardly differs at all, and the noise is new."""
    mask, before, now = faint_scans(0.0, noise_hu=40.0, contrast_hu=5.0)
    source = Source("given", CENTRE_MM, 9.0, mask)
    _, smaller = scan_with_ball(6.0)
    nearest = Source("nearest", CENTRE_MM, 6.0, smaller)  # where it was carried as well, and lost a part
    row, (fit,) = answered_at(place_at(CENTRE_MM), [source, nearest], given=before, nearest=before, now=now)
    assert not fit.is_fitted and not fit.is_grown
    assert fit.radius_mm == pytest.approx(9.0, rel=0.03)
    (row,) = place_masks([replace(row, note="")], {1: [fit]}, np.zeros(now.shape, np.uint16), now)
    said = "lesion and surroundings hardly differ, and the scan does not tell its size"
    assert (row.mask, row.note) == ("carried", f"carried mask: {said}")
    grown = replace(fit, is_grown=True)
    (row,) = place_masks([replace(row, note="")], {1: [grown]}, np.zeros(now.shape, np.uint16), now)
    assert (row.mask, row.note) == ("grown", "grown mask: lesion and surroundings hardly differ")
