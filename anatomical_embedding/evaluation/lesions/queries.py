"""Annotated lesion pairs as queries in world mm, which every matching method answers.

Columns: those of a landmark evaluation's queries (`query_id` is the pair's name), and `is_in_view`. The truth of a pair
whose lesion lies outside its target is empty.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anatomical_embedding.datasets.lesion_annotations import (
    numbers_of_field,
    read_annotations,
    rows_of_file,
)
from anatomical_embedding.evaluation.landmarks.tables import QUESTION_COLUMNS, TRUTH_COLUMNS
from anatomical_embedding.evaluation.lesions.tracked_volumes import TrackedVolume, tracked_volume_of

QUERY_NAME = "lesion"
"""What stands in the column `landmark`."""

QUERY_COLUMNS = (*QUESTION_COLUMNS, *TRUTH_COLUMNS, "is_in_view")


def queries_of_annotations(path: Path | str, volumes: Mapping[str, TrackedVolume]) -> pd.DataFrame:
    """Return one query per pair of an annotation file, with `QUERY_COLUMNS`.

    Raises
    ------
    InputFileError
        if the file is malformed, or names a volume that is not in the index.
    """
    pairs = read_annotations(path)
    rows = []
    for index, pair_id in enumerate(pairs.pair_ids):
        source = tracked_volume_of(volumes, pairs.source_files[index], path=path)
        target = tracked_volume_of(volumes, pairs.target_files[index], path=path)
        query = source.world_from_voxel(pairs.source_center_vox[index : index + 1])[0]
        truth = target.world_from_voxel(pairs.target_center_vox[index : index + 1])[0]
        rows.append((pair_id, source.row.volume_id, target.row.volume_id, QUERY_NAME, *query, *truth, "true"))
    return pd.DataFrame(rows, columns=list(QUERY_COLUMNS))


def annotation_frames(
    path: Path | str, volumes: Mapping[str, TrackedVolume]
) -> dict[str, NDArray[np.float64]]:
    """Return file name -> (4, 4) affine of the annotation grid, for every volume that an annotation file names."""
    pairs = read_annotations(path)
    names = {*pairs.source_files, *pairs.target_files}
    return {name: tracked_volume_of(volumes, name, path=path).affine for name in names}


def queries_out_of_view(path: Path | str, volumes: Mapping[str, TrackedVolume]) -> pd.DataFrame:
    """Return one query per pair whose lesion lies outside its target: without a truth.

    Parameters
    ----------
    path : object of pairs with `source`, `target` and `source center`, as annotation files have them.

    Raises
    ------
    InputFileError
        if a field is missing or malformed, or a volume is not in the index.
    """
    rows = []
    for name, row in rows_of_file(path)[0]:
        source = tracked_volume_of(volumes, str(row.get("source")), path=path)
        target = tracked_volume_of(volumes, str(row.get("target")), path=path)
        center = numbers_of_field(
            path, f"pair {name!r}", row.get("source center"), key="source center", count=3
        )
        query = source.world_from_voxel(np.array([center]))[0]
        ids = (source.row.volume_id, target.row.volume_id)
        rows.append((name, *ids, QUERY_NAME, *query, np.nan, np.nan, np.nan, "false"))
    return pd.DataFrame(rows, columns=list(QUERY_COLUMNS))
