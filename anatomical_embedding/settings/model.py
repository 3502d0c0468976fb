"""Settings of a model: its network, its training, and what its stages may see of them."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.input_path import InputPath
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.training import Probability, TrainingSettings
from anatomical_embedding.settings.volumes import IntensitySettings

Folds = Annotated[int, Field(ge=2)] | None
"""Parts of the training patients."""


class SamModelSettings(Settings):
    """A model trained on views of single volumes; with a shift of the histogram the first model of Cross-SAM."""

    method: Literal["sam"]
    """How it is trained."""
    initial_weights: InputPath | None
    """Checkpoint to start from; null for random weights."""
    network: NetworkSettings
    """Shape of the network."""
    training: TrainingSettings
    """How it is trained."""
    confidence_folds: Folds = None
    """Parts of the training patients for whose answers it is trained once more without them, so that the confidence is
    fitted to more patients than those of the validation; null for none, each costs a training."""

    @property
    def initial_model(self) -> None:
        """No other model of the run."""
        return None


class SemanticSettings(Settings):
    """How the semantic head learns from organ labels."""

    dataset: str = Field(min_length=1)
    """Name of the data set with organs; volumes in which fewer than two of them are seen are left out."""
    probability: Probability
    """Share of the steps that train on organs; the others train as SAM does. Published: 0.4."""
    num_volumes: Annotated[int, Field(ge=2)]
    """Volumes of such a step, whose organs have common prototypes. Published: 2."""
    crop_size_vox: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Largest part (x, y, z) of a volume that a step looks at, in voxels of the prepared spacing.
    Published: [180, 180, 120]."""
    temperature: PositiveFloat
    """Of the prototype loss. Published: 0.1."""
    num_sampled_cells: PositiveInt | None
    """Random cells that stand for all cells of a step in the sums of the loss; null for all. Published: null."""
    are_prototypes_shared: bool
    """Whether the volumes of all processes that train together have common prototypes, or each process its own;
    without effect on one process. Published: false."""


class SamppModelSettings(Settings):
    """A model trained as SAM and, on other steps, on organ labels of several volumes at a time."""

    method: Literal["sampp"]
    """How it is trained."""
    initial_weights: InputPath | None
    """Checkpoint to start from; null for random weights, or those of `initial_model`."""
    initial_model: str | None
    """Name of the model of this run whose trained weights it starts from; null for none. Published: null."""
    network: NetworkSettings
    """Shape of the network, with a semantic head."""
    training: TrainingSettings
    """How it is trained."""
    semantic: SemanticSettings
    """What it learns from organ labels."""
    confidence_folds: Folds = None
    """As of a `sam`; the model that it starts from needs the same number."""

    @model_validator(mode="after")
    def _check_start_and_head(self) -> "SamppModelSettings":
        if not self.network.has_semantic_head:
            raise ValueError(
                "network.has_semantic_head is false, expected true: organs are learned by that head"
            )
        if self.initial_weights is not None and self.initial_model is not None:
            raise ValueError("initial_weights and initial_model are both given; name one start, or none")
        return self


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

    @property
    def confidence_folds(self) -> None:
        """No folds."""
        return None


ModelSettings = Annotated[
    SamModelSettings | SamppModelSettings | CrossSamModelSettings, Field(discriminator="method")
]
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


class TrainSemanticSettings(TrainIntraSettings):
    """What the stage train_semantic may see."""

    semantic: SemanticSettings
    """What it learns from organ labels."""


class TrainInterSettings(TrainIntraSettings):
    """What the stage train_inter may see."""

    registered: RegisteredPairsSettings
    """Pairs of volumes."""


def training_datasets(settings: ModelSettings | TrainIntraSettings) -> set[str]:
    """Return the names of the data sets that a model is trained on, from its settings or those of its training."""
    if isinstance(settings, SamppModelSettings | TrainSemanticSettings):
        return {settings.semantic.dataset, *settings.training.mix}
    return set(settings.training.mix)
