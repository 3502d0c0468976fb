"""What the stages that answer queries may see."""

from pydantic import PositiveFloat, model_validator

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.confidence import EvidenceSettings
from anatomical_embedding.settings.dataset import DatasetSettings
from anatomical_embedding.settings.matching import MatchingMethod, MatchingSettings
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.settings.registration import CoarseRegistrationSettings


class RefineTableSettings(Settings):
    """What it takes to move the matches of a stage to the voxel."""

    dataset: DatasetSettings
    """Whose raw scans are compared."""
    largest_gap_mm: PositiveFloat
    """Between DICOM slices of theirs that are not equally far apart."""
    registration: CoarseRegistrationSettings | None
    """How scans are registered to begin there; null begins at the matches."""
    refinement: RefinementSettings
    """How."""


class MatchPointsSettings(Settings):
    """What the stage match_points may see."""

    matching: MatchingSettings
    """How vectors are compared."""
    method: MatchingMethod
    """The way of matching."""
    evidence: EvidenceSettings | None
    """What is measured around the matches to judge them; null leaves it out."""
    refined: RefineTableSettings | None
    """How matches are moved to the voxel by the scans; null leaves them in their cells."""

    @model_validator(mode="after")
    def _anchors_are_known(self) -> "MatchPointsSettings":
        if self.refined is not None and self.refined.registration is not None and self.evidence is None:
            raise ValueError("refined.registration needs evidence, from whose anchors it starts")
        return self
