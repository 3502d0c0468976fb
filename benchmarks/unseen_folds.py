"""How well confidences tell patients that they have not seen, how far chance may move that, and what more would show.

python -m benchmarks.unseen_folds RUN_FILE... --evaluation NAME --model NAME [--matching nearest] [--with-test]

The answers that the confidence of a model with `confidence_folds` is fitted to must be there. Patients of each fold
were asked of a model that was trained without them; here a confidence fitted to the other folds and to the validation
patients tells their answers in whole targets. With `--with-test` the confidence fitted to all of them tells the test
patients. Prints the figures of each group and of all together, standard errors over patients beside them (jackknife:
each patient is left out as target and as template), and how often as many patients would show what is true if each
radius covered 90 % and as many answers were right as are told. About 15 CPU s.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.evaluation.confidence.fit import fit_confidence
from anatomical_embedding.evaluation.confidence.known_answers import (
    KnownAnswers,
    joined_answers,
    read_known_answers,
)
from anatomical_embedding.evaluation.confidence.reliability import area_under_curve, calibration_error
from anatomical_embedding.evaluation.confidence.scores import organ_group
from anatomical_embedding.evaluation.landmarks.tables import VIEW_COLUMNS, read_questions
from anatomical_embedding.settings.pipeline import PipelineSettings, read_pipeline_settings
from anatomical_embedding.settings.run_file import read_run_files

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

COVERED, LEAST_COVERED, LARGEST_BIAS = (0.86, 0.94), 0.80, 0.05
"""What 90 % radii shall cover over all and by organ, and how far the share of right answers may lie from what is told:
no calibration error is smaller than that."""
NUM_PATIENTS = (8, 16, 32, 64)
NUM_DRAWS = 200_000
SHARE, BIAS = "right", "told less right"
ALL = "90 % radius, all"


class Told:
    """Answers of unseen patients beside what a confidence says of them: `probability`, `radius_mm` (90 %) by answer."""

    def __init__(self, answers: KnownAnswers, probability: FloatArray, radius_mm: FloatArray) -> None:
        """Keep them."""
        self.answers, self.probability, self.radius_mm = answers, probability, radius_mm

    def figures(self, rows: BoolArray, *, within_mm: float) -> dict[str, float]:
        """Return the figures of some of the answers."""
        errors_mm, probability = self.answers.errors_mm[rows], self.probability[rows]
        is_right, is_covered = errors_mm <= within_mm, errors_mm <= self.radius_mm[rows]
        surest = np.argsort(-probability, kind="stable")[: len(probability) // 2]
        organs = np.array([organ_group(name) for name in self.answers.landmarks[rows]])
        return {
            SHARE: is_right.mean(),
            "AUROC": area_under_curve(probability, is_right) or np.nan,
            "calibration error": calibration_error(probability, is_right),
            BIAS: probability.mean() - is_right.mean(),
            "surest half": np.percentile(errors_mm[surest], 90) / np.percentile(errors_mm, 90),
            ALL: is_covered.mean(),
            **{f"90 % radius, {organ}": is_covered[organs == organ].mean() for organ in np.unique(organs)},
        }

    def without_each(self, *, within_mm: float) -> FloatArray:
        """Return the (P, figures) without one patient each."""
        targets, templates = self.answers.patient_ids, self.answers.template_patient_ids
        return np.array(
            [
                list(self.figures((targets != one) & (templates != one), within_mm=within_mm).values())
                for one in np.unique(targets)
            ]
        )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_files", type=Path, nargs="+")
    parser.add_argument("--evaluation", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--matching", default="nearest", help="way of matching (default: %(default)s)")
    parser.add_argument("--with-test", action="store_true", help="tell the test patients as well")
    options = parser.parse_args()
    settings = read_pipeline_settings(read_run_files(options.run_files))
    groups = told_groups(
        settings, options.evaluation, f"{options.model}.{options.matching}", with_test=options.with_test
    )
    if not groups:
        parser.error(f"the model {options.model!r} has no confidence_folds")
    fit = settings.confidence.fit
    for name, told in groups.items():
        report(name, told, within_mm=fit.within_mm)
    every = Told(
        joined_answers([told.answers for told in groups.values()]),
        np.concatenate([told.probability for told in groups.values()]),
        np.concatenate([told.radius_mm for told in groups.values()]),
    )
    names, covariance = report("all together", every, within_mm=fit.within_mm)
    print_chances(names, covariance * len(np.unique(every.answers.patient_ids)))


def told_groups(
    settings: PipelineSettings, evaluation: str, method: str, *, with_test: bool
) -> dict[str, Told]:
    """Return each group of patients told by a confidence that has seen none of them."""
    results, dataset = Path(settings.results), settings.evaluations[evaluation].dataset
    folder, index = results / "evaluations" / evaluation, results / "volumes" / f"{dataset}.csv"
    folds = sorted(path.name for path in (folder / "fit").glob("fold_*"))

    def read(place: Path, part_index: Path) -> tuple[KnownAnswers, BoolArray]:
        known = read_known_answers(
            place / "queries.csv", place / f"{method}.matches.csv", part_index, source=evaluation
        )
        views = read_questions(place / "queries.csv").reindex(columns=list(VIEW_COLUMNS))
        return known, views.isna().all(axis=1).to_numpy()

    asked = {name: read(folder / "fit" / name, index.with_suffix(f".{name}.csv")) for name in folds}
    parts = {"validation": read(folder / "fit", index), **asked}  # as the stage reads them
    if with_test:
        asked["test"] = read(folder, index)
    return {
        name: _told(
            *one, fitted_to=[part for other, (part, _) in parts.items() if other != name], settings=settings
        )
        for name, one in asked.items()
    }


def _told(
    answers: KnownAnswers, is_whole: BoolArray, *, fitted_to: list[KnownAnswers], settings: PipelineSettings
) -> Told:
    confidence = fit_confidence(joined_answers(fitted_to), settings=settings.confidence.fit).confidence
    if confidence is None:
        raise ValueError("too little is known for a confidence")
    whole = answers.part(np.flatnonzero(is_whole))
    return Told(whole, confidence.probabilities(whole.features)[0], confidence.radii_mm(whole.features)["90"])


def report(name: str, told: Told, *, within_mm: float) -> tuple[list[str], FloatArray]:
    """Print the figures with their standard errors, and return their names and covariance."""
    figures = told.figures(np.ones(len(told.probability), dtype=bool), within_mm=within_mm)
    covariance = jackknife_covariance(told.without_each(within_mm=within_mm))
    print(f"{name}: {len(np.unique(told.answers.patient_ids))} patients, {len(told.probability)} answers")
    for (label, value), variance in zip(figures.items(), np.diag(covariance), strict=True):
        print(f"  {label:<24} {value:6.3f} ({variance**0.5:.3f})")
    return list(figures), covariance


def jackknife_covariance(without_each: FloatArray) -> FloatArray:
    """Return the (F, F) covariance of F figures from the (P, F) figures without one of P patients each.

    Source: Efron and Stein, "The jackknife estimate of variance" (1981).
    """
    off = without_each - without_each.mean(axis=0)
    return (len(off) - 1) / len(off) * off.T @ off


def print_chances(names: list[str], covariance_of_one: FloatArray) -> None:
    """Print how often groups of patients would show what is true of all, by a normal law of the figures."""
    radii = [place for place, name in enumerate(names) if name.startswith("90 % radius")]
    wanted = [names.index(BIAS), names.index(ALL), *[place for place in radii if names[place] != ALL]]
    generator = np.random.default_rng(0)
    print("standard errors of so many patients, and how often they would hold the bars of one that is right:")
    for num in NUM_PATIENTS:
        covariance = covariance_of_one / num
        drawn = generator.multivariate_normal(
            np.zeros(len(wanted)), covariance[np.ix_(wanted, wanted)], NUM_DRAWS, check_valid="ignore"
        )
        covered = 0.9 + drawn[:, 1:]
        is_even = np.abs(drawn[:, 0]) <= LARGEST_BIAS
        holds = (COVERED[0] <= covered[:, 0]) & (covered[:, 0] <= COVERED[1])
        by_organ = (covered[:, 1:] >= LEAST_COVERED).all(axis=1)
        errors = dict(zip(names, np.diag(covariance) ** 0.5, strict=True))
        told = ", ".join(f"{name} {errors[name]:.3f}" for name in (SHARE, "AUROC", BIAS, ALL))
        print(
            f"  {num:>3}: {told}; told as often right {is_even.mean():.2f}, radius over all {holds.mean():.2f}, "
            f"by organ {by_organ.mean():.2f}, all three {(is_even & holds & by_organ).mean():.2f}"
        )


if __name__ == "__main__":
    main()
