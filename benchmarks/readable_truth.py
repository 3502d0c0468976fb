"""What a reader could sign of the lesions of a body: by the true voxels of each scan, never by what was found.

What was drawn is not always what a scan can show: two balls that overlap by a millimetre are one mass on voxels of
3 mm, and halves of 4 mm are none that anybody measures. So states are told from the true masks on the voxels of the
scan: what hangs together there by faces is one, and what has a whole voxel between is apart. Voxels that share no more
than an edge or a corner are neither: no face joins them, and yet `follow` reads them as one lesion in a map of one
number. Lesions that no reader could judge are counted beside the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as connected_parts

from anatomical_embedding.follow.lesion_input import TOUCHING as BY_CORNERS
from anatomical_embedding.phantom.visits import TrueLesion
from benchmarks.followed_bodies import VISIBLE, FollowedBody, KnownVisit

MEASURABLE_MM = 10.0
"""Longest diameter from which on a lesion can be measured (RECIST 1.1, slices of up to 5 mm)."""
Structure = NDArray[np.float64] | None
FAINT, SMALL, CUT, TOUCHING = "faint", "small", "cut", "touching"
"""Why a lesion is counted beside the others.

`faint`: it, or one that it touches now, hardly differs from its surroundings where that is given. `small`: it or one of
its parts is below `MEASURABLE_MM`, where it is given or now. `cut`: the border of the scan passes through it, or where
it was. `touching`: it touches one that touched it before, is new, or has its middle out of view, so that nobody can say
whether they have merged; before, an edge or a corner is enough, since two that were never apart cannot become one. Or
an edge or a corner is all that joins it to another now, or one of its parts to the other.
"""


@dataclass(frozen=True)
class ReadableTruth:
    """What a reader could say of a lesion at a visit.

    Attributes
    ----------
    state : `present`, `gone`, `out_of_view`, `merged` or `split`; `new` where the first visit does not show it.
    beside : why it is counted beside the others; empty where it is not.
    """

    state: str
    beside: str


def readable_truth(
    body: FollowedBody, visit: int, contrasts: Mapping[int, float]
) -> dict[int, ReadableTruth]:
    """Return by lesion what a reader could say at a visit, of all lesions that are there or were.

    Parameters
    ----------
    visit : from 0.
    contrasts : of the lesions of the first visit, as `FollowedBody.contrasts` gives them.
    """
    first, now = body.visits[0], body.visits[visit]
    before, near = touching_lesions(first, BY_CORNERS), touching_lesions(now, BY_CORNERS)
    touching = touching_lesions(now)
    firsts_mm = {lesion.number: _smallest_radius_mm(lesion) for lesion in first.lesions}
    in_view = {lesion.number for lesion in now.lesions if lesion.state not in ("out_of_view", "absent")}
    truths = {}
    for lesion in now.lesions:
        number, partners = lesion.number, touching[lesion.number]
        smallest_mm = _smallest_radius_mm(lesion)
        if not body.was_shown(number):
            beside = SMALL if 2.0 * smallest_mm < MEASURABLE_MM else ""
            truths[number] = ReadableTruth("new", beside)
            continue
        state = _read_state(now, lesion, partners)
        can_merge = {other for other in in_view if body.was_shown(other)} - before[number]
        smallest_mm = min(firsts_mm[number], smallest_mm if state not in ("gone", "out_of_view") else np.inf)
        beside = ""
        if min(contrasts.get(each, np.inf) for each in (number, *partners)) < VISIBLE:
            beside = FAINT
        elif 2.0 * smallest_mm < MEASURABLE_MM:
            beside = SMALL
        elif _is_cut(now, lesion, firsts_mm[number]):
            beside = CUT
        elif (
            (state == "merged" and not partners <= can_merge)
            or (state == "present" and not near[number] <= before[number])
            or (state == "split" and _num_parts(now, number, BY_CORNERS) == 1)
        ):
            beside = TOUCHING
        truths[number] = ReadableTruth(state, beside)
    return truths


def touching_lesions(visit: KnownVisit, structure: Structure = None) -> dict[int, set[int]]:
    """Return by lesion the others whose voxels hang together with its own, by faces or a (3, 3, 3) `structure`."""
    labels = visit.labels.array
    parts, _ = connected_parts(labels > 0, structure=structure)
    pairs = np.unique(np.stack([labels[labels > 0], parts[labels > 0]], axis=1), axis=0)
    return {
        lesion.number: {
            int(other)
            for number, part in pairs
            if number == lesion.number
            for other in pairs[pairs[:, 1] == part, 0]
            if other != lesion.number
        }
        for lesion in visit.lesions
    }


def _read_state(visit: KnownVisit, lesion: TrueLesion, partners: set[int]) -> str:
    if lesion.state in ("gone", "out_of_view"):
        return lesion.state
    if partners:
        return "merged"
    return "split" if lesion.state == "split" and _num_parts(visit, lesion.number) > 1 else "present"


def _num_parts(visit: KnownVisit, number: int, structure: Structure = None) -> int:
    return int(connected_parts(visit.labels.array == number, structure=structure)[1])


def _is_cut(visit: KnownVisit, lesion: TrueLesion, first_mm: float) -> bool:
    """Say whether a scan ends within a lesion, or within the ball where it was."""
    depths = [
        visit.labels.depth_mm(centre) / radius_mm
        for centre, radius_mm in lesion.balls or ((lesion.centre_mm, first_mm),)
    ]
    return bool(min(depths) < 1.0 and max(depths) > -1.0)


def _smallest_radius_mm(lesion: TrueLesion) -> float:
    return min((radius_mm for _, radius_mm in lesion.balls), default=np.inf)
