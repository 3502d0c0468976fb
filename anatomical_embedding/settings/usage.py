"""What it takes to use a trained model on a new scan; it travels in the checkpoint, as part of the model card."""

from pydantic import Field, PositiveFloat

from anatomical_embedding.errors import UserError
from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.confidence import ConfidenceSettings
from anatomical_embedding.settings.embedding import EmbeddingSettings
from anatomical_embedding.settings.export import ExportSettings
from anatomical_embedding.settings.matching import MatchingMethod, MatchingSettings, MethodName, StoreSettings
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.settings.registration import (
    AffineFitSettings,
    CoarseRegistrationSettings,
    DeedsSettings,
    GridMatchSettings,
)
from anatomical_embedding.settings.volumes import IntensitySettings, VolumeSettings


class AnswerSettings(Settings):
    """How a user's points are answered."""

    method: MethodName
    """Way of matching where none is asked for, in the section `methods`."""
    registration_spacing_mm: PositiveFloat | None
    """Grid on which two scans are registered first, to be searched where that carries a point; null searches where it
    matches."""
    refinement: RefinementSettings
    """How a match is moved to the voxel by the scans themselves, where `matching.refinement` is `voxel`."""


class PropagationSettings(Settings):
    """How labels are carried to another scan (anatomical_embedding/matching/propagation.py)."""

    anchor_spacing_mm: float = Field(gt=0)
    """Distance of the points in and around the labels that are matched."""
    margin_mm: float = Field(gt=0)
    """Points this near to a label take part."""
    max_num_anchors: int = Field(ge=100)
    """Where there would be more points they are spread wider; bounds the time for large labels."""
    max_num_refined: int = Field(ge=100)
    """At most so many of the points that come back are moved by the scans; those around them say where others go."""
    max_cycle_error_mm: float = Field(gt=0)
    """Points whose way back ends farther than this from them are left out."""
    num_neighbours: int = Field(ge=8)
    """Points that decide on one place together."""
    reach_mm: float = Field(gt=0)
    """Deviation of the Gaussian by which their weights fall with the distance."""
    stiffness_mm: float = Field(gt=0)
    """Points that spread by less than this move a place, but do not stretch or turn what lies around it."""
    min_anchors: int = Field(ge=4)
    """A label with fewer points that come back is not carried."""
    min_return_share: float = Field(ge=0, le=1)
    """A label is for review if a smaller share of its points comes back."""


class ScanRegistrationSettings(Settings):
    """How two scans of a user are registered: a start that matches agree on, then deeds."""

    grid: GridMatchSettings
    """Which points are matched."""
    fit: AffineFitSettings
    """How they become a map."""
    deeds: DeedsSettings
    """The deformable step."""


class UsageSettings(Settings):
    """From a raw scan to an answer: the sections of the configuration that matching a scan needs."""

    volumes: VolumeSettings
    """How a raw scan is prepared."""
    intensity: IntensitySettings
    """The network's input range."""
    embedding: EmbeddingSettings
    """How the network is run over whole volumes."""
    store: StoreSettings
    """How embeddings are stored."""
    matching: MatchingSettings
    """How the vectors of points are compared."""
    methods: dict[MethodName, MatchingMethod]
    """Name -> way of matching."""
    confidence: ConfidenceSettings
    """How far answers are trusted."""
    answers: AnswerSettings
    """How a user's points are answered."""
    propagation: PropagationSettings
    """How labels are carried to another scan."""
    scan_registration: ScanRegistrationSettings
    """How two scans are registered."""

    def method(self, name: str) -> MatchingMethod:
        """Return the way of matching of a name.

        Raises
        ------
        UserError
            if there is none of this name.
        """
        if name not in self.methods:
            raise UserError(
                f"no way of matching is called {name!r}; known: {', '.join(sorted(self.methods))}"
            )
        return self.methods[name]

    def coarse_registration(self) -> CoarseRegistrationSettings | None:
        """Return how two scans are registered before they are searched: as by `register`, but coarsely.

        None where they are not.
        """
        if self.answers.registration_spacing_mm is None:
            return None
        coarse = {"spacing_mm": self.answers.registration_spacing_mm, "linear": None, "descent": None}
        found = self.scan_registration
        return CoarseRegistrationSettings(fit=found.fit, deeds=found.deeds.model_copy(update=coarse))

    def export(self) -> ExportSettings:
        """Return the part that embedding a prepared volume needs."""
        return ExportSettings(embedding=self.embedding, store=self.store, intensity=self.intensity)
