"""Whether places that a scan does not show are called so: targets of real scans cut off below or above landmarks.

python -m benchmarks.cut_targets configs/headneck_sampp.yaml --evaluation headneck_ct --model sam

The results of the run file must be there. Landmarks of its patients are asked in targets cut between coarse cells, at
every height; where the whole target shows a landmark, it is known by how much a cut one misses it. Prints how many of
those missing by 10, 20 and 40 mm, within 5 mm, are called out of view, and how many in view are; and how many would be
with a threshold that 5 % of those in view reach. Exits with 1 where that are less than 90 % of those missing by 20 mm
or more.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from anatomical_embedding.confidence import read_confidence
from anatomical_embedding.embedding.store import open_store
from anatomical_embedding.embedding.store_manifest import read_store_manifest
from anatomical_embedding.evaluation.confidence.known_answers import judge_answers
from anatomical_embedding.evaluation.confidence.reliability import found_at_false_alarms
from anatomical_embedding.evaluation.landmarks.cut_queries import with_cut_views
from anatomical_embedding.evaluation.landmarks.queries import landmarks_in_view, make_queries
from anatomical_embedding.evaluation.landmarks.tables import TRUTH_COLUMNS, VIEW_COLUMNS
from anatomical_embedding.index_file import IndexRow, read_index
from anatomical_embedding.landmark_file import LANDMARK_COLUMNS, read_landmarks
from anatomical_embedding.matching.match_queries import SearchedScans, match_queries
from anatomical_embedding.settings.evaluation import LandmarkEvaluationSettings
from anatomical_embedding.settings.match_points import MatchPointsSettings
from anatomical_embedding.settings.pipeline import read_pipeline_settings
from anatomical_embedding.settings.run_file import read_run_files
from anatomical_embedding.volumes.nifti import map_volume
from workflow_scripts.match_points import scan_reader

MISSING_MM = (10, 20, 40)
WITHIN_MM = 5.0
FOUND_FROM_MM = 20
SMALLEST_FOUND = 0.9
LARGEST_FALSE_ALARMS = 0.05


def main() -> None:
    """Print what is found, and exit with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_file", type=Path)
    parser.add_argument("--evaluation", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--method", default="nearest", help="way of matching (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=20, help="of patients, drawn (default: %(default)s)")
    options = parser.parse_args()
    settings = read_pipeline_settings(read_run_files([options.run_file]))
    evaluation, results = settings.evaluations[options.evaluation], Path(settings.results)
    model = results / "models" / options.model
    fitted = read_confidence(model / f"{options.method}.confidence.json")
    if fitted.confidence is None:
        sys.exit(f"{model} has no confidence: {fitted.reason}")
    stores = read_store_manifest(
        results / "embeddings" / options.model / "trained" / f"{evaluation.dataset}.csv"
    )
    rows = [
        row
        for row in read_index(results / "volumes" / f"{evaluation.dataset}.csv")
        if row.split == evaluation.split
    ]
    step_vox = open_store(stores[rows[0].volume_id]).coarse.stride_vox[2]
    landmarks = results / "landmarks" / f"{evaluation.dataset}.csv"
    queries = cut_queries(rows, landmarks, evaluation, num_pairs=options.pairs, step_vox=step_vox)
    refined = settings.refine_table(evaluation.dataset) if evaluation.refined else None
    made_folder = results / "phantoms" / evaluation.dataset
    answers = match_queries(
        queries,
        stores,
        method=options.method,
        settings=MatchPointsSettings(
            matching=settings.matching,
            method=settings.methods[options.method],
            evidence=settings.confidence.evidence,
            refined=refined,
        ),
        body_masks={row.volume_id: row.body_mask_path for row in rows},
        scans=None
        if refined is None
        else SearchedScans(
            scan_reader(refined, made_folder=made_folder),
            images={row.volume_id: row.image_path for row in rows},
            program=results / "deeds" / "deeds",
            threads=1,
        ),
    )
    judged = judge_answers(answers, fitted.confidence, settings=settings.confidence.decision)
    sys.exit(0 if report(queries, judged) else 1)


def cut_queries(
    rows: list[IndexRow],
    landmarks_path: Path,
    evaluation: LandmarkEvaluationSettings,
    *,
    num_pairs: int,
    step_vox: int,
) -> pd.DataFrame:
    """Return queries in cut targets with `missing_mm`, how far outside the view the truth lies; negative inside."""
    volumes = {row.volume_id: map_volume(row.image_path) for row in rows}
    landmarks = pd.DataFrame(read_landmarks(landmarks_path), columns=list(LANDMARK_COLUMNS))
    pairs = evaluation.pairs.model_copy(update={"num_pairs": num_pairs})
    asked = make_queries(
        {row.volume_id: row.modality for row in rows},
        landmarks_in_view(landmarks, volumes),
        evaluation.queries().model_copy(update={"pairs": pairs}),
    )
    cut = with_cut_views(asked, volumes, planes=lambda num_slices: range(step_vox, num_slices, step_vox))
    low_mm, high_mm = (cut[name].to_numpy(dtype=float) for name in VIEW_COLUMNS)
    height_mm = cut[TRUTH_COLUMNS[2]].to_numpy(dtype=float)
    cut["missing_mm"] = np.fmax(height_mm - high_mm, low_mm - height_mm)
    return cut[cut["missing_mm"].notna()].reset_index(drop=True)


def report(queries: pd.DataFrame, judged: pd.DataFrame) -> bool:
    """Print what is called out of view, and return whether the bars are met."""
    missing_mm = queries["missing_mm"].to_numpy()
    is_called = (judged["decision"] == "out_of_view").to_numpy()
    probability = judged["probability_out_of_view"].to_numpy()
    in_view = missing_mm <= 0
    false_alarms = is_called[in_view].mean()
    print(f"in view              {in_view.sum():5d}, called out of view {false_alarms:.3f}")
    is_good = True
    for distance_mm in MISSING_MM:
        is_missing = np.abs(missing_mm - distance_mm) <= WITHIN_MM
        found = is_called[is_missing].mean()
        asked = in_view | is_missing
        ranked = found_at_false_alarms(
            probability[asked], ~in_view[asked], false_alarm_share=LARGEST_FALSE_ALARMS
        )
        print(
            f"missing by {distance_mm:2d} mm     {is_missing.sum():5d}, called out of view {found:.3f}; "
            f"at exactly {100 * LARGEST_FALSE_ALARMS:.0f} % false alarms {ranked:.3f}"
        )
        is_good = is_good and (distance_mm < FOUND_FROM_MM or (ranked or 0.0) >= SMALLEST_FOUND)
    return is_good


if __name__ == "__main__":
    main()
