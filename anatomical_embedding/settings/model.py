"""Settings of a model: its network, its training, and what its stages may see of them."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.training import TrainingSettings
from anatomical_embedding.settings.volumes import IntensitySettings


class SamModelSettings(Settings):
    """A model trained on views of single volumes; with a shift of the histogram the first model of Cross-SAM."""

    method: Literal["sam"]
    """How it is trained."""
    initial_weights: str | None
    """Checkpoint to start from; null for random weights."""
    network: NetworkSettings
    """Shape of the network."""
    training: TrainingSettings
    """How it is trained."""


class RegisteredPairsSettings(Settings):
    """The share of registered pairs in a training across modalities."""

    registration: str = Field(min_length=1)
    """Name of the registration, in the section `registrations`, whose pairs are used; it needs a guide."""
    num_slots: PositiveInt
    """Registered pairs in every batch. Published: 1, beside 3 volumes that are loaded and ignored."""
    inter_weight: NonNegativeFloat
    """Weight of the losses between the volumes of a pair. Published: 1."""
    intra_weight: NonNegativeFloat
    """Weight of the losses between views of one volume, drawn as `training.mix` says; 0 leaves them out (published
    code, other than the published text)."""
    is_weighted_by_confidence: bool
    """Whether a pair counts by the share of its correspondences that agree. Published: false."""

    @model_validator(mode="after")
    def _something_is_learned(self) -> "RegisteredPairsSettings":
        if self.inter_weight + self.intra_weight == 0.0:
            raise ValueError(
                "inter_weight and intra_weight are both 0; give at least one of them a positive weight"
            )
        return self


class CrossSamModelSettings(Settings):
    """A model trained on registered pairs of volumes of two modalities, beside views of single volumes."""

    method: Literal["cross_sam"]
    """How it is trained."""
    initial_model: str | None
    """Name of the model whose trained weights it starts from; null for random weights."""
    network: NetworkSettings
    """Shape of the network; that of the initial model, if there is one."""
    training: TrainingSettings
    """How it is trained."""
    registered: RegisteredPairsSettings
    """Pairs of volumes."""

    @property
    def initial_weights(self) -> None:
        """No file: the start is another model of the run."""
        return None


ModelSettings = Annotated[SamModelSettings | CrossSamModelSettings, Field(discriminator="method")]
"""One model of the run; `method` says how it is trained."""


class InitialiseNetworkSettings(Settings):
    """What the stage initialise_network may see."""

    seed: NonNegativeInt
    """Of the random weights."""
    initial_weights: str | None
    """Checkpoint to start from; null for random weights."""
    network: NetworkSettings
    """Shape of the network."""


class TrainIntraSettings(Settings):
    """What the stage train_intra may see."""

    network: NetworkSettings
    """Shape of the network."""
    training: TrainingSettings
    """How it is trained."""
    intensity: IntensitySettings
    """The network's input range."""


class TrainInterSettings(TrainIntraSettings):
    """What the stage train_inter may see."""

    registered: RegisteredPairsSettings
    """Pairs of volumes."""
