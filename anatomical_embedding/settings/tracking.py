"""Settings of lesion tracking: who follows which lesions, and how far an answer can be trusted."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.evaluation import ResamplingSettings
from anatomical_embedding.settings.matching import MatchingSettings, MethodName

AnnotatedSplit = Literal["validation", "test"]
"""A split that lesion annotations exist for."""

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class EvidenceSettings(Settings):
    """What is measured around an answer to tell whether it can be trusted."""

    anchor_spacing_mm: float = Field(gt=0.0)
    """Distance of the anchors, a grid of points in the body round the query whose places in both scans are found."""
    anchor_reach_mm: float = Field(gt=0.0)
    """Weight of an anchor falls with its distance from the query as a Gaussian of this deviation."""
    anchor_cycle_mm: float = Field(gt=0.0)
    """Anchors that come back farther away than this are not used."""
    anchor_depth_mm: float = Field(ge=0.0)
    """Anchors found less deep inside the target are not used: what left the view is answered at its border."""
    second_peak_mm: float = Field(gt=0.0)
    """The second best place is looked for farther than this from the answer."""


class DecisionSettings(Settings):
    """How probabilities become `accept`, `review` or `out_of_fov`."""

    accept_probability: Share
    """Smallest probability of being within 10 mm that is accepted without review."""
    false_alarm_share: Share
    """Share of the lesions in view, in the split that the confidence is fitted on, that may be called out of view."""


class FitConfidenceSettings(Settings):
    """What the stage `fit_confidence` may see."""

    regularisation: float = Field(gt=0.0)
    """Strength of the penalty on the coefficients of the logistic regressions."""
    num_folds: int = Field(ge=2)
    """Parts of the patients in the cross-validation that the reliability is measured by."""
    decision: DecisionSettings
    """How probabilities become decisions."""


class ConfidenceSettings(FitConfidenceSettings):
    """Calibrated probabilities that an answer is right, and that the lesion left the field of view."""

    fitted_on: AnnotatedSplit
    """Split of the data set that the probabilities are fitted on; never the one that is scored."""
    evidence: EvidenceSettings
    """What is measured around an answer."""

    def fit(self) -> FitConfidenceSettings:
        """Return the part that the stage `fit_confidence` may see."""
        return FitConfidenceSettings(
            regularisation=self.regularisation, num_folds=self.num_folds, decision=self.decision
        )


class TrackingSettings(Settings):
    """One evaluation of lesion tracking; every published definition is scored, always side by side."""

    dataset: str = Field(min_length=1)
    """Name of the data set in the section `datasets`, of kind `deeplesion_tracking` or `phantom_tracking`."""
    models: tuple[str, ...]
    """Names of the models that answer, in the section `models`."""
    methods: tuple[MethodName, ...] = Field(min_length=1)
    """Names of the ways of matching, in the section `methods`, each with every model."""
    refined: bool
    """Whether matches are moved to the voxel by the raw scans, as `answers.refinement` says, or stay in their cells."""
    split: AnnotatedSplit
    """Split of the data set that is scored."""
    bootstrap: ResamplingSettings
    """Intervals and paired tests, clustered by patient."""
    confidence: ConfidenceSettings | None
    """How far answers can be trusted; null leaves it out."""

    @model_validator(mode="after")
    def _fits_and_scores_apart(self) -> Self:
        if self.confidence is not None and self.confidence.fitted_on == self.split:
            raise ValueError(
                f"confidence.fitted_on is {self.split!r}, the split that is scored; name the other one"
            )
        return self


class AssessMatchesSettings(Settings):
    """What the stage `assess_matches` may see."""

    matching: MatchingSettings
    """How points are found."""
    evidence: EvidenceSettings
    """What is measured around an answer."""
