"""Stable points against nearest matching: CPU time of 100 queries, on two volumes of the published size.

    python -m benchmarks.stable_points

Times are CPU seconds on one thread, medians of interleaved repeats, on prepared volumes. Exits with 1 if the ratio
misses its bar.
"""

import sys

import numpy as np
import torch

from anatomical_embedding.matching.nearest import match_nearest
from anatomical_embedding.matching.prepared_target import prepare_target
from anatomical_embedding.matching.stable_points import match_stable_points
from anatomical_embedding.settings.matching import StablePointSettings
from benchmarks.match_points import EXACT, PRUNED, Bars, cpu_seconds, synthetic_case

NUM_QUERIES = 100
REPEATS = 3
LARGEST_RATIO = 8.0
ANCHORS = StablePointSettings(
    anchor_radius_steps=1,
    anchor_step_cells=2,
    num_places=4,
    window_radius_cells=3,
    smallest_similarity=0.0,
    largest_shift_mm=50.0,
    affine_stiffness_mm=8.0,
    min_anchors=4,
)


def main() -> None:
    """Print the times and the errors, and exit with 1 if the bar is missed."""
    torch.set_num_threads(1)
    case, bars = synthetic_case(has_semantic=True), Bars()
    points_mm, truth_mm = case.points_mm[:NUM_QUERIES], case.truth_mm[:NUM_QUERIES]
    for settings in (EXACT, PRUNED):
        volumes = [prepare_target(volume, settings=settings) for volume in (case.template, case.target)]
        asked = {"settings": settings, "stable_points": ANCHORS}
        ratios = []
        for _ in range(REPEATS):
            stable = cpu_seconds(match_stable_points, *volumes, points_mm, **asked)
            nearest = cpu_seconds(match_nearest, case.template, volumes[1], points_mm, settings=settings)
            ratios.append(stable / nearest)
            print(f"{settings.search}: stable points {stable:.2f} CPU s, nearest {nearest:.2f} CPU s")
        found = match_stable_points(*volumes, points_mm, **asked).matches.points_mm
        nearest_mm = match_nearest(case.template, volumes[1], points_mm, settings=settings).points_mm
        for name, answers_mm in (("stable points", found), ("nearest", nearest_mm)):
            error_mm = np.linalg.norm(answers_mm - truth_mm, axis=1)
            print(f"     {name}: mean error {error_mm.mean():.2f} mm, largest {error_mm.max():.2f} mm")
        bars.require(
            f"{NUM_QUERIES} queries, {settings.search}, stable points / nearest",
            float(np.median(ratios)),
            at_most=LARGEST_RATIO,
        )
    sys.exit(bars.num_missed > 0)


if __name__ == "__main__":
    main()
