"""Queries asked once more in targets that end above or below some height, so that some places are out of view.

From them a confidence learns what such answers look like (`evaluation/confidence/fit.py`).
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from anatomical_embedding.evaluation.landmarks.tables import TRUTH_COLUMNS, VIEW_COLUMNS
from anatomical_embedding.volumes.volume import Volume

STEP_VOX = 16
"""Targets are cut at multiples of this many voxels: no network here has coarser cells, and none is cut through."""
MOST_PLANES = 3


def cut_planes(num_slices: int) -> list[int]:
    """Return the first slices above the cuts, at most three and evenly apart.

    Examples
    --------
    >>> cut_planes(100), cut_planes(40), cut_planes(16)
    ([16, 48, 96], [16, 32], [])
    """
    planes = list(range(STEP_VOX, num_slices, STEP_VOX))
    if len(planes) <= MOST_PLANES:
        return planes
    return [planes[place] for place in np.linspace(0, len(planes) - 1, MOST_PLANES).round().astype(int)]


def with_cut_views(
    queries: pd.DataFrame,
    volumes: Mapping[str, Volume],
    *,
    planes: Callable[[int], Iterable[int]] = cut_planes,
) -> pd.DataFrame:
    """Return the queries of whole targets, then those of cut ones, with `VIEW_COLUMNS` and `is_in_view`.

    Parameters
    ----------
    queries : of `make_queries`.
    volumes : volume id to prepared volume, whose third axis runs along the body.
    planes : number of slices -> the first slices above the cuts, each between two cells of the network.
    """
    parts = [queries.assign(**dict.fromkeys(VIEW_COLUMNS, np.nan), is_in_view="true")]
    for target_id, rows in queries.groupby("target_id", sort=True):
        volume = volumes[str(target_id)]
        height_vox = volume.voxel_from_world(rows[list(TRUTH_COLUMNS)].to_numpy())[:, 2]
        for plane in planes(volume.shape[2]):
            middle = (np.array(volume.shape) - 1) / 2.0
            plane_mm = float(volume.world_from_voxel([*middle[:2], plane - 0.5])[2])
            rises = volume.affine[2, 2] > 0
            is_before = height_vox < plane - 0.5
            for name, is_kept, is_low in (("below", is_before, rises), ("above", ~is_before, not rises)):
                view = (np.nan, plane_mm) if is_low else (plane_mm, np.nan)
                parts.append(
                    rows.assign(
                        **dict(zip(VIEW_COLUMNS, view, strict=True)),
                        is_in_view=np.where(is_kept, "true", "false"),
                        query_id=rows["query_id"] + f"/{name}_{plane}",
                    )
                )
    return pd.concat(parts, ignore_index=True)
