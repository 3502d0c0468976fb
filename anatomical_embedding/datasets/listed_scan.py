"""The raw scan behind a volume of a data set."""

from pathlib import Path

from anatomical_embedding.datasets.raw_volume import RawVolume, reading_settings
from anatomical_embedding.settings.dataset import DatasetSettings
from anatomical_embedding.settings.volumes import ReadScanSettings
from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions, read_raw_scan


def read_listed_scan(volume: RawVolume, dataset: DatasetSettings, *, largest_gap_mm: float) -> RawScan:
    """Return the scan of a volume, read as its data set says.

    Raises
    ------
    InputFileError
        as `read_raw_scan`.
    """
    return read_scan_by(volume.image_path, reading_settings(volume, dataset, largest_gap_mm=largest_gap_mm))


def read_scan_by(path: Path, settings: ReadScanSettings) -> RawScan:
    """Return the scan in a file or folder, read by settings; see `read_raw_scan`."""
    return read_raw_scan(path, ReadingOptions(**settings.model_dump()))
