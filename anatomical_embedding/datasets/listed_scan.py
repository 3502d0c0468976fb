"""The raw scan behind a volume of a data set."""

from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.settings.dataset import DatasetSettings, StoredScansSettings
from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions, read_raw_scan


def read_listed_scan(volume: RawVolume, dataset: DatasetSettings) -> RawScan:
    """Return the scan of a volume, read as its data set says.

    Raises
    ------
    InputFileError
        as `read_raw_scan`.
    """
    options = ReadingOptions(modality=volume.modality)
    if isinstance(dataset, StoredScansSettings):
        hu_offset = dataset.hu_offset if volume.modality == "ct" else None
        options = ReadingOptions(volume.modality, geometry=dataset.geometry, hu_offset=hu_offset)
    return read_raw_scan(volume.image_path, options)
