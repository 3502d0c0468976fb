"""How far the answers of `match` between raw scans can be trusted: those that users get, moved to the voxel.

python -m benchmarks.match_confidence config.yaml --evaluation phantom_ct --model sam

The results of the run file must be there. Every second pair of the evaluation's queries is asked between the raw scans
(`--every 1`: each pair); the workflow itself scores answers in cells where the evaluation is not `refined`. Prints how
many answers are right, how many are `found` and right, AUROC and calibration error of the confidence, and how many true
places lie within the radii. About 40 CPU s for the 14 pairs of the demo. Exits with 1 where the calibration error is
above 0.1.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from anatomical_embedding import api
from anatomical_embedding.datasets.listing import list_raw_volumes
from anatomical_embedding.evaluation.confidence.known_answers import read_truths
from anatomical_embedding.evaluation.confidence.reliability import area_under_curve, calibration_error
from anatomical_embedding.evaluation.landmarks.tables import TRUTH_COLUMNS
from anatomical_embedding.matching.match_queries import QUERY_POINT
from anatomical_embedding.settings.pipeline import read_pipeline_settings
from anatomical_embedding.settings.run_file import read_run_files

LARGEST_CALIBRATION_ERROR = 0.1


def main() -> None:
    """Print how good the confidence is, and exit with 1 when the bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_file", type=Path)
    parser.add_argument("--evaluation", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--every", type=int, default=2, help="of the pairs (default: %(default)s)")
    options = parser.parse_args()
    settings = read_pipeline_settings(read_run_files([options.run_file]))
    results, dataset = Path(settings.results), settings.evaluations[options.evaluation].dataset
    model = api.load_model(results / "models" / options.model / "model.safetensors")
    raw = list_raw_volumes(settings.datasets[dataset], made_folder=results / "phantoms" / dataset)
    paths = {volume.volume_id: volume.image_path for volume in raw}
    queries = read_truths(results / "evaluations" / options.evaluation / "queries.csv")
    answers = ask(model, paths, queries, every=options.every)
    sys.exit(0 if report(answers, within_mm=settings.confidence.fit.within_mm) else 1)


def ask(model: api.Model, paths: Mapping[str, Path], queries: pd.DataFrame, *, every: int) -> pd.DataFrame:
    """Return the error, the confidence, the radii and the decision of each answer that the model judges."""
    embedded: dict[str, api.EmbeddedScan] = {}
    parts = []
    for (template, target), asked in list(queries.groupby(["template_id", "target_id"]))[::every]:
        for name in {template, target} - set(embedded):
            embedded[name] = api.embed_scan(model, paths[name])
        found = api.match_points(model, embedded[template], embedded[target], asked[QUERY_POINT].to_numpy())
        parts.append(
            pd.DataFrame(
                {
                    "error_mm": np.linalg.norm(found.points_mm - asked[list(TRUTH_COLUMNS)], axis=1),
                    "confidence": found.confidence,
                    "radius_50_mm": found.radius_50_mm,
                    "radius_90_mm": found.radius_90_mm,
                    "decision": found.decision,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def report(answers: pd.DataFrame, *, within_mm: float) -> bool:
    """Print how good the confidence is, and return whether the bar is met."""
    judged = answers.dropna()
    is_right, is_found = judged["error_mm"] <= within_mm, judged["decision"] == "found"
    error = calibration_error(judged["confidence"].to_numpy(), is_right.to_numpy())
    auroc = area_under_curve(judged["confidence"].to_numpy(), is_right.to_numpy())
    print(f"answers {len(answers)}, of which {len(judged)} are judged and placed")
    print(f"within {within_mm:g} mm {is_right.mean():.3f}; mean confidence {judged['confidence'].mean():.3f}")
    print(f"found {is_found.sum()}, right {is_right[is_found].mean():.3f}")
    print(f"AUROC {auroc:.3f}, calibration error {error:.3f}")
    for name in ("radius_50_mm", "radius_90_mm"):
        covered = (judged["error_mm"] <= judged[name]).mean()
        print(f"{name} {judged[name].median():.1f} in the median, covers {covered:.3f}")
    return error <= LARGEST_CALIBRATION_ERROR


if __name__ == "__main__":
    main()
