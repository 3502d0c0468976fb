"""One visit: what became of every lesion known by then, and the lesions that are given there.

A visit depends on those before it alone, so that a later one changes nothing of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.fit_mask import FittedMask, fit_mask
from anatomical_embedding.follow.given import assign_given, voxels_mm
from anatomical_embedding.follow.given_rows import as_point, followed_row, given_row
from anatomical_embedding.follow.lesion_input import GivenLesions
from anatomical_embedding.follow.look import likeness, measure_look, presence
from anatomical_embedding.follow.merged import mark_merged
from anatomical_embedding.follow.place_masks import place_masks
from anatomical_embedding.follow.places import (
    JoinedPlaces,
    answer_from,
    join_answers,
    join_predictions,
    predict_places,
    view_depth_mm,
)
from anatomical_embedding.follow.records import How, LesionRow, PointMm, State
from anatomical_embedding.follow.seen import NOWHERE, SeenVisit, Source, first_labels, sources_of
from anatomical_embedding.follow.states import judge_state, trust_place
from anatomical_embedding.follow.visits import AskedVisit, VisitScans
from anatomical_embedding.settings.follow import FollowSettings
from anatomical_embedding.usage.scans import require_raw
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume


@dataclass(frozen=True)
class FollowedVisit:
    """What is known of a visit afterwards: its rows, and lesion numbers on its voxels (None without any)."""

    rows: tuple[LesionRow, ...]
    masks: Volume | None


def follow_visit(
    visit: AskedVisit,
    before: Sequence[SeenVisit],
    given: GivenLesions | None,
    moved: Mapping[int, PointMm],
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
    moved : by lesion the place to which a reader moved it at this visit.
    scans : of the patient.

    Raises
    ------
    UserError
        if a scan cannot be read or embedded.
    """
    labels = first_labels(before)
    covered = voxels_mm(given) if given is not None else {}
    target = require_raw(scans[visit.name]).volume
    masks = np.zeros(target.shape, dtype=np.uint16)
    joined = {
        lesion: _moved_to(place, moved.get(lesion))
        for lesion, place in _answers(visit.name, before, list(labels), scans, settings=settings)
    }
    sources = {lesion: sources_of(lesion, before, settings) for lesion in labels}
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
            row = followed_row(lesion, visit, assigned, covered, given, label=labels[lesion])
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
        state: State = "new" if before else "given"
        rows.append(given_row(lesion, visit, state, covered[number], given, label=names.get(number, "")))
        if given is not None and given.masks is not None:
            masks[given.masks.array == number] = lesion
    firsts = {lesion: each[0] for lesion, each in sources.items()}
    rows = mark_merged(rows, firsts, scans, target, settings=settings)
    rows = place_masks(rows, fitted, masks, target)
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
            lesion, visit, place, sources_of(lesion, chain, settings), scans, settings=settings
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


def _moved_to(place: _Place, point_mm: PointMm | None) -> _Place:
    """Return a place where a reader put it; as it is where none did."""
    if point_mm is None:
        return place
    return replace(place, point_mm=np.array(point_mm), disagreement_mm=np.nan, refined="", how="moved")


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


def _answered_row(
    lesion: int,
    visit: AskedVisit,
    place: _Place,
    sources: Sequence[Source],
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
    if place.how == "moved":
        row = replace(row, state="present", probability=1.0, point_mm=as_point(place.point_mm), note="")
        return row, _fitted(scan, place, sources[-1], settings)
    trust = trust_place(
        error_mm=place.error_mm,
        depth_mm=place.depth_mm,
        depth_error_mm=settings.places.view.error_mm,
        within_mm=scans.model.card.usage.confidence.fit.within_mm,
    )
    looks = []
    for source in sources:
        before = require_raw(scans[source.visit]).volume
        now, then = (
            measure_look(volume, middle_mm, source.radius_mm, settings=settings.look)
            for volume, middle_mm in ((scan, place.point_mm), (before, source.centre_mm))
        )
        looks.append(likeness(now, then))
    judged = judge_state(
        trust,
        presence=presence(looks, settings=settings.look),
        disagreement_mm=place.disagreement_mm,
        settings=settings,
    )
    row = replace(
        row,
        state=judged.state,
        probability=judged.probability,
        radius_mm=trust.radius_mm,
        point_mm=NOWHERE if judged.state == "out_of_view" else as_point(place.point_mm),
        note=judged.note,
    )
    if judged.state not in ("present", "review") or not scan.contains(place.point_mm):
        return row, None
    return row, _fitted(scan, place, sources[-1], settings)


def _fitted(scan: Volume, place: _Place, source: Source, settings: FollowSettings) -> FittedMask | None:
    """Return the mask of a lesion carried to its place and fitted there; None where there are only points."""
    if source.mask is None:
        return None
    return fit_mask(
        scan,
        place.point_mm,
        source.mask,
        source.centre_mm,
        place.matrix,
        radius_mm=source.radius_mm,
        settings=settings.masks,
    )
