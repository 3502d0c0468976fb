"""Settings of the steps below a voxel that follow the search of a deformable registration."""

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from anatomical_embedding.settings.base import Settings


class FieldDescentPassSettings(Settings):
    """Some steps with one window."""

    smooth_mm: NonNegativeFloat
    """Standard deviation of the Gaussian that both images are smoothed by."""
    window_mm: PositiveFloat
    """Standard deviation of the Gaussian window that decides on one control point."""
    num_steps: PositiveInt
    """Steps that are taken."""


class FieldDoubtSettings(Settings):
    """How far a place may be off: a scale times powers of what the last step saw, fitted on known warps."""

    scale: PositiveFloat
    """Makes four of five true places lie within the radius."""
    hold_power: NonNegativeFloat
    """Of one over the hold: the root of the smallest eigenvalue of the normal matrix, 1/mm."""
    step_power: NonNegativeFloat
    """Of the length of the last step."""
    step_floor_mm: PositiveFloat
    """Added to that length."""
    strain_power: NonNegativeFloat
    """Of the root of the sum of the squared slopes of the field."""
    strain_floor: PositiveFloat
    """Added to that root."""
    largest_mm: PositiveFloat
    """No radius is larger."""
    min_agreement: float = Field(ge=-1, le=1)
    """Median local correlation of the two images in the body, below which the radius is not known: they are hardly of
    one patient. Between known warps of one scan (0.993 and more) and pairs of two patients (0.96 and less)."""


class FieldRoughnessSettings(Settings):
    """What leaves the field with every step: noise of the search and of the images, finer than a window can see."""

    window_mm: PositiveFloat
    """Standard deviation of a Gaussian; what three of its means, each of what those before it left, do not hold is
    rough."""
    wall_mm: PositiveFloat
    """What is much rougher is a wall along which tissue slides, and stays."""


class FieldDescentSettings(Settings):
    """Steps of descent on two images of one contrast; published: none."""

    spacing_mm: PositiveFloat
    """The images are compared on a grid of this spacing."""
    control_step_vox: PositiveInt
    """Voxels between control points, on which the field is written: displacements lie linearly between them."""
    passes: tuple[FieldDescentPassSettings, ...] = Field(min_length=1)
    """One after the other, from wide windows to narrow ones."""
    contrast_mm: PositiveFloat
    """Standard deviation of the Gaussian window within which mean and contrast are made alike."""
    noise: PositiveFloat
    """Differences of intensity (HU) below this are noise."""
    stiffness: PositiveFloat
    """Squared gradient over squared difference, in 1/mm^2, at which a step goes half of its way."""
    start_smooth_mm: NonNegativeFloat
    """Standard deviation of the Gaussian that takes the whole steps out of the field of the search."""
    largest_step_mm: PositiveFloat
    """No step moves a place by more."""
    roughness: FieldRoughnessSettings | None = None
    """What leaves the field with every step; null leaves it all."""
    doubt: FieldDoubtSettings | None = None
    """How far places may be off after it; null does not say."""
