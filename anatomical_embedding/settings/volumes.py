"""Settings of volumes: preparation (grid, body mask, crop) and intensities."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from anatomical_embedding.settings.base import Settings

Modality = Literal["ct", "mr"]
"""Kind of scan; it decides the body mask and the intensity mapping."""

Geometry = Literal["sform", "qform"]
"""Which form of a NIfTI header places a volume whose two forms differ."""

Percentile = Annotated[float, Field(ge=0, le=100)]


class MaskCleaningSettings(Settings):
    """How a thresholded volume becomes a clean body mask.

    The published numbers are pixels of the stored slice: radius 3, hole 40000 for CT alone and 30000 for
    CT/MR pairs, and components of a slice below 2000 are dropped. Here sizes are lengths and areas, so that
    they mean the same for every scan; at the usual 0.8 mm pixel they are 2.4 mm, 25600 mm2 and 19200 mm2. The
    components are those of the volume (see `volumes/body_mask.py` for the reason).
    """

    closing_radius_mm: NonNegativeFloat
    """Radius of the disk of the closing and of the opening that follows; below one pixel it does nothing."""
    smallest_part_share: Annotated[float, Field(ge=0, le=1)]
    """Connected parts of the volume's mask with fewer voxels than this share of the largest are dropped."""
    largest_hole_mm2: NonNegativeFloat
    """Holes of a slice's mask with a smaller area are filled; air that reaches the border is not a hole."""


class CtBodyMaskSettings(MaskCleaningSettings):
    """Body mask of a CT: voxels above a threshold, cleaned."""

    threshold_hu: float
    """Voxels above this are body (published: -900 for CT alone, -300 for CT/MR pairs)."""


class MrBodyMaskSettings(MaskCleaningSettings):
    """Body mask of an MR: voxels above a threshold that follows the volume's own intensities, cleaned.

    The threshold is `low + threshold_fraction * (high - low)` of two percentiles. The published one is the
    percentile 0.2 plus 30 units, which is about 0.03 of a usual range of 1000 but leaves nothing of an MR
    that was scaled to [0, 1].
    """

    low_percentile: Percentile
    """Percentile of the volume that counts as background (published: 0.2)."""
    high_percentile: Percentile
    """Percentile of the volume that counts as its brightest tissue (99.8)."""
    threshold_fraction: Annotated[float, Field(ge=0, lt=1)]
    """Part of the range between the two percentiles that a body voxel exceeds (0.03)."""

    @model_validator(mode="after")
    def _percentiles_ascend(self) -> "MrBodyMaskSettings":
        if self.low_percentile >= self.high_percentile:
            raise ValueError("low_percentile must be smaller than high_percentile")
        return self


class BodyMaskSettings(Settings):
    """Body mask by modality."""

    ct: CtBodyMaskSettings
    """Used for volumes of modality ct."""
    mr: MrBodyMaskSettings
    """Used for volumes of modality mr."""


class VolumeSettings(Settings):
    """How raw volumes become prepared volumes."""

    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    """Voxel spacing of prepared volumes along left, posterior and superior."""
    crop_margin_mm: NonNegativeFloat
    """Room that is kept around the body's box (published: at least 8 voxels)."""
    largest_gap_mm: PositiveFloat
    """DICOM slices that are not equally far apart are interpolated where no gap is larger than this or the usual one;
    other series are refused."""
    body_mask: BodyMaskSettings
    """How the body is told from the air around it."""


class ReadScanSettings(Settings):
    """What a stage is told of a raw scan that it reads."""

    modality: Modality
    """Kind of scan."""
    geometry: Geometry | None
    """Form that places files whose NIfTI header states two places; null refuses them."""
    hu_offset: float | None
    """Number that makes HU of the values of a CT; null looks at the values."""
    series: str | None
    """Number or UID of the DICOM series to take of a folder that holds several; null refuses such a folder."""
    largest_gap_mm: PositiveFloat
    """Between DICOM slices that are not equally far apart."""


class PrepareVolumeSettings(Settings):
    """All that the stage which prepares one volume may see."""

    volumes: VolumeSettings
    """Grid, crop and body mask."""
    modality: Modality
    """Kind of scan."""
    organs: tuple[str, ...]
    """Organs of the data set in the order of their label ids, which begin at 1."""
    bad_labels: Literal["refuse", "skip"]
    """What becomes of masks and label ids that do not fit: an error, or left out and named in the description."""
    geometry: Geometry | None = None
    """Form that places files whose NIfTI header states two places; null refuses them."""
    hu_offset: float | None = None
    """Number that makes HU of the values of a CT; null looks at the values."""
    series: str | None = None
    """Number or UID of the DICOM series to take of a folder that holds several; null refuses such a folder."""


class IntensitySettings(Settings):
    """How stored intensities become the network's input range.

    A window `[low, high]` of the volume is mapped to `[0, output_span]`, values outside are clipped, and
    `output_offset` is added. Published: CT window -1024 to 3071 HU, MR percentiles 0.2 and 99.8, span 255,
    offset -50.
    """

    ct_low_hu: float
    """Lower end of the CT window."""
    ct_high_hu: float
    """Upper end of the CT window."""
    mr_low_percentile: Percentile
    """Percentile of a whole MR volume that is the lower end of its window."""
    mr_high_percentile: Percentile
    """Percentile of a whole MR volume that is the upper end of its window."""
    mr_smallest_high: float | None
    """An upper end below this becomes this (published: 1, for MR already scaled to [0, 1]); null: never."""
    output_span: PositiveFloat
    """Width of the network's input range."""
    output_offset: float
    """Value at the lower end of the window."""

    @model_validator(mode="after")
    def _windows_ascend(self) -> "IntensitySettings":
        if self.ct_low_hu >= self.ct_high_hu:
            raise ValueError("ct_low_hu must be smaller than ct_high_hu")
        if self.mr_low_percentile >= self.mr_high_percentile:
            raise ValueError("mr_low_percentile must be smaller than mr_high_percentile")
        return self
