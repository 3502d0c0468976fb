"""Settings of a training: views, augmentation, losses, optimisation and validation."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from anatomical_embedding.settings.base import Settings

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Range = tuple[float, float]


class ViewSettings(Settings):
    """How the two views of a volume are drawn (method: SAM section "crop parameters")."""

    patch_size_vox: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Size of a patch (x, y, z) as the network sees it, in voxels of the prepared spacing."""
    scale_range: Range
    """A view's zoom is drawn from this range; above 1 the patch covers more anatomy. Published: [0.8, 1.2]."""
    axis_scale_range: Range
    """Further zoom drawn for every axis alone. Published: [1.0, 1.0], none."""
    max_rotation_degrees: Annotated[float, Field(ge=0.0, le=180.0)]
    """Each view is rotated about each axis by up to this angle. Published for SAM: 0; for Cross-SAM: 5."""
    independent_probability: Probability
    """Share of pairs whose two views are placed without regard to each other. Published: 0.2."""
    seed_in_body_probability: Probability
    """Share of pairs whose common point is drawn from the body mask instead of the whole volume. Published for
    SAM: 0; for Cross-SAM: 0.9."""

    @model_validator(mode="after")
    def _check_ranges(self) -> "ViewSettings":
        for name in ("scale_range", "axis_scale_range"):
            low, high = getattr(self, name)
            if not 0.0 < low <= high:
                raise ValueError(f"{name} must be two positive numbers in rising order, got [{low}, {high}]")
        return self


class HistogramShiftSettings(Settings):
    """A random monotone curve of the intensities inside the body, so that no view can rely on a contrast.

    Control points lie evenly between the ends of the network's range; both ends stay, and every other one is moved
    between the one before, moved already, and the one after.
    """

    probability: Probability
    """Share of views whose curve is changed. Published: 0.9."""
    num_control_points: tuple[Annotated[int, Field(ge=3)], Annotated[int, Field(ge=3)]]
    """Smallest and largest number of control points. Published: [5, 15]."""
    invert_probability: Probability
    """Share of those views whose intensities are inverted first. Published: 0.3."""
    stretch_probability: Probability
    """Share of those views whose control points span the view's own darkest to brightest voxel. Published: 0.3."""


class AugmentationSettings(Settings):
    """Changes of intensity, drawn for every view alone, on the network's intensity scale (a range of 255)."""

    noise_standard_deviation_range: tuple[NonNegativeFloat, NonNegativeFloat]
    """Gaussian noise. Published: [0, 0.001]."""
    blur_standard_deviation_range_vox: tuple[NonNegativeFloat, NonNegativeFloat]
    """Gaussian blur in patch voxels. Published: [0, 0] for the lymph-node recipe, [0, 4] mm, that is [0, 2] voxels
    of 2 mm, for the DeepLesion recipe."""
    contrast_range: tuple[PositiveFloat, PositiveFloat]
    """Intensities are multiplied by a number of this range. Published: [1, 1]."""
    brightness_range: Range
    """A number of this range is added to the intensities. Published: [0, 0]."""
    histogram_shift: HistogramShiftSettings | None = None
    """Random monotone curve of the intensities inside the body; published for Cross-SAM, none for SAM."""


def _require_room_in_pool(loss: "FineLossSettings | CoarseLossSettings") -> None:
    if loss.num_negatives > loss.hard_negative_pool:
        raise ValueError(
            f"num_negatives ({loss.num_negatives}) must not exceed hard_negative_pool ({loss.hard_negative_pool})"
        )


class FineLossSettings(Settings):
    """Contrastive loss on the fine head."""

    positive_distance_mm: PositiveFloat
    """A cell and its partner may lie at most this far apart. Published: 2 (DeepLesion: 5)."""
    ignore_distance_mm: NonNegativeFloat
    """Cells nearer to the query than this are not negatives. Published: 20 (DeepLesion: 3)."""
    num_candidates: PositiveInt
    """Cells of a view tried as positives. Published: 2000."""
    num_positives: PositiveInt
    """Positives kept of a view. Published: 100."""
    is_limited_to_body: bool
    """Whether positives are taken inside the body mask only. Published: false."""
    num_negative_candidates: PositiveInt | None
    """Random cells of both views among which negatives are looked for; null for all cells. Published: null."""
    hard_negative_pool: PositiveInt
    """Most similar cells kept as hard negatives. Published: 2000."""
    num_negatives: PositiveInt
    """Negatives drawn at random from the pool. Published: 500."""
    temperature: PositiveFloat
    """Published: 0.5."""

    @model_validator(mode="after")
    def _check_pool(self) -> "FineLossSettings":
        _require_room_in_pool(self)
        return self


class CoarseLossSettings(Settings):
    """Contrastive loss on the coarse head."""

    positive_distance_mm: PositiveFloat
    """Published: 25."""
    positive_distance_z_mm: PositiveFloat
    """Partners may differ at most this much along the body axis. Published: 6 (8 in one direction by mistake)."""
    ignore_distance_mm: NonNegativeFloat
    """Published: 5."""
    hard_negative_pool: PositiveInt
    """Published: 250."""
    num_negatives: PositiveInt
    """Published: 200."""
    num_other_negatives: NonNegativeInt
    """Random cells of the other pairs in the batch used as further negatives. Published: 1000 (DeepLesion: 300)."""
    temperature: PositiveFloat
    """Published: 0.5."""

    @model_validator(mode="after")
    def _check_pool(self) -> "CoarseLossSettings":
        _require_room_in_pool(self)
        return self


class SgdSettings(Settings):
    """Stochastic gradient descent. Published: learning rate 0.02, momentum 0.9, weight decay 1e-4."""

    name: Literal["sgd"]
    learning_rate: PositiveFloat
    """Step size after the warm-up."""
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Share of the last step that is kept."""
    weight_decay: NonNegativeFloat
    """Penalty on the squared weights."""


class AdamWSettings(Settings):
    """AdamW, which takes off sooner than SGD on short budgets."""

    name: Literal["adamw"]
    learning_rate: PositiveFloat
    """Step size after the warm-up."""
    weight_decay: NonNegativeFloat
    """Decoupled weight decay."""


class ScheduleSettings(Settings):
    """Learning rate over the steps: linear warm-up, then constant or a cosine to zero."""

    warmup_steps: NonNegativeInt
    """Published: 500."""
    warmup_start_factor: Probability
    """Share of the learning rate at the first step. Published: 0.001."""
    decay: Literal["constant", "cosine"]
    """Published: constant."""


class ValidationSettings(Settings):
    """Validation on held-out volumes during the training."""

    interval_steps: PositiveInt
    """Steps between two validations; one more follows the last step."""
    num_pairs: PositiveInt
    """View pairs, the same at every validation."""
    num_points: PositiveInt
    """Points matched in every view pair."""


class ProcessSettings(Settings):
    """What processes that train together share.

    Their number is not a setting: a batch stays the same however many processes divide it, and their gradients are
    added up.
    """

    synchronised_batch_norm: bool
    """Whether batch normalisation sees the whole batch or each process its own part. Published: false."""
    negatives_from_other_processes: bool
    """Whether the coarse loss takes cells of other pairs from all processes or from its own. Published: false."""


class TrainingSettings(Settings):
    """One training: what is mixed, how views are made, what is minimised and how."""

    seed: NonNegativeInt
    """Every random draw follows from this number and the step, so a resumed training repeats them."""
    mix: dict[str, PositiveInt]
    """Data set name -> slots in every batch. Published: 6 lymph-node volumes (DeepLesion: 3)."""
    num_steps: PositiveInt
    """Optimiser steps. Published: 20000."""
    accumulation_steps: PositiveInt
    """Batches whose gradients are added up for one optimiser step. Published: 1."""
    precision: Literal["fp32", "bf16", "fp16"]
    """Arithmetic of the network; fp16 scales the loss. A processor without instructions for bf16 computes in fp32
    instead, which is faster there. Published: fp16."""
    optimizer: Annotated[SgdSettings | AdamWSettings, Field(discriminator="name")]
    """How the weights move."""
    schedule: ScheduleSettings
    """How the learning rate changes."""
    max_gradient_norm: PositiveFloat | None
    """Gradients longer than this are shortened to it; null for no limit. Published: null."""
    views: ViewSettings
    """The two views of a volume."""
    augmentation: AugmentationSettings
    """Changes of intensity."""
    fine_loss: FineLossSettings
    """Loss on the fine head."""
    coarse_loss: CoarseLossSettings
    """Loss on the coarse head."""
    processes: ProcessSettings
    """What several processes share; without effect on a training of one."""
    validation: ValidationSettings
    """Measured on held-out volumes."""
    keep: Literal["last", "best"]
    """Which weights become the checkpoint: the last, or those with the lowest validation error."""
    state_interval_steps: PositiveInt
    """Steps between two savings of the resume state."""
    device: Literal["auto", "cpu", "cuda"]
    """Where to train; auto takes a GPU where there is one."""

    @model_validator(mode="after")
    def _check_mix(self) -> "TrainingSettings":
        if not self.mix:
            raise ValueError("mix must name at least one data set, such as {phantom_ct: 4}")
        return self
