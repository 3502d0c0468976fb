"""How well any comparison of two scans could tell which landmarks of contours are found within 10 mm.

python -m benchmarks.contour_limits --queries QUERIES.csv --matches MATCHES.csv [--landmarks NAME ...]

The tables are those of an evaluation over ordered pairs of patients. For every landmark the error from template S to
target T is split, by least squares, into an offset of S less one of T, and a rest. The offset is where a patient's
landmark lies beside the place that all his partners agree on, both when he is asked and when he is asked for: the
contour was ended there, or his anatomy is peculiar there. Offsets that are chance would explain one part in the number
of patients. Prints what they explain, and how well a judge ranks the answers who knows every rest, and which landmark
is asked and how widely its offsets scatter, but not which of them are these two patients'.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anatomical_embedding.evaluation.confidence.reliability import area_under_curve, calibration_error
from anatomical_embedding.evaluation.landmarks.tables import (
    ANSWER,
    TRUTH_COLUMNS,
    VIEW_COLUMNS,
    read_matches,
    read_queries,
    read_questions,
)

WITHIN_MM = 10.0

FloatArray = NDArray[np.float64]


def main() -> None:
    """Print what the offsets of patients explain and what a judge reaches who knows the rest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--queries",
        type=Path,
        required=True,
        help="queries with the truth; those of cut targets are left out",
    )
    parser.add_argument("--matches", type=Path, required=True, help="their answers")
    parser.add_argument("--landmarks", nargs="+", help="only these (default: all)")
    options = parser.parse_args()
    is_whole = read_questions(options.queries).reindex(columns=list(VIEW_COLUMNS)).isna().all(axis=1)
    asked = read_queries(options.queries)[is_whole]
    if options.landmarks:
        if unknown := sorted(set(options.landmarks) - set(asked["landmark"])):
            parser.error(f"--landmarks: {unknown[0]!r} is in no query of a whole target in {options.queries}")
        asked = asked[asked["landmark"].isin(options.landmarks)]
    answers = read_matches(options.matches).set_index("query_id").loc[asked["query_id"]]
    errors_mm = answers[list(ANSWER)].to_numpy() - asked[list(TRUTH_COLUMNS)].to_numpy()
    is_found = np.isfinite(errors_mm).all(axis=1)
    report(asked[is_found].reset_index(drop=True), errors_mm[is_found])


def report(asked: pd.DataFrame, errors_mm: FloatArray) -> None:
    """Print the figures of the whole and of every landmark.

    Parameters
    ----------
    asked : N queries.
    errors_mm : (N, 3) of their answers.
    """
    explained_mm, probability = np.zeros_like(errors_mm), np.zeros(len(asked))
    for landmark, rows, offsets_mm, part_mm in landmark_offsets(asked, errors_mm):
        explained_mm[rows] = part_mm
        probability[rows] = judged(errors_mm[rows] - part_mm, offsets_mm)
        scatter_mm = np.sqrt(np.mean(np.sum(offsets_mm**2, axis=1)))
        far = np.linalg.norm(errors_mm[rows], axis=1)
        print(f"{landmark:<24} offsets {scatter_mm:5.1f} mm, within 10 mm {np.mean(far <= WITHIN_MM):.2f}")
    rest_mm = np.linalg.norm(errors_mm - explained_mm, axis=1)
    is_right = np.linalg.norm(errors_mm, axis=1) <= WITHIN_MM
    share = 1.0 - np.sum((errors_mm - explained_mm) ** 2) / np.sum(errors_mm**2)
    print(f"answers                  {len(asked)}, within 10 mm {is_right.mean():.3f}")
    print(f"explained by offsets     {share:.2f} of the squared error")
    near = np.mean(rest_mm <= WITHIN_MM)
    print(f"rest                     median {np.median(rest_mm):.1f} mm, within 10 mm {near:.3f}")
    print(f"judge of the rest alone  AUROC {area_under_curve(-rest_mm, is_right):.3f}")
    print(
        f"and of the landmark      AUROC {area_under_curve(probability, is_right):.3f}, "
        f"calibration error {calibration_error(probability, is_right):.3f}"
    )


def landmark_offsets(
    asked: pd.DataFrame, errors_mm: FloatArray
) -> Iterator[tuple[str, NDArray[np.intp], FloatArray, FloatArray]]:
    """Yield each landmark, the rows that ask for it, the (P, 3) offsets of its patients, and what they explain."""
    for landmark, rows in asked.groupby("landmark").indices.items():
        patients = sorted({*asked["template_id"].iloc[rows], *asked["target_id"].iloc[rows]})
        design = np.zeros((len(rows), len(patients)))
        for column, sign in (("template_id", 1.0), ("target_id", -1.0)):
            design[np.arange(len(rows)), [patients.index(name) for name in asked[column].iloc[rows]]] += sign
        offsets_mm, *_ = np.linalg.lstsq(
            design, errors_mm[rows], rcond=None
        )  # the shortest: they sum to zero
        yield str(landmark), rows, offsets_mm, design @ offsets_mm


def judged(rests_mm: FloatArray, offsets_mm: FloatArray) -> FloatArray:
    """Return (N,) how often an error of this rest is small, over all ordered pairs of the (P, 3) offsets."""
    pairs_mm = (offsets_mm[:, np.newaxis] - offsets_mm)[~np.eye(len(offsets_mm), dtype=bool)]
    return np.mean(np.linalg.norm(rests_mm[:, np.newaxis] + pairs_mm, axis=2) <= WITHIN_MM, axis=1)


if __name__ == "__main__":
    main()
