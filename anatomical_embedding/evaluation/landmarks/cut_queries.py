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
MOST_TEMPLATES = 3
"""Templates that ask a target cut at one plane; others ask it at the next. What answers look like differs between
patients, and many answers between the same ones tell no more of that."""


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
    most_templates: int | None = None,
) -> pd.DataFrame:
    """Return the queries of whole targets, then those of cut ones, with `VIEW_COLUMNS` and `is_in_view`.

    Parameters
    ----------
    queries : of `make_queries`.
    volumes : volume id to prepared volume, whose third axis runs along the body.
    planes : number of slices -> the first slices above the cuts, each between two cells of the network.
    most_templates : so many of the templates ask a target at each plane, the next ones at the next; None for all.
    """
    parts = [queries.assign(**dict.fromkeys(VIEW_COLUMNS, np.nan), is_in_view="true")]
    for target_id, rows in queries.groupby("target_id", sort=True):
        volume = volumes[str(target_id)]
        for turn, plane in enumerate(planes(volume.shape[2])):
            asked = rows[rows["template_id"].isin(_templates_of_turn(rows, turn, most_templates))]
            height_vox = volume.voxel_from_world(asked[list(TRUTH_COLUMNS)].to_numpy())[:, 2]
            middle = (np.array(volume.shape) - 1) / 2.0
            plane_mm = float(volume.world_from_voxel([*middle[:2], plane - 0.5])[2])
            rises = volume.affine[2, 2] > 0
            is_before = height_vox < plane - 0.5
            for name, is_kept, is_low in (("below", is_before, rises), ("above", ~is_before, not rises)):
                view = (np.nan, plane_mm) if is_low else (plane_mm, np.nan)
                parts.append(
                    asked.assign(
                        **dict(zip(VIEW_COLUMNS, view, strict=True)),
                        is_in_view=np.where(is_kept, "true", "false"),
                        query_id=asked["query_id"] + f"/{name}_{plane}",
                    )
                )
    return pd.concat(parts, ignore_index=True)


def _templates_of_turn(rows: pd.DataFrame, turn: int, most: int | None) -> set[str]:
    templates = sorted(set(rows["template_id"]))
    if most is None or most >= len(templates):
        return set(templates)
    return {templates[(turn * most + place) % len(templates)] for place in range(most)}
