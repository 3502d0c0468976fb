"""Settings of the confidence: what is measured around an answer, how that is fitted, and when an answer is believed."""

from typing import Annotated

from pydantic import Field

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.neighbours import NeighbourSettings
from anatomical_embedding.settings.refinement import LookalikeSettings

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class AnchorSettings(Settings):
    """Points all over the body that are found in both scans of a pair (matching/match_evidence.py)."""

    anchor_spacing_mm: float = Field(gt=0.0)
    """Distance of the anchors, a grid of points in the body round the query whose places in both scans are found."""
    max_num_anchors: int = Field(ge=8)
    """Where there would be more anchors they are spread wider; bounds what a pair of scans costs."""
    anchor_reach_mm: float = Field(gt=0.0)
    """Weight of an anchor falls with its distance from the query as a Gaussian of this deviation."""
    anchor_cycle_mm: float = Field(gt=0.0)
    """Anchors that come back farther away than this are not used."""
    anchor_depth_mm: float = Field(ge=0.0)
    """Anchors found less deep inside the target are not used: what left the view is answered at its border."""


class EvidenceSettings(AnchorSettings):
    """What is measured around an answer to tell whether it can be trusted (matching/match_evidence.py)."""

    neighbours: NeighbourSettings
    """Cells round the query whose matches near the answer are compared with it."""
    lookalikes: LookalikeSettings
    """Where the scans around an answer look like the query, measured where scans are at hand."""


class FitSettings(Settings):
    """How probabilities and radii are learned from answers whose truth is known (evaluation/confidence/fit.py)."""

    within_mm: float = Field(gt=0.0)
    """An answer this near to the truth is right: what the probability is about."""
    regularisation: float = Field(gt=0.0)
    """Strength of the penalty on all coefficients, divided by the number of patients: answers of one patient are alike,
    and many of them tell little of other patients."""
    num_folds: int = Field(ge=2)
    """Parts of the patients in the cross-validation by which thresholds and radii are set; at most the patients."""
    false_alarm_share: Share
    """Share of the places in view that may be called out of view."""


class DecisionSettings(Settings):
    """When an answer is believed (matching/decision.py)."""

    found_probability: Share
    """Smallest probability of being right with which an answer is `found`; with less it is for `review`."""
    range_tolerance: float = Field(ge=0.0)
    """Evidence outside that of the fit by more than this share of its range, or of its largest number, makes an answer
    one for `review`."""


class ConfidenceSettings(Settings):
    """Everything that decides how far answers are trusted."""

    evidence: EvidenceSettings
    """What is measured around an answer."""
    fit: FitSettings
    """How it is learned what that says, on patients that neither training nor scoring sees."""
    decision: DecisionSettings
    """When an answer is believed."""
