"""How far an answer can be trusted: probabilities and radii by what was measured around it.

A `Confidence` is fitted by the stage `fit_confidence` and travels in the card of a model. It holds one line of numbers
for each outcome: two logistic regressions, that the place lies outside the target and, if it does not, that the answer
is right, and one linear quantile regression of the logarithm of the error for each radius. Distances enter as
logarithms: the step from 2 to 4 mm says as much as that from 20 to 40. Depths inside the field of view are cut off
where more says nothing more.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pydantic
from numpy.typing import ArrayLike, NDArray
from scipy import special

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import write_json
from anatomical_embedding.settings.base import Settings

FloatArray = NDArray[np.float64]

DEEPEST_MM = 40.0


def _depth(values: FloatArray) -> FloatArray:
    return np.clip(values, -DEEPEST_MM, DEEPEST_MM)


def _identity(values: FloatArray) -> FloatArray:
    return values


FEATURES: Mapping[str, Callable[[FloatArray], FloatArray]] = MappingProxyType(
    {
        "similarity": _identity,
        "cycle_error_mm": np.log1p,
        "anchor_distance_mm": np.log1p,
        "expected_depth_mm": _depth,
        "answer_depth_mm": _depth,
        "neighbour_distance_mm": np.log1p,
        "neighbour_spread_mm": np.log1p,
        "neighbour_count": _identity,
        "neighbour_similarity": _identity,
        "moved": np.nan_to_num,
        "moved_correlation": _identity,
        "lookalike_distance_mm": np.log1p,
        "voxel_mm": np.log1p,
        "registered": np.nan_to_num,
        "registered_distance_mm": np.log1p,
        "body_off_middle": _identity,
        "body_behind_front": _identity,
        "body_width_mm": _identity,
        "body_thickness_mm": _identity,
    }
)
"""What is measured of an answer (`matching/match_evidence.py`) -> how it enters; NaN stays NaN.

`moved` and `registered` alone are never unknown: where no scans are at hand, none moved the answer. An answer in its
cell would else be told as one that was moved, if most of those of the fit were."""

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "similarity": "how alike the vectors are",
        "cycle_error_mm": "how far from the point its answer matches back to",
        "anchor_distance_mm": "how far the answer lies from where the anchors expect it",
        "expected_depth_mm": "how deep inside the scan the anchors expect it",
        "answer_depth_mm": "how deep inside the scan the answer lies",
        "neighbour_distance_mm": "how far the answer lies from where its neighbours expect it",
        "neighbour_spread_mm": "how far its neighbours disagree",
        "neighbour_count": "how many of its neighbours agree",
        "neighbour_similarity": "how alike the vectors of its neighbours are",
        "moved": "whether the scans moved the answer",
        "moved_correlation": "how alike the scans are around it",
        "lookalike_distance_mm": "how far off places lie that look like it",
        "voxel_mm": "how coarse the voxels of both scans are",
        "registered": "whether a registration of the scans carries the point",
        "registered_distance_mm": "how far the match lies from where that carries it",
        "body_off_middle": "how far to a side of the body the point lies",
        "body_behind_front": "how far behind the front of the body the point lies",
        "body_width_mm": "how wide the body is there",
        "body_thickness_mm": "how thick the body is there",
    }
)
"""The same in words, for readers who have not met the names."""

SCAN_FEATURES = (
    "moved",
    "moved_correlation",
    "lookalike_distance_mm",
    "voxel_mm",
    "registered",
    "registered_distance_mm",
)
"""What scans tell: whether they moved the match to the voxel and how alike its surroundings are (`RefinedMatches`), how
far off the places lie that look like the query (`lookalikes`), how coarse they are (`coarseness_mm`), whether their
registration carries the query, and how far from its match. NaN without scans.

Whether a place lies out of view is told without them: most answers that are known to be out of view are asked in cells,
of targets that were cut, and would teach that answers of scans never are."""
OF_THE_SCAN_ALONE = frozenset({"body_width_mm", "body_thickness_mm"})
"""Features that no line weighs: they tell a scan of another part of the body from those of the fit, and no answer from
another."""
MORE_IS_BETTER = frozenset({"similarity", "neighbour_count", "neighbour_similarity", "moved_correlation"})
LESS_IS_BETTER = frozenset(
    {
        "cycle_error_mm",
        "anchor_distance_mm",
        "neighbour_distance_mm",
        "neighbour_spread_mm",
        "lookalike_distance_mm",
        "registered_distance_mm",
    }
)
"""Features by which an answer may be better than all of the fit, as in a scan matched to itself: no reason to doubt."""


def feature_table(evidence: Mapping[str, ArrayLike]) -> FloatArray:
    """Return the (N, features) numbers of N answers, in the order of `FEATURES`; NaN where unknown.

    Parameters
    ----------
    evidence : feature -> (N,) as it was measured; a table with these columns is one.
    """
    return np.column_stack(
        [change(np.asarray(evidence[name], dtype=np.float64)) for name, change in FEATURES.items()]
    )


class Line(Settings):
    """`intercept + sum of weights * standardised features`; what it stands for says its owner."""

    intercept: float
    """Value where every feature has its mean."""
    weights: dict[str, float]
    """Feature -> change with one standard deviation of it."""


class FeatureRange(Settings):
    """What a feature was among the answers of the fit."""

    unknown: float
    """Stands in where it could not be measured: the median."""
    mean: float
    """Of the answers of which it was measured."""
    scale: float
    """Standard deviation of these. A feature that is rarely measured would else seem to hardly vary."""
    lowest: float | None
    """Smallest number seen; None where it was measured of no answer."""
    highest: float | None
    """Largest number seen."""


class Confidence(Settings):
    """What the evidence of an answer says, fitted to answers whose truth is known."""

    within_mm: float
    """An answer this near to the truth is right."""
    features: dict[str, FeatureRange]
    """What each feature was in the fit."""
    right: Line
    """Log odds that the answer is right, if the place is in view; out of view there is no right answer."""
    out_of_view: Line | None
    """Log odds that the place lies outside the target; None where the fit saw too few such."""
    out_of_view_threshold: float | None
    """Probability from which on a place is called out of view: set by the false alarms of unseen patients."""
    radius: dict[str, Line]
    """Percent, as `90` -> log(1 + mm) within which so many true places lie; conformal for unseen patients."""
    sources: tuple[str, ...]
    """Evaluations and trackings whose answers were fitted to."""
    num_answers: int
    """Answers that were fitted to."""
    num_patients: int
    """Patients that these come from."""
    num_out_of_view: int
    """Answers whose place lies outside the target."""
    unseen: dict[str, Any]
    """Scores of the same fit on patients that it did not see (cross-validation), as in `confidence_scores.json`."""

    @pydantic.model_validator(mode="after")
    def _knows_every_feature(self) -> "Confidence":
        lines = [self.right, *filter(None, [self.out_of_view]), *self.radius.values()]
        for names in (set(self.features), *(set(line.weights) for line in lines)):
            if names != set(FEATURES):
                raise ValueError(f"knows other features than this version: {sorted(names ^ set(FEATURES))}")
        return self

    def probabilities(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the (N,) probabilities of being right and of lying out of view (NaN where that was not fitted)."""
        standard = self._standardised(features)
        right = special.expit(_value(self.right, standard))
        if self.out_of_view is None:
            return right, np.full(len(features), np.nan)
        out = special.expit(_value(self.out_of_view, standard))
        return (1.0 - out) * right, out

    def radii_mm(self, features: FloatArray) -> dict[str, FloatArray]:
        """Return percent -> (N,) radius in mm within which so many of the true places lie, none below a smaller one."""
        standard = self._standardised(features)
        radii: dict[str, FloatArray] = {}
        smallest = np.zeros(len(features))
        for level in sorted(self.radius, key=float):
            smallest = np.maximum(smallest, np.expm1(_value(self.radius[level], standard)))
            radii[level] = smallest
        return radii

    def unlike(self, features: FloatArray, *, tolerance: float) -> tuple[str, ...]:
        """Return (N,) which feature lies outside what the fit saw, in words; empty where none does, or speaks for it.

        Parameters
        ----------
        tolerance : share of the range of a feature, or of its largest number, by which it may lie outside.
        """
        words = [""] * len(features)
        for column, (name, change) in enumerate(FEATURES.items()):
            seen = self.features[name]
            if seen.lowest is None or seen.highest is None:
                continue
            # Where the answers of the fit had hardly a range, as of scans of one spacing, their size is the measure.
            slack = tolerance * max(seen.highest - seen.lowest, abs(seen.highest))
            values = features[:, column]
            is_below = (values < seen.lowest - slack) & (name not in LESS_IS_BETTER)
            is_above = (values > seen.highest + slack) & (name not in MORE_IS_BETTER)
            for row in np.flatnonzero(is_below | is_above):
                is_low = values[row] < seen.lowest
                limit, value = ((seen.lowest if is_low else seen.highest), values[row])
                if change is np.log1p:
                    limit, value = np.expm1(limit), np.expm1(value)
                words[row] = words[row] or (
                    f"unlike the answers that the confidence was fitted to: {WORDS[name]} ({name}) is {value:.3g}, "
                    f"at {'least' if is_low else 'most'} {limit:.3g} there"
                )
        return tuple(words)

    def _standardised(self, features: FloatArray) -> FloatArray:
        seen = [self.features[name] for name in FEATURES]
        known = np.where(np.isnan(features), [each.unknown for each in seen], features)
        return (known - [each.mean for each in seen]) / [each.scale for each in seen]


def _value(line: Line, standard: FloatArray) -> FloatArray:
    return line.intercept + standard @ np.array([line.weights[name] for name in FEATURES])


class ConfidenceFile(Settings):
    """What `fit_confidence` writes: the confidence, or why there is none."""

    confidence: Confidence | None
    """None where too little was known to fit it."""
    reason: str
    """Why there is none; else empty."""


def write_confidence(fitted: ConfidenceFile, path: Path | str) -> None:
    """Write the confidence as readable JSON."""
    write_json(path, fitted.model_dump(mode="json"))


def read_confidence(path: Path | str) -> ConfidenceFile:
    """Return the confidence in a file, or why there is none.

    Raises
    ------
    InputFileError
        if the file is not one that `write_confidence` wrote.
    """
    try:
        return ConfidenceFile.model_validate_json(Path(path).read_bytes(), strict=False)
    except (OSError, ValueError) as error:
        raise InputFileError(path, f"is not a confidence file ({error}); fit it again") from error
