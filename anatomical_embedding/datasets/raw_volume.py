"""A volume as its owner stores it, before the pipeline touched it."""

from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from anatomical_embedding.settings.dataset import DatasetSettings, StoredScansSettings
from anatomical_embedding.settings.volumes import Modality, ReadScanSettings
from anatomical_embedding.volumes.dicom_mark import entries_of_dicom
from anatomical_embedding.volumes.file_names import DETACHED_SUFFIXES, without_ending


@dataclass(frozen=True)
class RawVolume:
    """Files and identity of one volume.

    Attributes
    ----------
    volume_id : unique in its data set, also where case is ignored; see `identifiers`.
    patient_id : volumes of one patient stay together in a split.
    modality : kind of scan.
    image_path : its file, or the folder of its DICOM series.
    label_paths : mask file of each of the data set's organs that has one.
    label_map_path : file that holds all organs in one map; None where every organ has its mask or there are none.
    series : number or UID of the DICOM series to take of a folder that holds several; None for the only one.
    """

    volume_id: str
    patient_id: str
    modality: Modality
    image_path: Path
    label_paths: Mapping[str, Path]
    label_map_path: Path | None = None
    series: str | None = None

    @property
    def image_files(self) -> list[Path]:
        """Its file, all files of its folder or, where its file is a header alone, those of its name."""
        name = self.image_path.name
        if self.image_path.is_dir():
            return entries_of_dicom(self.image_path)
        if not name.lower().endswith(DETACHED_SUFFIXES):
            return [self.image_path]
        return sorted(self.image_path.parent.glob(f"{escape(without_ending(name))}.*"))

    @property
    def all_label_paths(self) -> list[Path]:
        """Every file that tells about organs."""
        return [*self.label_paths.values(), *([self.label_map_path] if self.label_map_path else [])]


def reading_settings(raw: RawVolume, dataset: DatasetSettings, *, largest_gap_mm: float) -> ReadScanSettings:
    """Return what a stage is told of a raw scan: what its data set says, and the series of its folder."""
    stored = dataset if isinstance(dataset, StoredScansSettings) else StoredScansSettings()
    return ReadScanSettings(
        modality=raw.modality,
        geometry=stored.geometry,
        hu_offset=stored.hu_offset if raw.modality == "ct" else None,
        series=raw.series,
        largest_gap_mm=largest_gap_mm,
    )
