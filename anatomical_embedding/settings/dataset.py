"""Settings of data sets: where raw volumes lie, what belongs to them, how patients are split."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    field_validator,
    model_validator,
)

from anatomical_embedding.identifiers import Identifier, first_clash
from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.input_path import InputPath, PathInCase
from anatomical_embedding.settings.organs import LandmarkKind, Organs, WithoutOrgans
from anatomical_embedding.settings.phantom import PhantomSettings, PhantomTrackingSettings
from anatomical_embedding.settings.split import SplitSettings
from anatomical_embedding.settings.volumes import Geometry, Modality


class StoredScansSettings(Settings):
    """What the owner of stored scans says about them where they do not say it themselves."""

    geometry: Geometry | None = None
    """Form that places NIfTI files whose header states two places, `sform` or `qform`; null refuses them."""
    hu_offset: float | None = None
    """Number that makes HU of the values of every CT, such as -1024, or 0 where they are HU; null: the values tell."""


SeriesName = int | str
"""Number of a DICOM series, or its UID."""


class SeriesSettings(StoredScansSettings):
    """Scans that may be folders of DICOM."""

    series: SeriesName | dict[Identifier, SeriesName] | None = None
    """Number or UID of the DICOM series to take where a scan's folder holds several: one for all of them, or by the
    id of the volume; null refuses such folders."""

    def series_of(self, volume_id: str) -> str | None:
        """Return what is taken of the folder of a volume; None for its only series."""
        chosen = self.series.get(volume_id) if isinstance(self.series, dict) else self.series
        return None if chosen is None else str(chosen)


class FlatFolderSettings(SeriesSettings, WithoutOrgans):
    """A folder that holds one file per volume, or one folder of DICOM for each, and nothing about organs."""

    root: InputPath
    """The folder."""
    split: SplitSettings
    """How patients are split."""


class FolderSettings(FlatFolderSettings):
    """Scans of one modality, one file each, such as `ABD_LYMPH_001.nii.gz`, or one folder of a DICOM series."""

    kind: Literal["folder"]
    """Data set kind."""
    modality: Modality
    """What all scans are."""
    patient_pattern: str = "(.*)"
    """Regular expression whose only group, searched in the volume's id, is the patient's id; by default every file is
    a patient. `^([0-9]+)_` for DeepLesion, whose `000001_02_01_008-023.nii.gz` begins with the patient."""

    @field_validator("patient_pattern")
    @classmethod
    def _pattern_has_one_group(cls, pattern: str) -> str:
        try:
            num_groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"is not a regular expression ({error})") from error
        if num_groups != 1:
            raise ValueError(f"must have one group (...), has {num_groups}")
        return pattern


class DeepLesionTrackingSettings(StoredScansSettings, WithoutOrgans):
    """CTs of DeepLesion with the public annotations of Deep Lesion Tracking, which pair lesions of two times."""

    kind: Literal["deeplesion_tracking"]
    """Data set kind."""
    root: InputPath
    """Folder that holds the volumes under the names of the annotations; further files there are left alone."""
    annotations: dict[Literal["validation", "test"], InputPath] = Field(min_length=1)
    """Split -> annotation file; a patient belongs to the split whose file names it."""


class KnownMoveSettings(Settings):
    """Random rigid moves of the MRs, where both volumes of a patient lie in one world: how far off is then known."""

    seed: NonNegativeInt
    """Of the moves."""
    max_rotation_degrees: Annotated[float, Field(ge=0.0, le=180.0)]
    """Largest angle, about a random axis through the middle of the volume."""
    max_translation_mm: NonNegativeFloat
    """Largest shift, in a random direction."""
    regions: InputPath
    """Folder of masks named as the CTs; 27 points of the box round each are the landmarks of its patient."""


class CtMrPairsSettings(FlatFolderSettings):
    """CT and MR of each patient: `<patient>_0000.nii.gz` is the CT, `_0001`, `_0002` and so on are MRs."""

    kind: Literal["ct_mr_pairs"]
    """Data set kind."""
    known_move: KnownMoveSettings | None = None
    """Moves the MRs before anything else, to measure registrations by; null takes them as they are."""


class CaseFoldersSettings(SeriesSettings):
    """One folder per patient, with one scan and masks of organs: the layout of TotalSegmentator."""

    kind: Literal["case_folders"]
    """Data set kind."""
    modality: Modality
    """What all scans are: `ct.nii.gz` or, as TotalSegmentator names its MRs, `mri.nii.gz` in every case folder, in any
    format of a file, or `ct` or `mri` as a folder of a DICOM series."""
    root: InputPath
    """The folder of the case folders."""
    split: SplitSettings
    """How patients are split."""
    organs: Organs = ()
    """Organs in the order of their label ids, which begin at 1, or the name of a table (`totalsegmentator_v1` with 104,
    `totalsegmentator_v2` with 117 organs); where two masks overlap the later one wins."""
    label_map: PathInCase | None = None
    """Name of a file in every case folder that holds all organs in one map, by their label ids; null for one mask an
    organ in `segmentations`."""
    bad_labels: Literal["refuse", "skip"] = "refuse"
    """What becomes of a mask that is not binary or on another grid than its scan, and of label ids that `organs` does
    not know: an error, or left out and named in the description of the volume."""
    landmarks: dict[Identifier, tuple[LandmarkKind, ...]] = Field(default_factory=dict)
    """Landmarks of each organ, named `<organ>_<kind>`, such as `mandible_bottom`."""

    @model_validator(mode="after")
    def _names_fit(self) -> "CaseFoldersSettings":
        clash = first_clash(self.organs)
        if clash:
            raise ValueError(f"organs must differ, got {clash[0]!r} and {clash[1]!r}")
        unknown = sorted(set(self.landmarks) - set(self.organs))
        if unknown:
            raise ValueError(f"landmarks of {unknown[0]!r}, which is not one of the organs")
        for organ, kinds in self.landmarks.items():
            if len(set(kinds)) < len(kinds):
                raise ValueError(f"landmarks of {organ!r} must differ, got {list(kinds)}")
        return self


RENAMED_KINDS = {
    "nih_lymph_node": "kind: folder and modality: ct",
    "deeplesion": "kind: folder, modality: ct and patient_pattern: '^([0-9]+)_'",
    "totalsegmentator": "kind: case_folders and modality: ct",
}
"""What a kind was called before -> what to write."""


def _refuse_renamed(content: Any) -> Any:
    kind = content.get("kind") if isinstance(content, Mapping) else None
    if isinstance(kind, str) and kind in RENAMED_KINDS:
        raise ValueError(f"the kind {kind!r} has a new name; write {RENAMED_KINDS[kind]}")
    return content


DatasetSettings = Annotated[
    Annotated[
        FolderSettings
        | CaseFoldersSettings
        | CtMrPairsSettings
        | DeepLesionTrackingSettings
        | PhantomSettings
        | PhantomTrackingSettings,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_refuse_renamed),
]
"""Settings of one data set; `kind` says which."""


class DatasetSectionSettings(Settings):
    """All that the stages which index a data set and locate its landmarks may see."""

    dataset: DatasetSettings
    """The data set."""
    largest_gap_mm: PositiveFloat | None = None
    """Between DICOM slices that are not equally far apart; null takes the number of the recipes."""
