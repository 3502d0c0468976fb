"""The fitted masks of a visit put into one map."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.fit_mask import FittedMask
from anatomical_embedding.follow.records import LesionRow, MaskKind
from anatomical_embedding.volumes.volume import Volume


def place_masks(
    rows: Sequence[LesionRow],
    fitted: Mapping[int, FittedMask],
    masks: NDArray[np.uint16],
    grid: Volume,
) -> list[LesionRow]:
    """Return the rows with what their masks are, and write those into the free voxels of `masks`."""
    voxels = {lesion: fit.voxels_on(grid) for lesion, fit in fitted.items()}
    finished = []
    for row in rows:
        mine = voxels.get(row.lesion)
        if mine is None or not len(mine):
            finished.append(row)
            continue
        fit = fitted[row.lesion]
        chosen = mine[masks[tuple(mine.T)] == 0]
        masks[tuple(chosen.T)] = row.lesion
        note = "; ".join(filter(None, [row.note, f"carried mask: {fit.note}" if fit.note else ""]))
        kind: MaskKind = "fitted" if fit.is_fitted else "carried"
        finished.append(replace(row, mask=kind, note=note))
    return finished
