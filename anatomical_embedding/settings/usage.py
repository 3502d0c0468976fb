"""What it takes to use a trained model on a new scan; it travels in the checkpoint, as part of the model card."""

from pydantic import Field

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.embedding import EmbeddingSettings
from anatomical_embedding.settings.export import ExportSettings
from anatomical_embedding.settings.matching import MatchingSettings, StoreSettings
from anatomical_embedding.settings.registration import AffineFitSettings, DeedsSettings, GridMatchSettings
from anatomical_embedding.settings.volumes import IntensitySettings, VolumeSettings


class AnswerSettings(Settings):
    """When an answer counts as found (anatomical_embedding/matching/answers.py)."""

    max_cycle_error_mm: float = Field(gt=0)
    """A match is doubtful if its own match in the first volume lies farther than this from the point asked for."""


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
    """How points are found."""
    answers: AnswerSettings
    """When an answer counts as found."""
    scan_registration: ScanRegistrationSettings
    """How two scans are registered."""

    def export(self) -> ExportSettings:
        """Return the part that embedding a prepared volume needs."""
        return ExportSettings(embedding=self.embedding, store=self.store, intensity=self.intensity)
