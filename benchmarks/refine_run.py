"""What `refinement: voxel` brings to the matches of a finished run of the demo.

python -m benchmarks.refine_run results

Refines matches by the raw scans and prints median, mean and 95th percentile of the errors in mm before and after, and
the change of the mean with its 95 % interval over the targets: points of one body found in another (nearest, stable
points), of a CT found in the MR of the same body and of others, and lesions of one body at two times. About two minutes
on one core. It exits with 1 where the mean gets worse beyond chance, where CT to MR of the same body is left with more
than 0.8 of its error, or lesions with more than 3 mm. The demo refines the matches of lesions itself: their row says
what refining them again brings.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from anatomical_embedding.matching.voxel_refinement import refine_matches
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.volume import Volume
from benchmarks.known_warps import START_DEVIATION_MM, delivered_settings, spread

QUERY, TRUTH, MATCH = ([f"{prefix}{axis}_mm" for axis in "xyz"] for prefix in ("query_", "truth_", ""))
LARGEST_CT_TO_MR = 0.8
"""Mean error after, as a share of that before, of points of a CT found in the MR of the same body."""
LARGEST_LESION_MM = 3.0
NUM_DRAWS = 2000


def main() -> None:
    """Print a row for each kind of answer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of a finished run of the demo")
    parser.add_argument(
        "--from-truth",
        action="store_true",
        help="begin at the truth with errors as of cells of 8 mm instead of at the matches, whatever the models are",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    phantoms, evaluations = options.results / "phantoms", options.results / "evaluations"
    tracking = options.results / "trackings" / "phantom_tracking" / "test"
    print(f"{'answers':<32} {'before':>17} {'after':>17} {'refined':>8} {'change of the mean':>22}")
    missed = []
    lesions = answered(
        tracking / "queries.csv", tracking / "sam.nearest.matches.csv", from_truth=options.from_truth
    )
    followed = refined(lesions[lesions["is_in_view"]], phantoms / "phantom_tracking")
    missed += report("lesions at another time", followed)
    if followed["after"].mean() > LARGEST_LESION_MM:
        missed.append("lesions at another time: mean above 3 mm")
    to_mr = evaluations / "phantom_ct_to_mr"
    answers = answered(
        to_mr / "queries.csv",
        max(to_mr.glob("cross_sam*.nearest.matches.csv")),
        from_truth=options.from_truth,
    )
    errors = refined(answers, phantoms / "phantom_pairs", is_same_contrast=False)
    is_same = errors["template_id"].map(body_name) == errors["target_id"].map(body_name)
    missed += report("CT to MR, the same body", errors[is_same]) + report(
        "CT to MR, others", errors[~is_same]
    )
    if errors[is_same]["after"].mean() > LARGEST_CT_TO_MR * errors[is_same]["before"].mean():
        missed.append("CT to MR, the same body: more than 0.8 of the error is left")
    for method in ("nearest", "stable_points"):
        answers = answered(
            evaluations / "phantom_ct" / "queries.csv",
            evaluations / "phantom_ct" / f"sam.{method}.matches.csv",
            from_truth=options.from_truth,
        )
        missed += report(f"another body, {method}", refined(answers, phantoms / "phantom_ct"))
    for text in missed:
        print(f"missed: {text}")
    sys.exit(1 if missed else 0)


def answered(queries: Path, matches: Path, *, from_truth: bool) -> pd.DataFrame:
    """Return the queries that have an answer, with their answers, or with the truth and noise in their place."""
    found = pd.read_csv(matches)[["query_id", *MATCH]]
    answers = pd.read_csv(queries).merge(found, on="query_id").dropna(subset=MATCH)
    if from_truth:
        noise = np.random.default_rng(1).normal(0.0, START_DEVIATION_MM, (len(answers), 3))
        answers[MATCH] = answers[TRUTH].to_numpy() + noise
    return answers


def body_name(volume_id: str) -> str:
    """Return the body that a scan of the demo shows."""
    return volume_id.removesuffix("_ct").removesuffix("_mr")


def raw_scan(folder: Path, volume_id: str) -> Volume:
    """Return a raw scan of the demo."""
    alone = folder / f"{volume_id}.nii.gz"
    modality = "mr" if volume_id.endswith("_mr") else "ct"
    return read_volume(alone if alone.exists() else folder / body_name(volume_id) / f"{modality}.nii.gz")


def refined(answers: pd.DataFrame, folder: Path, *, is_same_contrast: bool = True) -> pd.DataFrame:
    """Return the errors of answers before and after."""
    scans = {name: raw_scan(folder, name) for name in {*answers["template_id"], *answers["target_id"]}}
    parts = []
    for (template, target), pair in answers.groupby(["template_id", "target_id"]):
        query, truth, match = (pair[columns].to_numpy(np.float64) for columns in (QUERY, TRUTH, MATCH))
        found = refine_matches(
            scans[template],
            scans[target],
            query,
            match,
            settings=delivered_settings(),
            is_same_contrast=is_same_contrast,
        )
        before, after = (np.linalg.norm(points - truth, axis=1) for points in (match, found.points_mm))
        names = {"template_id": template, "target_id": target}
        parts.append(
            pd.DataFrame({**names, "before": before, "after": after, "is_refined": found.is_refined})
        )
    return pd.concat(parts, ignore_index=True)


def report(name: str, errors: pd.DataFrame) -> list[str]:
    """Print a row, and return what is wrong with it."""
    changes = [
        rows["after"].to_numpy() - rows["before"].to_numpy() for _, rows in errors.groupby("target_id")
    ]
    sums, counts = np.array([part.sum() for part in changes]), np.array([len(part) for part in changes])
    drawn = np.random.default_rng(0).integers(0, len(changes), (NUM_DRAWS, len(changes)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (2.5, 97.5))
    share = f"{100 * errors['is_refined'].mean():>6.0f} %"
    mean = sums.sum() / counts.sum()
    print(
        f"{name:<32} {spread(errors['before'])} {spread(errors['after'])} {share}"
        f" {mean:>+7.2f} ({low:+.2f} to {high:+.2f})",
        flush=True,
    )
    return [f"{name}: the mean gets worse"] if low > 0.0 else []


if __name__ == "__main__":
    main()
