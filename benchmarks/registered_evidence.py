"""How near places come that a registration carries, and whether they tell more of an answer than its confidence does.

python -m benchmarks.registered_evidence RUN_FILE... --evaluation NAME --model NAME --program DEEDS [--spacing MM]

Training patients of a model with `confidence_folds`, each asked of a model that was trained without him, as in
`benchmarks.unseen_folds`: their answers in whole targets, told by a confidence that knows none of them. Each pair is
registered as `register` does it, or with `--spacing` by the coarse levels alone on a grid of so many mm; it starts from
the affine map of the anchors, which answers have anyway. Prints how many of the answers and of the carried places are
within `within_mm` and their median error; then the AUROC of logistic regressions fitted to the other folds, of which
one knows the log odds of the confidence alone, the other the distance of the answer from the carried place as well;
by how much that saves log loss in the mean of the patients (standard error); and the processor time of a pair.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from anatomical_embedding.embedding.store import open_store
from anatomical_embedding.embedding.store_manifest import read_store_manifest
from anatomical_embedding.evaluation.confidence.known_answers import read_evidence, read_truths
from anatomical_embedding.evaluation.confidence.reliability import area_under_curve
from anatomical_embedding.evaluation.landmarks.tables import ANSWER, TRUTH_COLUMNS
from anatomical_embedding.index_file import IndexRow, read_index
from anatomical_embedding.matching.match_evidence import find_anchors
from anatomical_embedding.matching.match_queries import QUERY_POINT
from anatomical_embedding.matching.prepared_target import PreparedTarget, prepare_target
from anatomical_embedding.registration.deformation import deform
from anatomical_embedding.registration.robust_fit import fit_map
from anatomical_embedding.settings.pipeline import PipelineSettings, read_pipeline_settings
from anatomical_embedding.settings.registration import DeedsSettings
from anatomical_embedding.settings.run_file import read_run_files
from anatomical_embedding.volumes.affine import Points, transform_points
from anatomical_embedding.volumes.nifti import read_volume
from benchmarks.unseen_folds import told_groups

FloatArray = NDArray[np.float64]
WEAK_PENALTY = 10.0
ODDS, ODDS_AND_DISTANCE = [0], [0, 1]
"""Columns of the evidence."""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_files", type=Path, nargs="+")
    parser.add_argument("--evaluation", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--program", type=Path, required=True, help="deeds")
    parser.add_argument("--spacing", type=float, help="coarse levels alone, on a grid of so many mm")
    options = parser.parse_args()
    settings = read_pipeline_settings(read_run_files(options.run_files))
    deeds = settings.usage().scan_registration.deeds
    if options.spacing is not None:
        deeds = deeds.model_copy(update={"spacing_mm": options.spacing, "linear": None, "descent": None})
    folds = []
    for name, told in told_groups(
        settings, options.evaluation, f"{options.model}.nearest", with_test=False
    ).items():
        fold = FoldOfRun(settings, options.evaluation, options.model, name)
        keys = pd.DataFrame(
            {
                "template": told.answers.template_patient_ids,
                "target": told.answers.patient_ids,
                "landmark": told.answers.landmarks,
                "confidence": told.probability,
            }
        )
        folds.append(keys.merge(fold.carried(options.program, deeds), validate="one_to_one"))
        print(f"{name}: {fold.seconds_a_pair:.2f} CPU s a pair", flush=True)
    report(folds, within_mm=settings.confidence.fit.within_mm)


class FoldOfRun:
    """The patients of a fold in a finished run; `seconds_a_pair` of the registrations once they are done."""

    def __init__(self, settings: PipelineSettings, evaluation: str, model: str, fold: str) -> None:
        results, dataset = Path(settings.results), settings.evaluations[evaluation].dataset
        place = results / "evaluations" / evaluation / "fit" / fold
        self.settings, self.seconds_a_pair = settings.usage(), np.nan
        self.rows = {row.volume_id: row for row in read_index(results / "volumes" / f"{dataset}.{fold}.csv")}
        self.stores = read_store_manifest(
            results / "embeddings" / model / fold / "trained" / f"{dataset}.csv"
        )
        answers = read_evidence(place / f"{model}.nearest.matches.csv")
        self.table = read_truths(place / "queries.csv").merge(answers, on="query_id", validate="one_to_one")
        self._prepared: dict[str, PreparedTarget] = {}

    def carried(self, program: Path, deeds: DeedsSettings) -> pd.DataFrame:
        """Return errors of answers and carried places in whole targets, and how far they are apart, in mm."""
        whole = self.table[
            self.table["query_id"].str.count("/") == 2
        ]  # those in cut targets say where they are cut
        parts, began = [], processor_seconds()
        for (template, target), rows in whole.groupby(["template_id", "target_id"]):
            points = self._registered(
                self.rows[template], self.rows[target], rows[QUERY_POINT].to_numpy(), program, deeds
            )
            answered, truth = (rows[list(columns)].to_numpy() for columns in (ANSWER, TRUTH_COLUMNS))
            parts.append(
                pd.DataFrame(
                    {
                        "template": self.rows[template].patient_id,
                        "target": self.rows[target].patient_id,
                        "landmark": rows["landmark"].to_numpy(),
                        "error_mm": np.linalg.norm(answered - truth, axis=1),
                        "carried_error_mm": np.linalg.norm(points - truth, axis=1),
                        "apart_mm": np.linalg.norm(points - answered, axis=1),
                    }
                )
            )
        self.seconds_a_pair = (processor_seconds() - began) / len(parts)
        return pd.concat(parts)

    def _registered(
        self, template: IndexRow, target: IndexRow, points_mm: Points, program: Path, deeds: DeedsSettings
    ) -> Points:
        images = [read_volume(row.image_path) for row in (template, target)]
        body = read_volume(template.body_mask_path, require_contrast=False)
        anchors = find_anchors(
            self._searchable(template.volume_id),
            self._searchable(target.volume_id),
            template_body=body,
            settings=self.settings.confidence.evidence,
        )
        start = fit_map(
            anchors.template_mm, anchors.target_mm, settings=self.settings.scan_registration.fit
        ).matrix
        with tempfile.TemporaryDirectory() as folder:
            found = deform(
                program,
                *images,
                matrix=start,
                moving_labels=None,
                settings=deeds,
                output_stem=Path(folder) / "pair",
                threads=1,
                modalities=(template.modality, target.modality),
                with_image=False,
                body=body,
            )
        return transform_points(start, found.field.moving_points(points_mm))

    def _searchable(self, volume_id: str) -> PreparedTarget:
        if volume_id not in self._prepared:
            store = open_store(self.stores[volume_id])
            self._prepared[volume_id] = prepare_target(store, settings=self.settings.matching)
        return self._prepared[volume_id]


def processor_seconds() -> float:
    """Return the processor time of this process and of all that it began and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def report(folds: list[pd.DataFrame], *, within_mm: float) -> None:
    """Print the figures of all folds."""
    every = pd.concat(folds)
    for name, errors in (("answers", every["error_mm"]), ("carried places", every["carried_error_mm"])):
        print(
            f"{name}: {100 * (errors <= within_mm).mean():.1f} % within {within_mm:g} mm, "
            f"median {errors.median():.2f} mm"
        )
    ranks, gains = [], []
    for number, fold in enumerate(folds):
        others = pd.concat(folds[:number] + folds[number + 1 :])
        is_right = (fold["error_mm"] <= within_mm).to_numpy()
        alone, both = (
            fitted_to(others, columns, within_mm=within_mm).predict_proba(evidence(fold)[:, columns])[:, 1]
            for columns in (ODDS, ODDS_AND_DISTANCE)
        )
        ranks.append([area_under_curve(probability, is_right) for probability in (alone, both)])
        saved = log_loss(alone, is_right) - log_loss(both, is_right)
        gains.append(pd.Series(saved).groupby(fold["target"].to_numpy()).mean())
    print(f"AUROC by fold, without and with the carried place: {np.round(ranks, 3).tolist()}")
    gain = pd.concat(gains)
    print(f"log loss less by {gain.mean():.4f} ({gain.std() / len(gain) ** 0.5:.4f}), {len(gain)} patients")


def fitted_to(answers: pd.DataFrame, columns: list[int], *, within_mm: float) -> LogisticRegression:
    """Return the logistic regression of being right by some columns of the evidence."""
    fitted = LogisticRegression(C=1.0 / WEAK_PENALTY)
    return fitted.fit(evidence(answers)[:, columns], answers["error_mm"] <= within_mm)


def evidence(table: pd.DataFrame) -> FloatArray:
    """Return the (N, 2) log odds of the confidence and logarithm of the distance of answer and carried place."""
    confidence = table["confidence"]
    return np.column_stack([np.log(confidence / (1.0 - confidence)), np.log1p(table["apart_mm"])])


def log_loss(probability: FloatArray, is_right: NDArray[np.bool_]) -> FloatArray:
    """Return the (N,) losses of probabilities of being right."""
    return -np.log(np.where(is_right, probability, 1.0 - probability))


if __name__ == "__main__":
    main()
