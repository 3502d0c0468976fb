"""One visit: what became of every lesion known by then, and the lesions that are given there.

A visit depends on those before it alone, so that a later one changes nothing of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.answered import answered_row
from anatomical_embedding.follow.fit_mask import FittedMask
from anatomical_embedding.follow.given import assign_given, voxels_mm
from anatomical_embedding.follow.given_rows import followed_row, given_row
from anatomical_embedding.follow.lesion_input import GivenLesions
from anatomical_embedding.follow.merged import mark_merged
from anatomical_embedding.follow.place_masks import place_masks
from anatomical_embedding.follow.places import (
    AnsweredPlace,
    answer_from,
    answer_from_around,
    join_answers,
    join_predictions,
    moved_to,
    predict_places,
    view_depth_mm,
)
from anatomical_embedding.follow.records import LesionRow, PointMm, State
from anatomical_embedding.follow.seen import SeenVisit, Source, first_labels, last_state, sources_of
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
    sources = {lesion: sources_of(lesion, before, settings) for lesion in labels}
    joined = {
        lesion: moved_to(place, moved.get(lesion))
        for lesion, place in _answers(visit.name, before, sources, scans, settings=settings)
    }
    assigned = assign_given(
        covered,
        list(joined),
        np.array([each.point_mm for each in joined.values()]).reshape(-1, 3),
        [sources[lesion][-1].radius_mm for lesion in joined],
        depths_mm=[each.depth_mm for each in joined.values()],
        depth_error_mm=settings.places.view.error_mm,
        near_mm=settings.same_lesion_mm,
    )
    rows: list[LesionRow] = []
    fitted: dict[int, tuple[FittedMask, ...]] = {}
    for lesion in joined:
        if lesion in assigned.parts:
            row = followed_row(lesion, visit, assigned, covered, given, label=labels[lesion])
            first = min((lesion, *row.related)) if row.state == "merged" else lesion
            _draw(given, assigned.parts[lesion], first, masks)
        else:
            row, fitted[lesion] = _answered(
                lesion, visit, joined, sources, before=before, scans=scans, settings=settings
            )
            row = replace(row, label=labels[lesion])
        rows.append(row)
    names = {lesion.number: lesion.label for lesion in given.lesions} if given is not None else {}
    state: State = "new" if before else "given"
    lesions = count(max(labels, default=0) + 1) if before else assigned.new
    for lesion, number in zip(lesions, assigned.new, strict=False):
        rows.append(given_row(lesion, visit, state, covered[number], given, label=names.get(number, "")))
        _draw(given, (number,), lesion, masks)
    firsts = {lesion: each[0] for lesion, each in sources.items()}
    asked = {lesion: place for lesion, place in joined.items() if lesion not in assigned.parts}
    rows = mark_merged(rows, firsts, asked, scans, target, settings=settings)
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
    sources = {lesion: sources_of(lesion, chain, settings) for lesion in known.rows}
    joined = dict(_answers(visit.name, chain, sources, scans, settings=settings))
    rows = []
    for lesion in joined:
        row, _ = _answered(lesion, visit, joined, sources, before=chain, scans=scans, settings=settings)
        note = row.note or ("it is not there yet" if row.state == "gone" else "")
        rows.append(replace(row, label=known.rows[lesion].label, mask="none", note=note))
    return tuple(rows)


def _draw(given: GivenLesions | None, numbers: Sequence[int], lesion: int, masks: NDArray[np.uint16]) -> None:
    """Draw what is given under some numbers as one lesion; points cover nothing."""
    if given is not None and given.masks is not None:
        masks[np.isin(given.masks.array, numbers)] = lesion


def _answered(
    lesion: int,
    visit: AskedVisit,
    joined: Mapping[int, AnsweredPlace],
    sources: Mapping[int, Sequence[Source]],
    *,
    before: Sequence[SeenVisit],
    scans: VisitScans,
    settings: FollowSettings,
) -> tuple[LesionRow, tuple[FittedMask, ...]]:
    """Return row and masks of one of the lesions that are looked for at a visit, the others beside it."""
    others_mm = [
        (place.point_mm, sources[other][0].radius_mm)
        for other, place in joined.items()
        if other != lesion and np.isfinite(place.point_mm).all()
    ]
    return answered_row(
        lesion,
        visit,
        joined[lesion],
        sources[lesion],
        scans,
        others_mm=others_mm,
        last=last_state(lesion, before),
        settings=settings,
    )


def _answers(
    name: str,
    before: Sequence[SeenVisit],
    sources: Mapping[int, Sequence[Source]],
    scans: VisitScans,
    *,
    settings: FollowSettings,
) -> Iterator[tuple[int, AnsweredPlace]]:
    """Give the place of each lesion by the visit where it was given and the nearest ones between."""
    for origin in range(len(before)):
        mine = [lesion for lesion in sources if _origin(lesion, before) == origin]
        if not mine:
            continue
        nearest = range(max(origin + 1, len(before) - settings.places.num_neighbours), len(before))
        templates = [before[origin], *(before[place] for place in nearest)]
        radii_mm = np.array([sources[lesion][0].radius_mm for lesion in mine])
        places = _join(name, templates, mine, radii_mm, scans, settings=settings)
        yield from zip(mine, places, strict=True)


def _origin(lesion: int, before: Sequence[SeenVisit]) -> int:
    return next(place for place, visit in enumerate(before) if lesion in visit.rows)


def _join(
    name: str,
    templates: Sequence[SeenVisit],
    lesions: Sequence[int],
    radii_mm: NDArray[np.float64],
    scans: VisitScans,
    *,
    settings: FollowSettings,
) -> list[AnsweredPlace]:
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
    first = answer_from_around(
        scans[templates[0].name],
        scans[name],
        points[0],
        joined.points_mm,
        predictions[0],
        radii_mm=radii_mm,
        settings=settings.places,
        refinement=refinement,
    )
    others = [
        answer_from(
            scans[visit.name], scans[name], places, joined.points_mm, prediction, refinement=refinement
        )
        for visit, places, prediction in zip(templates[1:], points[1:], predictions[1:], strict=True)
    ]
    answers = [first, *others]
    return join_answers(answers, joined, depth_mm, settings=settings.places)
