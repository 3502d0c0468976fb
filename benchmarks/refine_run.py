"""What `refinement: voxel` would bring to the matches of a finished run of the demo.

python -m benchmarks.refine_run results

Refines the nearest matches and the stable points of `phantom_ct` (points of one body found in another) and the lesions
of `phantom_tracking` (one body at two times) by the raw scans, and prints median, mean and 95th percentile of the
errors in mm before and after: of all answers, and of those that were refined. About a minute on one core.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from anatomical_embedding.matching.voxel_refinement import refine_matches
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.volume import Volume
from benchmarks.voxel_refinement import delivered_settings, spread

QUERY, TRUTH, MATCH = ([f"{prefix}{axis}_mm" for axis in "xyz"] for prefix in ("query_", "truth_", ""))


def main() -> None:
    """Print a row for each kind of answer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of a finished run of the demo")
    options = parser.parse_args()
    torch.set_num_threads(1)
    phantoms = options.results / "phantoms"
    evaluation = options.results / "evaluations" / "phantom_ct"
    tracking = options.results / "trackings" / "phantom_tracking" / "test"
    print(f"{'answers':<32} {'before':>17} {'after':>17} {'refined':>8} {'those before':>17} {'after':>17}")
    for method in ("nearest", "stable_points"):
        answers = answered(evaluation / "queries.csv", evaluation / f"sam.{method}.matches.csv")
        print(f"{'another body, ' + method:<32}", compare(answers, lambda name: body(phantoms, name)))
    lesions = answered(tracking / "queries.csv", tracking / "sam.nearest.matches.csv")
    lesions = lesions[lesions["is_in_view"]]
    scans = phantoms / "phantom_tracking"
    print(
        f"{'lesions at another time, nearest':<32}", compare(lesions, lambda name: scans / f"{name}.nii.gz")
    )


def answered(queries: Path, matches: Path) -> pd.DataFrame:
    """Return the queries that have an answer, with their answers."""
    found = pd.read_csv(matches)[["query_id", *MATCH]]
    return pd.read_csv(queries).merge(found, on="query_id").dropna(subset=MATCH)


def body(phantoms: Path, volume_id: str) -> Path:
    """Return the raw CT of a body of the demo."""
    return phantoms / "phantom_ct" / volume_id.removesuffix("_ct") / "ct.nii.gz"


def compare(answers: pd.DataFrame, path_of: Callable[[str], Path]) -> str:
    """Return the figures of one kind of answer as text."""
    scans: dict[str, Volume] = {
        name: read_volume(path_of(name)) for name in {*answers["template_id"], *answers["target_id"]}
    }
    settings = delivered_settings()
    before, after, is_refined = [], [], []
    for (template, target), pair in answers.groupby(["template_id", "target_id"]):
        query, truth, match = (pair[columns].to_numpy(np.float64) for columns in (QUERY, TRUTH, MATCH))
        found = refine_matches(scans[template], scans[target], query, match, settings=settings)
        before.append(np.linalg.norm(match - truth, axis=1))
        after.append(np.linalg.norm(found.points_mm - truth, axis=1))
        is_refined.append(found.is_refined)
    old_mm, new_mm, kept = (np.concatenate(parts) for parts in (before, after, is_refined))
    share = f"{100 * kept.mean():>6.0f} %"
    return " ".join((spread(old_mm), spread(new_mm), share, spread(old_mm[kept]), spread(new_mm[kept])))


if __name__ == "__main__":
    main()
