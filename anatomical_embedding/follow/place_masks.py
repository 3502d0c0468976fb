"""The fitted masks of a visit put into one map."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.fit_mask import FittedMask
from anatomical_embedding.follow.records import LesionRow, MaskKind, merged_groups
from anatomical_embedding.volumes.volume import Volume


def place_masks(
    rows: Sequence[LesionRow],
    fitted: Mapping[int, Sequence[FittedMask]],
    masks: NDArray[np.uint16],
    grid: Volume,
) -> list[LesionRow]:
    """Return the rows with what their masks are, and write those into the free voxels of `masks`.

    Lesions that have merged have one mask, all that was found for any of them, under the first of their numbers.
    """
    finished = []
    merged = merged_groups(rows)
    for row in rows:
        together = merged.get(row.lesion, (row.lesion,))
        fits = [fit for lesion in together for fit in fitted.get(lesion, ())]
        kept = [mask for mask in (fit.voxels_on(grid) for fit in fits) if len(mask)]
        if not kept:
            finished.append(row)
            continue
        mine = np.vstack(kept)
        chosen = mine[masks[tuple(mine.T)] == 0]
        masks[tuple(chosen.T)] = together[0]
        kind: MaskKind = "fitted"
        said = next((fit.note for fit in fits if fit.note), "")
        if not all(fit.is_fitted for fit in fits):
            kind = "grown" if all(fit.is_fitted or fit.is_grown for fit in fits) else "carried"
            said = f"{kind} mask: {said}" + (
                ", and the scan does not tell its size" if kind == "carried" else ""
            )
        finished.append(replace(row, mask=kind, note="; ".join(filter(None, [row.note, said]))))
    return finished
