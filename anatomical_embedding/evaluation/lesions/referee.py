"""The referee of lesion tracking: annotations and predictions in, scores under every published definition out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anatomical_embedding.datasets.lesion_annotations import LesionPairs, read_annotations, rows_of_file
from anatomical_embedding.evaluation.lesions.predictions import LesionPredictions, read_predictions
from anatomical_embedding.evaluation.lesions.scores import compare_protocols, score_protocols
from anatomical_embedding.evaluation.lesions.tables import comparison_lines, published_lines
from anatomical_embedding.files import sha256_of_file

NUM_DRAWS = 2000
"""Bootstrap samples, and permutations of the paired test, where a command line names no other number."""
SEED = 1
"""Of both, alike."""


@dataclass(frozen=True)
class ScoredPredictions:
    """What the referee found.

    Attributes
    ----------
    predictions : as they were read, with the truth that they were scored by.
    scores : every definition, for JSON.
    lines : the published lines, to print.
    """

    predictions: LesionPredictions
    scores: dict[str, Any]
    lines: list[str]


def score_files(
    annotations_path: Path,
    predictions_path: Path,
    *,
    compare_path: Path | None,
    frames_path: Path | None,
    set_aside_path: Path | None,
    count_missing_as_failed: bool,
    num_draws: int,
    seed: int,
) -> ScoredPredictions:
    """Return the scores of a file of predictions, and its comparison with another.

    Parameters
    ----------
    annotations_path : Deep Lesion Tracking annotations.
    predictions_path : the published JSON, or a CSV by pair.
    compare_path : a second file of predictions, for a paired test.
    frames_path : affines of the annotation grids, for predictions in world mm.
    set_aside_path : annotations of pairs whose rows are not scored.
    count_missing_as_failed : whether pairs without an answer count as failed instead of being an error.
    num_draws : bootstrap samples, and permutations of the paired test.
    seed : of both.

    Raises
    ------
    InputFileError
        naming the file and row at fault.
    """
    annotations = read_annotations(annotations_path)
    set_aside = [name for name, _ in rows_of_file(set_aside_path)[0]] if set_aside_path else []

    def read(path: Path) -> LesionPredictions:
        return read_predictions(
            path,
            annotations,
            count_missing_as_failed=count_missing_as_failed,
            frames_path=frames_path,
            set_aside=set_aside,
        )

    predictions = read(predictions_path)
    pairs, points_vox = predictions.truth, predictions.points_vox
    protocols = score_protocols(pairs, points_vox, num_resamples=num_draws, seed=seed)
    scores = {
        "annotations": {"name": annotations_path.name, "sha256": sha256_of_file(annotations_path)},
        "predictions": {"name": predictions_path.name, "sha256": sha256_of_file(predictions_path)},
        "largest_rounding_undone_vox": _largest_change(annotations, pairs),
        "num_draws": num_draws,
        "seed": seed,
        "protocols": protocols,
    }
    lines = [*published_lines(protocols)]
    if compare_path is not None:
        other = read(compare_path)
        comparison = compare_protocols(pairs, points_vox, other.points_vox, num_draws=num_draws, seed=seed)
        scores["comparison"] = {
            "name": compare_path.name,
            "sha256": sha256_of_file(compare_path),
            "protocols": comparison,
        }
        lines += [f"against {compare_path.name}, both by the truth used above:"]
        lines += comparison_lines(comparison)
    return ScoredPredictions(predictions, scores, lines)


def _largest_change(annotations: LesionPairs, truth: LesionPairs) -> float:
    """Return how far, in voxels, a centre carried by the predictions is from the rounded one of the annotations."""
    return float(np.abs(truth.target_center_vox - annotations.target_center_vox).max())
