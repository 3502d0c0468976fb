"""Settings of the data set kind `phantom`: synthetic bodies with exactly known dense correspondence."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.organs import Organs, WithoutOrgans, organs_of_table
from anatomical_embedding.settings.split import SplitSettings


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    """Return the pair unchanged if its first number is not above its second."""
    if pair[0] > pair[1]:
        raise ValueError("expected lowest then highest value")
    return pair


Spacing = Annotated[float, Field(ge=0.5, le=10)]
Extent = Annotated[int, Field(ge=16, le=512)]
UnitRange = Annotated[tuple[float, float], Field(min_length=2, max_length=2), AfterValidator(_ascending)]


class BodySettings(Settings):
    """How much bodies differ from each other."""

    scale_fraction: float = Field(ge=0, le=0.3)
    """Largest change of the size of the whole body; 0.16 gives sizes of 0.84 to 1.16."""
    axis_scale_fraction: float = Field(ge=0, le=0.2)
    """Largest further change of each of width, depth and height on its own."""
    organ_shift_mm: float = Field(ge=0, le=20)
    """Largest shift of an organ along each axis."""
    organ_size_fraction: float = Field(ge=0, le=0.3)
    """Largest relative change of the size of an organ."""
    deformation_mm: float = Field(ge=0, le=15)
    """Standard deviation, along each axis, of the smooth deformation of the whole body."""
    deformation_scale_mm: float = Field(ge=40, le=200)
    """Distance over which the smooth deformation changes."""


class FieldOfViewSettings(Settings):
    """The box of voxels that a scan records, and how the body lies in it."""

    size_vox: tuple[Extent, Extent, Extent]
    """Number of voxels along left-right, front-back and foot-head."""
    spacing_mm: tuple[Spacing, Spacing, Spacing]
    """Distance between voxel centres along the same axes; slices are as thick as they are apart."""
    shift_across_mm: float = Field(ge=0, le=60)
    """Largest shift of the box from the middle of the body, left-right and front-back."""
    shift_along_mm: float = Field(ge=0, le=200)
    """Largest shift of the box towards head or feet, so that bodies are cut at different levels."""


class CtSettings(Settings):
    """How a CT is taken of a body."""

    field_of_view: FieldOfViewSettings
    """The recorded box."""
    tilt_degrees: float = Field(ge=0, le=20)
    """Largest rotation of the body in the scanner about each axis."""
    arterial_phase: UnitRange
    """Lowest and highest strength of arterial contrast agent; 0 is none, 1 is strong."""
    venous_phase: UnitRange
    """Lowest and highest strength of venous contrast agent; 0 is none, 1 is strong."""
    tissue_variation_hu: float = Field(ge=0, le=100)
    """Standard deviation of a tissue's value between scans."""
    noise_hu: float = Field(ge=0, le=200)
    """Standard deviation of the noise in each voxel."""
    blur_mm: float = Field(ge=0, le=10)
    """Standard deviation of the Gaussian blur."""


class MrSettings(Settings):
    """How an MR is taken of the same body on another day."""

    field_of_view: FieldOfViewSettings
    """The recorded box."""
    rotation_degrees: float = Field(ge=0, le=30)
    """Largest rotation about each axis by which the MR's world differs from the CT's."""
    translation_mm: float = Field(ge=0, le=200)
    """Largest shift along each axis by which the MR's world differs from the CT's."""
    breath_mm: float = Field(ge=0, le=30)
    """Largest motion of the diaphragm against the CT."""
    deformation_mm: float = Field(ge=0, le=10)
    """Standard deviation, along each axis, of the smooth deformation against the CT."""
    t1_weight: UnitRange
    """Lowest and highest share of the T1-like look; the rest is T2-like."""
    tissue_variation_fraction: float = Field(ge=0, le=0.5)
    """Standard deviation of a tissue's signal between scans, relative to the signal."""
    bias_fraction: float = Field(ge=0, le=0.8)
    """Strength of the smooth change of brightness over the volume."""
    noise_fraction: float = Field(ge=0, le=0.3)
    """Strength of the Rician noise relative to the signal of fat."""
    blur_mm: float = Field(ge=0, le=10)
    """Standard deviation of the Gaussian blur."""


class LesionSettings(Settings):
    """How many lesions a body has and how large they are."""

    num_per_site: int = Field(ge=0, le=5)
    """Lesions in each of lungs, liver, spine and lymph nodes."""
    radius_mm: UnitRange
    """Smallest and largest radius at the first time point."""


class FollowUpSettings(Settings):
    """How the second CT of a body differs from the first."""

    slice_spacings_mm: tuple[Spacing, ...] = Field(min_length=1)
    """Slice spacings to draw from; the height of the recorded box stays as it is in the first CT."""
    breath_mm: float = Field(ge=0, le=30)
    """Largest motion of the diaphragm against the first CT."""
    deformation_mm: float = Field(ge=0, le=10)
    """Standard deviation, along each axis, of the smooth deformation against the first CT."""
    growth: UnitRange
    """Smallest and largest factor by which the radius of a lesion changes."""


class PhantomSubjectSettings(Settings):
    """What a synthetic body depends on, besides its index: all that the stage make_phantom may see."""

    seed: int = Field(ge=0)
    """Seed of all random choices."""
    modalities: tuple[Literal["ct", "mr"], ...] = Field(min_length=1, max_length=2)
    """Which scans are made of each body."""
    body: BodySettings
    """How bodies differ."""
    ct: CtSettings
    """How CTs are taken; needed for the MR too, whose world is described relative to the CT's."""
    mr: MrSettings | None = None
    """How MRs are taken; needed where `modalities` names `mr`."""
    lesions: LesionSettings
    """Lesions of each body."""
    follow_up: FollowUpSettings | None = None
    """How the second CT is taken; left out where no second time point is wanted."""

    @model_validator(mode="after")
    def _modalities_are_described(self) -> Self:
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError("modalities names a modality twice; name each once")
        if "mr" in self.modalities and self.mr is None:
            raise ValueError("modalities names mr, but the section mr is missing; add it")
        return self


class PhantomDatasetSettings(PhantomSubjectSettings):
    """A data set of synthetic bodies; a body never depends on how many there are."""

    num_subjects: int = Field(ge=1, le=1000)
    """Number of bodies."""
    split: SplitSettings
    """Which subjects are kept out of the training."""

    @property
    def geometry(self) -> None:
        """No choice: their files state one place."""
        return None

    @property
    def hu_offset(self) -> None:
        """No offset: the values of their CTs are HU."""
        return None

    def subject_settings(self) -> PhantomSubjectSettings:
        """Return what a body of this data set depends on."""
        return PhantomSubjectSettings(
            **{name: getattr(self, name) for name in PhantomSubjectSettings.model_fields}
        )


class PhantomSettings(PhantomDatasetSettings):
    """Synthetic bodies with landmarks, some of them to train on."""

    kind: Literal["phantom"]
    """The kind of data set."""
    organs: Organs = ()
    """`phantom`, the table of all organs of a synthetic body, where their labels are wanted; empty for none."""

    @model_validator(mode="after")
    def _some_subjects_train(self) -> Self:
        kept_out = self.split.num_test + self.split.num_validation
        if kept_out >= self.num_subjects:
            raise ValueError(
                f"split keeps {kept_out} of {self.num_subjects} subjects out of training; leave one or more"
            )
        if self.organs not in ((), organs_of_table("phantom")):
            raise ValueError(
                "organs of a synthetic body are the table 'phantom', or none; write organs: phantom"
            )
        return self


class PhantomTrackingSettings(PhantomDatasetSettings, WithoutOrgans):
    """Synthetic bodies at two times, their lesions annotated in the public format."""

    kind: Literal["phantom_tracking"]
    """The kind of data set."""

    @model_validator(mode="after")
    def _lesions_can_be_followed(self) -> Self:
        if self.follow_up is None or self.lesions.num_per_site == 0 or "ct" not in self.modalities:
            raise ValueError("needs modality ct, lesions (num_per_site above 0) and the section follow_up")
        return self


def subject_id(subject_index: int) -> str:
    """Return the name of a subject.

    Examples
    --------
    >>> subject_id(7)
    'phantom_007'
    """
    return f"phantom_{subject_index:03d}"


def tracked_patient_id(subject_index: int) -> str:
    """Return the name of a subject whose lesions are followed; file names of the public format begin with it.

    Examples
    --------
    >>> tracked_patient_id(7)
    '000008'
    """
    return f"{subject_index + 1:06d}"


def tracked_volume_id(subject_index: int, *, time_point: Literal[1, 2]) -> str:
    """Return the name of a scan of a subject whose lesions are followed: patient, study, series.

    Examples
    --------
    >>> tracked_volume_id(7, time_point=2)
    '000008_02_01'
    """
    return f"{tracked_patient_id(subject_index)}_{time_point:02d}_01"


def volume_id(subject_index: int, scan: Literal["ct", "mr", "ct_follow_up"]) -> str:
    """Return the name of one scan of a subject.

    Examples
    --------
    >>> volume_id(7, "mr")
    'phantom_007_mr'
    """
    return f"{subject_id(subject_index)}_{scan}"


def with_slice_spacing(field_of_view: FieldOfViewSettings, spacing_z_mm: float) -> FieldOfViewSettings:
    """Return a field of view of the same height with other slices."""
    height_mm = field_of_view.size_vox[2] * field_of_view.spacing_mm[2]
    return field_of_view.model_copy(
        update={
            "size_vox": (*field_of_view.size_vox[:2], max(1, round(height_mm / spacing_z_mm))),
            "spacing_mm": (*field_of_view.spacing_mm[:2], spacing_z_mm),
        }
    )
