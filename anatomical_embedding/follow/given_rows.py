"""The rows of lesions that a user gives at a visit: they are as they are given."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.given import Assigned
from anatomical_embedding.follow.lesion_input import GivenLesions
from anatomical_embedding.follow.records import LesionRow, MaskKind, State
from anatomical_embedding.follow.seen import NOWHERE
from anatomical_embedding.follow.visits import AskedVisit
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

CUT = "the scan shows a part of it, at its edge"


def given_row(
    lesion: int,
    visit: AskedVisit,
    state: State,
    covered_mm: Points,
    given: GivenLesions | None,
    *,
    label: str,
    related: tuple[int, ...] = (),
    note: str = "",
) -> LesionRow:
    """Return the row of a lesion at the middle of the (N, 3) points that it covers."""
    mask: MaskKind = "given" if given is not None and given.masks is not None else "none"
    place = as_point(covered_mm.mean(axis=0))
    return LesionRow(
        lesion, visit.name, visit.date, state, 1.0, np.nan, place, "given", np.nan, "", mask, related, label, note
    )  # fmt: skip


def followed_row(
    lesion: int,
    visit: AskedVisit,
    assigned: Assigned,
    covered_mm: Mapping[int, Points],
    given: GivenLesions | None,
    *,
    label: str,
) -> LesionRow:
    """Return the row of a lesion that is followed and given: as it is, merged, split, or cut by the scan."""
    parts, sharers = assigned.parts[lesion], assigned.sharers(lesion)
    state: State = "merged" if sharers else "split" if len(parts) > 1 else "given"
    note = f"it is {len(parts)} lesions now" if state == "split" else ""
    covered = np.vstack([covered_mm[part] for part in parts])
    row = given_row(lesion, visit, state, covered, given, label=label, related=sharers, note=note)
    if state == "given" and given is not None and given.masks is not None:
        if middle_is_outside(covered, given.masks):
            return replace(row, state="out_of_view", point_mm=NOWHERE, note=CUT)
    return row


def middle_is_outside(covered_mm: Points, scan: Volume) -> bool:
    """Say whether a mask of the (N, 3) points is widest in an outermost layer of a scan: its middle lies beyond."""
    voxels = np.rint(scan.voxel_from_world(covered_mm)).astype(np.int64)
    widths = [np.bincount(along, minlength=size) for along, size in zip(voxels.T, scan.shape, strict=True)]
    return any(max(width[0], width[-1]) == width.max() for width in widths)


def as_point(point_mm: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return a place as a row holds it."""
    x, y, z = map(float, point_mm)
    return x, y, z
