"""Predicted lesion centres, one for every annotated pair.

A pair without a usable prediction is either an error or a failure that counts; it is never dropped:

* a row that says `failed` is a failure;
* a missing, repeated or non-finite row is refused, unless the caller counts such pairs as failed;
* a row of a pair that the annotations do not know is always refused, for no pair could bear its failure.

Published predictions repeat the annotations of their pairs unrounded, and published figures rest on those. Where a
row carries centre and diameter, they replace the rounded ones, after a check that they do round to them.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.datasets.lesion_annotations import NUMBERS, LesionPairs
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.lesions.frames import read_annotation_frames, voxels_from_world
from anatomical_embedding.evaluation.lesions.prediction_rows import (
    CENTER_TOLERANCE_VOX,
    PredictedRow,
    rows_of_csv,
    rows_of_json,
)

TOLERANCE = {
    "target_center_vox": CENTER_TOLERANCE_VOX,
    "target_diameter_vox": CENTER_TOLERANCE_VOX,
    "target_box_vox": 1e-6,
    "target_spacing_mm": 1e-6,
}
"""Fields of the truth that a row may repeat -> how far they may be from the annotations."""

ROUNDED = ("target_center_vox", "target_diameter_vox")
"""Fields that the annotation files give to one decimal only."""


@dataclass(frozen=True)
class LesionPredictions:
    """One row for every annotated pair, in their order.

    Attributes
    ----------
    points_vox : (N, 3) predicted centres, annotation index of the target; NaN for failed pairs.
    reasons : N texts, empty where a centre was predicted, otherwise why the pair failed.
    truth : the annotated pairs, unrounded where the file carries them so.
    """

    points_vox: NDArray[np.float64]
    reasons: tuple[str, ...]
    truth: LesionPairs


def read_predictions(
    path: Path | str,
    pairs: LesionPairs,
    *,
    count_missing_as_failed: bool,
    frames_path: Path | None,
    set_aside: Collection[str] = (),
) -> LesionPredictions:
    """Return the predicted centre of every annotated pair.

    Parameters
    ----------
    path : `.json` in the published form (list under `results`) or in that of the annotation file, whose
        `predict target center` is then the prediction; or `.csv` with `pair_id` or `query_id`, coordinates
        `x_vox, y_vox, z_vox` (annotation index of the target) or `x_mm, y_mm, z_mm` (world RAS+), and optionally
        `status` (found, failed) and `reason`; further columns are ignored.
    pairs : the annotated pairs.
    count_missing_as_failed : count pairs without row, with several rows or with non-finite coordinates as failed.
    frames_path : table of the annotation affines (see `frames.read_annotation_frames`), needed for world mm only.
    set_aside : names of pairs whose rows of a CSV are left out: those whose lesion lies outside its target.

    Raises
    ------
    InputFileError
        naming row and pair that cannot be used.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in {".json", ".csv"}:
        raise InputFileError(path, "is neither .json nor .csv, the two forms of predictions")
    rows, are_world_mm = (
        rows_of_csv(path, pairs, set_aside=set_aside)
        if suffix == ".csv"
        else (rows_of_json(path, pairs), False)
    )
    points, reasons = _one_per_pair(path, rows, pairs, count_missing_as_failed=count_missing_as_failed)
    if are_world_mm:
        points = _voxels_of_targets(path, points, pairs, frames_path=frames_path)
    return LesionPredictions(points, reasons, _truth_with_carried(path, rows, pairs))


def _voxels_of_targets(
    path: Path, points_mm: NDArray[np.float64], pairs: LesionPairs, *, frames_path: Path | None
) -> NDArray[np.float64]:
    """Return (N, 3) annotation indices of (N, 3) world mm in the target of each pair."""
    if frames_path is None:
        raise InputFileError(path, "holds world mm; give the affines of the volumes with --volumes TABLE")
    spacings = dict(zip(pairs.target_files, pairs.target_spacing_mm, strict=True))
    return voxels_from_world(
        points_mm, pairs.target_files, read_annotation_frames(frames_path, spacings_mm=spacings)
    )


def _one_per_pair(
    path: Path, rows: list[PredictedRow], pairs: LesionPairs, *, count_missing_as_failed: bool
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return (N, 3) points and N reasons; refuse or count the pairs that have not exactly one finite row."""
    rows_of_pair: dict[int, list[PredictedRow]] = defaultdict(list)
    for row in rows:
        rows_of_pair[row.pair].append(row)
    points = np.full((len(pairs), 3), np.nan)
    reasons = [""] * len(pairs)
    problems = []
    for index, pair_id in enumerate(pairs.pair_ids):
        found = rows_of_pair[index]
        if len(found) == 1 and (found[0].reason or np.isfinite(found[0].point).all()):
            points[index], reasons[index] = found[0].point, found[0].reason
        elif not found:
            reasons[index] = "no row"
            problems.append(f"pair {pair_id!r} has no row")
        elif len(found) > 1:
            reasons[index] = f"{len(found)} rows"
            problems.append(
                f"pair {pair_id!r} has {len(found)} rows: {', '.join(row.place for row in found)}"
            )
        else:
            reasons[index] = "coordinates are not finite"
            problems.append(
                f"{found[0].place}, pair {pair_id!r}: coordinates {found[0].point} are not finite"
            )
    if problems and not count_missing_as_failed:
        more = f" (and {len(problems) - 1} more such pairs)" if len(problems) > 1 else ""
        raise InputFileError(
            path,
            f"{problems[0]}{more}; correct the file or count such pairs as failed: --count-missing-as-failed",
        )
    return points, tuple(reasons)


def _truth_with_carried(path: Path, rows: list[PredictedRow], pairs: LesionPairs) -> LesionPairs:
    """Return the pairs with carried values for rounded ones; refuse values that do not agree with the annotations."""
    columns = {attribute: getattr(pairs, attribute).copy() for attribute in ROUNDED}
    for row in rows:
        for attribute, numbers in row.carried.items():
            annotated = getattr(pairs, attribute)[row.pair]
            if not np.abs(annotated - numbers).max() <= TOLERANCE[attribute]:  # NaN is refused as well
                raise InputFileError(
                    path,
                    f"{row.place}, pair {pairs.pair_ids[row.pair]!r}: carries {NUMBERS[attribute][0]!r} "
                    f"{numbers}, the annotations say {annotated.tolist()}; do the predictions belong to them?",
                )
            if attribute in ROUNDED:
                is_rounded = annotated == np.round(annotated, 1)
                columns[attribute][row.pair] = np.where(is_rounded, numbers, annotated)
    return replace(pairs, **columns)
