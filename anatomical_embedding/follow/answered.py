"""What became of one lesion that is not given at a visit: its place looked at, its state judged, its mask fitted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.fit_mask import HARDLY_DIFFER, NO_EDGE, FittedMask, fit_mask, likeness_of_fit
from anatomical_embedding.follow.given_rows import as_point
from anatomical_embedding.follow.grown import grown_mask
from anatomical_embedding.follow.lesion_tissue import middle_of_tissue
from anatomical_embedding.follow.look import Look, likeness, measure_look, presence
from anatomical_embedding.follow.places import AnsweredPlace
from anatomical_embedding.follow.records import LesionRow, State
from anatomical_embedding.follow.seen import NOWHERE, Source
from anatomical_embedding.follow.split import Parts, find_parts
from anatomical_embedding.follow.states import JudgedState, PlaceTrust, judge_state, trust_place
from anatomical_embedding.follow.surroundings import Way
from anatomical_embedding.follow.visits import AskedVisit, VisitScans
from anatomical_embedding.matching.refine_scans import REFINED
from anatomical_embedding.settings.follow import FollowSettings, LookSettings, MaskSettings, TissueSettings
from anatomical_embedding.usage.scans import require_raw
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

SHOWS, EMPTY = 0.8, 0.2
"""A place shows the lesion, or does not, from and up to these probabilities of its being there."""
FAINT = "it hardly differs from its surroundings where it was given"


@dataclass(frozen=True)
class _Looked:
    """A place beside the lesion at the visits that show it.

    Attributes
    ----------
    presence : probability that it is there; NaN where nothing tells it.
    point_mm : (3,) the place; where the scans do not confirm it, the middle of the lesion's tissue round it, and of a
        lesion in two parts the middle between these.
    visibility : of the lesion there.
    parts : it is in two parts; None where it is whole, gone or hardly visible.
    is_settled : whether scans confirm the place, and none of the other places that they confirm shows the lesion.
    """

    presence: float
    point_mm: NDArray[np.float64]
    visibility: float
    parts: Parts | None
    is_settled: bool


def answered_row(
    lesion: int,
    visit: AskedVisit,
    place: AnsweredPlace,
    sources: Sequence[Source],
    scans: VisitScans,
    *,
    others_mm: Sequence[tuple[NDArray[np.float64], float]],
    last: State | None,
    settings: FollowSettings,
) -> tuple[LesionRow, tuple[FittedMask, ...]]:
    """Return the row of a lesion that is not given at a visit, and its masks: one, one a part, or none.

    Parameters
    ----------
    others_mm : (3,) places and radii of the other lesions at the visit.
    last : what the last visit that tells its state called it: what was in two parts seldom is whole again.
    """
    row = LesionRow(
        lesion, visit.name, visit.date, "review", 0.0, np.nan, NOWHERE, place.how,
        place.disagreement_mm, place.refined, "none", (), "", "no visit before tells its place",
    )  # fmt: skip
    if not np.isfinite(place.point_mm).all():
        return row, ()
    scan = require_raw(scans[visit.name]).volume
    if place.how == "moved":
        row = replace(row, state="present", probability=1.0, point_mm=as_point(place.point_mm), note="")
        return row, _fitted(scan, place, sources, scans, is_visible=True, settings=settings)
    trust = trust_place(
        error_mm=place.error_mm,
        depth_mm=place.depth_mm,
        depth_error_mm=settings.places.view.error_mm,
        within_mm=scans.model.card.usage.confidence.fit.within_mm,
    )
    looked = _look(scan, place, sources, scans, others_mm, last=last, settings=settings)
    judged = _judged(trust, looked, place.disagreement_mm, settings=settings)
    place = replace(place, point_mm=looked.point_mm)
    row = replace(
        row,
        state=judged.state,
        probability=judged.probability,
        radius_mm=trust.radius_mm,
        point_mm=NOWHERE if judged.state == "out_of_view" else as_point(place.point_mm),
        note="it is 2 parts now" if judged.state == "split" else judged.note,
    )
    if judged.state == "split" and looked.parts is not None:
        return row, _fitted_parts(scan, place, looked.parts.middles_mm, sources[0], scans, settings=settings)
    if judged.state not in ("present", "review") or not scan.contains(place.point_mm):
        return row, ()
    fits = _fitted(scan, place, sources, scans, is_visible=looked.visibility == 1.0, settings=settings)
    if judged.state == "present" and fits and fits[0].is_fitted:
        share = settings.masks.share_of_place
        row = replace(row, point_mm=as_point((1.0 - share) * place.point_mm + share * fits[0].centre_mm))
    return row, fits


def _judged(
    trust: PlaceTrust, looked: _Looked, disagreement_mm: float, *, settings: FollowSettings
) -> JudgedState:
    """Return the state of a lesion by its place and how that looks; a lesion that hardly shows is called so."""
    judged = judge_state(
        trust,
        presence=looked.presence,
        split=0.0 if looked.parts is None else looked.parts.probability,
        disagreement_mm=np.nan if looked.is_settled else disagreement_mm,
        settings=settings,
    )
    if judged.state == "review" and looked.visibility < 1.0:
        return replace(judged, note="; ".join(filter(None, (judged.note, FAINT))))
    return judged


def _look(
    scan: Volume,
    place: AnsweredPlace,
    sources: Sequence[Source],
    scans: VisitScans,
    others_mm: Sequence[tuple[NDArray[np.float64], float]],
    *,
    last: State | None,
    settings: FollowSettings,
) -> _Looked:
    """Return how a place looks beside the lesion at the visits that show it.

    Where it does not show the lesion, another place that scans confirm may.
    """
    befores = [require_raw(scans[each.visit]).volume for each in sources]
    looks = [
        measure_look(before, each.centre_mm, each.radius_mm, settings=settings.look)
        for before, each in zip(befores, sources, strict=True)
    ]
    lesions = list(zip(sources, looks, strict=True))
    is_confirmed = place.refined == REFINED
    # Where the scans confirm a place, tissue beside it is not the lesion's: it would hide that one has gone.
    tissue = None if is_confirmed else settings.tissue
    places_mm = [place.point_mm, *place.elsewhere_mm]
    chances = [_presence(scan, each, lesions, tissue=tissue, settings=settings.look) for each in places_mm]
    best = int(np.argmax(np.nan_to_num(chances)))
    if chances[0] >= SHOWS or not chances[best] >= SHOWS:
        best = 0
    visibility = looks[0].visibility(settings.look)
    parts = None
    if visibility >= settings.splitting.visibility:
        # One part shows the lesion where its place is between the two, so that place is asked first.
        ways = [
            Way(sources[0].centre_mm, places_mm[number], place.matrix_from_given)
            for number in dict.fromkeys((0, best))
        ]
        parts = _likely_parts(befores[0], scan, ways, lesions[0], others_mm, last=last, settings=settings)
    if parts is None:
        point_mm = _middle(scan, places_mm[best], lesions[0], tissue)
    else:
        point_mm = parts.middles_mm.mean(axis=0)
    others = [chance for number, chance in enumerate(chances) if number != best]
    is_settled = is_confirmed and all(chance < EMPTY for chance in others)
    return _Looked(chances[best], point_mm, visibility, parts, is_settled)


def _presence(
    scan: Volume,
    point_mm: NDArray[np.float64],
    lesions: Sequence[tuple[Source, Look]],
    *,
    tissue: TissueSettings | None,
    settings: LookSettings,
) -> float:
    """Return the probability that a lesion is at a place, or in the tissue round it, by the visits that show it."""
    likenesses = []
    for source, then in lesions:
        middle_mm = _middle(scan, point_mm, (source, then), tissue)
        now = measure_look(scan, middle_mm, source.radius_mm, settings=settings)
        likenesses.append(likeness(now, then, visibility=then.visibility(settings)))
    return presence(likenesses, settings=settings)


def _middle(
    scan: Volume,
    point_mm: NDArray[np.float64],
    lesion: tuple[Source, Look],
    tissue: TissueSettings | None,
) -> NDArray[np.float64]:
    """Return the middle of a lesion's tissue round a place; the place itself where no tissue is asked for."""
    if tissue is None:
        return point_mm
    source, look = lesion
    return middle_of_tissue(scan, point_mm, look, source.radius_mm, settings=tissue)


def _likely_parts(
    before: Volume,
    scan: Volume,
    ways: Sequence[Way],
    lesion: tuple[Source, Look],
    others_mm: Sequence[tuple[NDArray[np.float64], float]],
    *,
    last: State | None,
    settings: FollowSettings,
) -> Parts | None:
    """Return the two parts that a lesion is in by the first way that likely leads to them."""
    for way in ways:
        parts = find_parts(before, scan, way, lesion, others_mm, last=last, settings=settings.splitting)
        if parts is not None and parts.probability >= settings.present_probability:
            return parts
    return None


def _fitted(
    scan: Volume,
    place: AnsweredPlace,
    sources: Sequence[Source],
    scans: VisitScans,
    *,
    is_visible: bool,
    settings: FollowSettings,
) -> tuple[FittedMask, ...]:
    """Return the mask of a lesion carried to its place and fitted there; none where there are only points.

    The mask that was given is tried first: one that was fitted has an error of its own, which another fit adds to. It
    fits only what has not changed too much, and the nearest mask is what else is tried. A mask that is not found again
    in its own scan is not fitted here. Where no fit is trusted the given one is carried, as large as the scan tells:
    carried on from visit to visit, small masks lose a part each time.
    """
    carried, doubt = None, ""
    tried = [(sources[0], place.matrix_from_given)]
    if sources[-1].visit != sources[0].visit:
        tried.append((sources[-1], place.matrix))
    for source, matrix in tried:
        if source.mask is None:
            continue
        if not (doubt and source.is_copy):  # a copy has no more of an edge than what it was copied from
            doubt = _doubt(source, scans, settings.masks) if is_visible else HARDLY_DIFFER
        fit = fit_mask(
            scan,
            place.point_mm,
            source.mask,
            source.centre_mm,
            matrix,
            radius_mm=source.radius_mm,
            doubt=doubt,
            settings=settings.masks,
        )
        if fit.is_fitted:
            return (fit,)
        carried = fit if carried is None else carried
    return (
        ()
        if carried is None
        else (_grown(scan, place, sources[0], scans, carried=carried, settings=settings),)
    )


def _doubt(source: Source, scans: VisitScans, settings: MaskSettings) -> str:
    """Return why a fit of a mask would not be trusted at any visit; empty where its own scan shows its edge."""
    if source.mask is None:
        return ""
    scan = require_raw(scans[source.visit]).volume
    likeness = likeness_of_fit(
        scan, source.mask, source.centre_mm, radius_mm=source.radius_mm, settings=settings
    )
    return "" if likeness >= settings.least_likeness else NO_EDGE


def _grown(
    scan: Volume,
    place: AnsweredPlace,
    source: Source,
    scans: VisitScans,
    *,
    carried: FittedMask,
    settings: FollowSettings,
) -> FittedMask:
    """Return the mask that was given, grown as the scan tells; what is carried where it does not."""
    before = require_raw(scans[source.visit]).volume
    look = measure_look(before, source.centre_mm, source.radius_mm, settings=settings.look)
    way = Way(source.centre_mm, place.point_mm, place.matrix_from_given)
    grown = grown_mask(before, scan, way, (source, look), smallest_share=settings.masks.grown_share)
    if grown is None or source.mask is None:
        return carried
    scale, middle_mm = grown
    found = fit_mask(
        scan,
        middle_mm,
        source.mask,
        source.centre_mm,
        scale * place.matrix_from_given,
        radius_mm=scale * source.radius_mm,
        doubt=carried.note,
        settings=settings.masks,
    )
    return replace(found, is_grown=True)


def _fitted_parts(
    scan: Volume,
    place: AnsweredPlace,
    parts_mm: Points,
    source: Source,
    scans: VisitScans,
    *,
    settings: FollowSettings,
) -> tuple[FittedMask, ...]:
    """Return the masks of two parts: that which was given, of half its volume, carried to each and fitted there.

    They are fitted only where the mask is found again in its own scan, as that of a lesion that is whole.
    """
    if source.mask is None:
        return ()
    smaller, doubt = 0.5 ** (1 / 3), _doubt(source, scans, settings.masks)
    return tuple(
        fit_mask(
            scan,
            middle_mm,
            source.mask,
            source.centre_mm,
            smaller * place.matrix_from_given,
            radius_mm=smaller * source.radius_mm,
            doubt=doubt,
            settings=settings.masks,
        )
        for middle_mm in parts_mm
    )
