"""Settings of a model: its network, its training, and what its stages may see of them."""

from pydantic import NonNegativeInt

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.training import TrainingSettings
from anatomical_embedding.settings.volumes import IntensitySettings


class ModelSettings(Settings):
    """One model of the run."""

    initial_weights: str | None
    """Checkpoint to start from; null for random weights."""
    network: NetworkSettings
    """Shape of the network."""
    training: TrainingSettings
    """How it is trained."""


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
