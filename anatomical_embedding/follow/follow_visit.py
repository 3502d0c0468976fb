"""One visit: what became of every lesion known by then, and the lesions that are given there.

A visit depends on those before it alone, so that a later one changes nothing of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from anatomical_embedding.follow.fit_mask import FittedMask, ball_radius_mm, fit_mask
from anatomical_embedding.follow.given import Assigned, assign_given, voxels_mm
from anatomical_embedding.follow.lesion_input import GivenLesions
from anatomical_embedding.follow.look import measure_look, presence, unlikeness
from anatomical_embedding.follow.places import (
    JoinedPlaces,
    answer_from,
    join_answers,
    join_predictions,
    predict_places,
    view_depth_mm,
)
from anatomical_embedding.follow.records import How, LesionRow, MaskKind, State
from anatomical_embedding.follow.states import judge_state, trust_place
from anatomical_embedding.follow.visits import AskedVisit, VisitScans
from anatomical_embedding.settings.follow import FollowSettings
from anatomical_embedding.usage.scans import require_raw
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

TOUCHING_VOX = 1.5
NOWHERE = (np.nan, np.nan, np.nan)
PLACED: frozenset[State] = frozenset({"given", "new", "present", "gone", "merged", "split"})
"""States whose place others are found from."""
SHOWN: frozenset[State] = frozenset({"given", "new", "present", "merged", "split"})
"""States in which the lesion is to be seen."""


@dataclass(frozen=True)
class SeenVisit:
    """A visit whose lesions are known.

    Attributes
    ----------
    name : of the visit.
    rows : by lesion.
    masks : lesion numbers on the voxels of its scan; None without any.
    """

    name: str
    rows: Mapping[int, LesionRow]
    masks: Volume | None

    def place_of(self, lesion: int) -> NDArray[np.float64]:
        """Return (3,) where a lesion is; NaN where it is unknown, or not certain."""
        row = self.rows.get(lesion)
        return np.array(row.point_mm if row is not None and row.state in PLACED else NOWHERE)

    def shows(self, lesion: int) -> bool:
        """Say whether a lesion is to be seen at the visit."""
        row = self.rows.get(lesion)
        return row is not None and row.state in SHOWN


@dataclass(frozen=True)
class _Source:
    """A lesion at a visit that shows it: `mask` is true inside, None for a point."""

    visit: str
    centre_mm: NDArray[np.float64]
    radius_mm: float
    mask: Volume | None


@dataclass(frozen=True)
class FollowedVisit:
    """What is known of a visit afterwards: its rows, and lesion numbers on its voxels (None without any)."""

    rows: tuple[LesionRow, ...]
    masks: Volume | None


def follow_visit(
    visit: AskedVisit,
    before: Sequence[SeenVisit],
    given: GivenLesions | None,
    scans: VisitScans,
    *,
    settings: FollowSettings,
) -> FollowedVisit:
    """Return what became of all lesions at a visit.

    Parameters
    ----------
    visit : the visit.
    before : those before it, in the order of time; a visit alone says what is given there.
    given : lesions that its user gives there.
    scans : of the patient.

    Raises
    ------
    UserError
        if a scan cannot be read or embedded.
    """
    labels = _first_labels(before)
    covered = voxels_mm(given) if given is not None else {}
    target = require_raw(scans[visit.name]).volume
    masks = np.zeros(target.shape, dtype=np.uint16)
    joined = dict(_answers(visit.name, before, list(labels), scans, settings=settings))
    sources = {lesion: _sources(lesion, before, settings) for lesion in labels}
    assigned = assign_given(
        covered,
        list(joined),
        np.array([each.point_mm for each in joined.values()]).reshape(-1, 3),
        [sources[lesion][-1].radius_mm for lesion in joined],
        near_mm=settings.same_lesion_mm,
    )
    rows: list[LesionRow] = []
    fitted: dict[int, FittedMask] = {}
    for lesion, place in joined.items():
        if lesion in assigned.parts:
            row = _given_row(lesion, visit, assigned, covered, given, label=labels[lesion])
            if row.mask == "given" and given is not None and given.masks is not None:
                first = min((lesion, *row.related)) if row.state == "merged" else lesion
                masks[np.isin(given.masks.array, assigned.parts[lesion])] = first
        else:
            row, fit = _answered_row(lesion, visit, place, sources[lesion], scans, settings=settings)
            row = replace(row, label=labels[lesion])
            if fit is not None:
                fitted[lesion] = fit
        rows.append(row)
    next_number = max([*labels, 0]) + 1
    names = {lesion.number: lesion.label for lesion in given.lesions} if given is not None else {}
    for number in assigned.new:
        lesion = next_number if before else number
        next_number += 1
        has_mask = given is not None and given.masks is not None
        rows.append(
            LesionRow(
                lesion,
                visit.name,
                visit.date,
                "new" if before else "given",
                1.0,
                np.nan,
                _as_point(covered[number].mean(axis=0)),
                "given",
                np.nan,
                "",
                "given" if has_mask else "none",
                (),
                names.get(number, ""),
                "",
            )
        )
        if has_mask and given is not None and given.masks is not None:
            masks[given.masks.array == number] = lesion
    rows = _with_masks(rows, fitted, masks, target, sources={n: each[-1] for n, each in sources.items()})
    return FollowedVisit(tuple(rows), Volume(masks, target.affine) if masks.any() else None)


def look_back(
    visit: AskedVisit,
    known: SeenVisit,
    between: Sequence[SeenVisit],
    scans: VisitScans,
    *,
    settings: FollowSettings,
) -> tuple[LesionRow, ...]:
    """Return whether lesions that are new at a visit were there at an earlier one already; they get no mask.

    Parameters
    ----------
    visit : the earlier visit.
    known : the visit where they are new, with these lesions alone.
    between : those between the two, the nearest to the earlier one last.
    """
    chain = [known, *between]
    rows = []
    for lesion, place in _answers(visit.name, chain, list(known.rows), scans, settings=settings):
        row, _ = _answered_row(
            lesion, visit, place, _sources(lesion, chain, settings), scans, settings=settings
        )
        note = row.note or ("it is not there yet" if row.state == "gone" else "")
        rows.append(replace(row, label=known.rows[lesion].label, mask="none", note=note))
    return tuple(rows)


@dataclass(frozen=True)
class _Place:
    """One lesion of `JoinedPlaces`, with how it was found."""

    point_mm: NDArray[np.float64]
    depth_mm: float
    error_mm: float
    disagreement_mm: float
    refined: str
    matrix: NDArray[np.float64]
    how: How


def _first_labels(before: Sequence[SeenVisit]) -> dict[int, str]:
    """Return by lesion what it was called where it was given."""
    labels: dict[int, str] = {}
    for visit in before:
        for lesion, row in visit.rows.items():
            labels.setdefault(lesion, row.label)
    return dict(sorted(labels.items()))


def _answers(
    name: str,
    before: Sequence[SeenVisit],
    lesions: Sequence[int],
    scans: VisitScans,
    *,
    settings: FollowSettings,
) -> Iterator[tuple[int, _Place]]:
    """Give the place of each lesion by the visit where it was given and the nearest ones between."""
    for origin in range(len(before)):
        mine = [lesion for lesion in lesions if _origin(lesion, before) == origin]
        if not mine:
            continue
        nearest = range(max(origin + 1, len(before) - settings.places.num_neighbours), len(before))
        templates = [before[origin], *(before[place] for place in nearest)]
        joined = _join(name, templates, mine, scans, settings=settings)
        answered = np.array(
            [[np.isfinite(visit.place_of(lesion)).all() for lesion in mine] for visit in templates]
        )
        for row, lesion in enumerate(mine):
            how: How = "joint" if answered[:, row].sum() > 1 else "direct"
            point = joined.points_mm[row]
            yield (
                lesion,
                _Place(
                    point if np.isfinite(point).all() else joined.predicted_mm[row],
                    float(joined.depth_mm[row]),
                    float(joined.error_mm[row]),
                    float(joined.disagreement_mm[row]),
                    joined.refined[row],
                    joined.matrices[row],
                    how,
                ),
            )


def _origin(lesion: int, before: Sequence[SeenVisit]) -> int:
    return next(place for place, visit in enumerate(before) if lesion in visit.rows)


def _join(
    name: str,
    templates: Sequence[SeenVisit],
    lesions: Sequence[int],
    scans: VisitScans,
    *,
    settings: FollowSettings,
) -> JoinedPlaces:
    points: list[Points] = [
        np.array([visit.place_of(lesion) for lesion in lesions]).reshape(-1, 3) for visit in templates
    ]
    anchors = [scans.anchors(visit.name, name, settings=settings.places) for visit in templates]
    predictions = [
        predict_places(pairs, places, settings=settings.places)
        for pairs, places in zip(anchors, points, strict=True)
    ]
    depth_mm = view_depth_mm(anchors, points, scans[name], settings=settings.places)
    joined = join_predictions(predictions, settings=settings.places)
    refinement = scans.model.card.usage.answers.refinement
    answers = [
        answer_from(
            scans[visit.name], scans[name], places, joined.points_mm, prediction, refinement=refinement
        )
        for visit, places, prediction in zip(templates, points, predictions, strict=True)
    ]
    return join_answers(answers, joined, depth_mm, settings=settings.places)


def _sources(lesion: int, before: Sequence[SeenVisit], settings: FollowSettings) -> list[_Source]:
    """Return a lesion at the visit where it was given and at the last one that shows it, which may be the same."""
    shown = [visit for visit in before if visit.shows(lesion)]
    found = [_source(lesion, visit, settings) for visit in (shown[0], *shown[-1:])]
    with_mask = [visit for visit in shown if visit.masks is not None and np.any(visit.masks.array == lesion)]
    if found[-1].mask is None and with_mask:
        found.insert(-1, _source(lesion, with_mask[-1], settings))
        found.append(found.pop(-2))
    return found


def _source(lesion: int, visit: SeenVisit, settings: FollowSettings) -> _Source:
    centre = np.array(visit.rows[lesion].point_mm)
    if visit.masks is None:
        return _Source(visit.name, centre, settings.look.point_radius_mm, None)
    inside = visit.masks.array == lesion
    if not inside.any():
        return _Source(visit.name, centre, settings.look.point_radius_mm, None)
    middle = visit.masks.world_from_voxel(np.argwhere(inside)).mean(axis=0)
    radius_mm = ball_radius_mm(float(inside.sum() * np.prod(visit.masks.spacing_mm)))
    return _Source(visit.name, middle, radius_mm, Volume(inside, visit.masks.affine))


def _answered_row(
    lesion: int,
    visit: AskedVisit,
    place: _Place,
    sources: Sequence[_Source],
    scans: VisitScans,
    *,
    settings: FollowSettings,
) -> tuple[LesionRow, FittedMask | None]:
    """Return the row of a lesion that is not given at a visit, and its mask where it has one."""
    row = LesionRow(
        lesion, visit.name, visit.date, "review", 0.0, np.nan, NOWHERE, place.how,
        place.disagreement_mm, place.refined, "none", (), "", "no visit before tells its place",
    )  # fmt: skip
    if not np.isfinite(place.point_mm).all():
        return row, None
    scan = require_raw(scans[visit.name]).volume
    trust = trust_place(
        error_mm=place.error_mm,
        depth_mm=place.depth_mm,
        depth_error_mm=settings.places.view.error_mm,
    )
    changes = []
    for source in sources:
        before = require_raw(scans[source.visit]).volume
        look = measure_look(before, source.centre_mm, source.radius_mm, settings=settings.look)
        changes.append(unlikeness(scan, place.point_mm, source.radius_mm, look, settings=settings.look))
    known = [change for change in changes if np.isfinite(change)]
    judged = judge_state(
        trust,
        presence=presence(min(known), settings=settings.look) if known else np.nan,
        disagreement_mm=place.disagreement_mm,
        settings=settings,
    )
    row = replace(
        row,
        state=judged.state,
        probability=judged.probability,
        radius_mm=trust.radius_mm,
        point_mm=NOWHERE if judged.state == "out_of_view" else _as_point(place.point_mm),
        note=judged.note,
    )
    if judged.state not in ("present", "review") or not scan.contains(place.point_mm):
        return row, None
    source = sources[-1]
    if source.mask is None:
        return row, None
    fit = fit_mask(
        scan,
        place.point_mm,
        source.mask,
        source.centre_mm,
        place.matrix,
        radius_mm=source.radius_mm,
        settings=settings.masks,
    )
    return row, fit


def _given_row(
    lesion: int,
    visit: AskedVisit,
    assigned: Assigned,
    covered: Mapping[int, Points],
    given: GivenLesions | None,
    *,
    label: str,
) -> LesionRow:
    """Return the row of a lesion that is followed and given."""
    parts = assigned.parts[lesion]
    sharers = assigned.sharers(lesion)
    state: State = "merged" if sharers else "split" if len(parts) > 1 else "given"
    has_mask = given is not None and given.masks is not None
    middle = np.vstack([covered[part] for part in parts]).mean(axis=0)
    return LesionRow(
        lesion, visit.name, visit.date, state, 1.0, np.nan, _as_point(middle), "given", np.nan, "",
        "given" if has_mask else "none", sharers, label, f"it is {len(parts)} lesions now" if state == "split" else "",
    )  # fmt: skip


def _with_masks(
    rows: Sequence[LesionRow],
    fitted: Mapping[int, FittedMask],
    masks: NDArray[np.uint16],
    grid: Volume,
    *,
    sources: Mapping[int, _Source],
) -> list[LesionRow]:
    """Return the rows with what their masks are, and write those into the free voxels of `masks`."""
    voxels = {lesion: fit.voxels_on(grid) for lesion, fit in fitted.items()}
    present = [row.lesion for row in rows if row.state == "present" and len(voxels.get(row.lesion, ()))]
    finished = []
    for row in rows:
        mine = voxels.get(row.lesion)
        if mine is None or not len(mine):
            finished.append(row)
            continue
        merged = tuple(
            other
            for other in present
            if row.lesion in present
            and other != row.lesion
            and _are_apart(sources[row.lesion], sources[other])
            and _touch(mine, voxels[other])
        )
        fit = fitted[row.lesion]
        chosen = mine[masks[tuple(mine.T)] == 0]
        masks[tuple(chosen.T)] = row.lesion
        note = "; ".join(filter(None, [row.note, f"carried mask: {fit.note}" if fit.note else ""]))
        kind: MaskKind = "fitted" if fit.is_fitted else "carried"
        state: State = "merged" if merged else row.state
        finished.append(replace(row, mask=kind, note=note, state=state, related=merged))
    return finished


def _are_apart(first: _Source, second: _Source) -> bool:
    """Say whether two lesions did not touch at the visit that shows both."""
    apart_mm = float(np.linalg.norm(first.centre_mm - second.centre_mm))
    return first.visit == second.visit and apart_mm > first.radius_mm + second.radius_mm


def _touch(first: NDArray[np.int64], second: NDArray[np.int64]) -> bool:
    """Say whether two sets of (N, 3) voxels overlap, or hold two that are neighbours along an axis."""
    return bool(cKDTree(first).query(second, distance_upper_bound=TOUCHING_VOX)[0].min() <= 1.0)


def _as_point(point_mm: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = map(float, point_mm)
    return x, y, z
