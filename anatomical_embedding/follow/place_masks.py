"""The fitted masks of a visit put into one map, and the lesions whose masks have come to touch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from anatomical_embedding.follow.fit_mask import FittedMask
from anatomical_embedding.follow.records import LesionRow, MaskKind, State
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.volumes.volume import Volume

TOUCHING_VOX = 1.5
"""Voxels farther apart are not looked at."""


def place_masks(
    rows: Sequence[LesionRow],
    fitted: Mapping[int, FittedMask],
    masks: NDArray[np.uint16],
    grid: Volume,
    *,
    sources: Mapping[int, Source],
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


def _are_apart(first: Source, second: Source) -> bool:
    """Say whether two lesions did not touch at the visit that shows both."""
    apart_mm = float(np.linalg.norm(first.centre_mm - second.centre_mm))
    return first.visit == second.visit and apart_mm > first.radius_mm + second.radius_mm


def _touch(first: NDArray[np.int64], second: NDArray[np.int64]) -> bool:
    """Say whether two sets of (N, 3) voxels overlap, or hold two that are neighbours along an axis."""
    return bool(cKDTree(first).query(second, distance_upper_bound=TOUCHING_VOX)[0].min() <= 1.0)
