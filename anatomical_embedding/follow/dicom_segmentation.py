"""The masks of a visit as a DICOM Segmentation on the slices of its scan (PS3.3 A.51)."""

from collections.abc import Sequence

import highdicom
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes

from anatomical_embedding.follow.dicom_identity import (
    MANUFACTURER,
    MODEL_NAME,
    content_words,
    tracking_of,
    uid_of,
)
from anatomical_embedding.follow.history import History
from anatomical_embedding.follow.records import Visit
from anatomical_embedding.follow.words import date_words
from anatomical_embedding.versions import __version__
from anatomical_embedding.volumes.affine import lps_from_ras
from anatomical_embedding.volumes.volume import Volume

SERIAL_NUMBER = "0"
"""There is no device; the attribute must not be empty."""
SERIES_NUMBER = 9001
LONGEST_LABEL = 64


def segmentation_of(
    history: History, visit: Visit, slices: Sequence[Dataset], masks: Volume
) -> highdicom.seg.Segmentation:
    """Return a segmentation with one segment a lesion that has voxels, pixel by pixel on the slices of the scan.

    Parameters
    ----------
    slices : headers of the series.
    masks : lesion numbers on the voxels of the scan, as the scan was read.
    """
    lesions = [int(lesion) for lesion in np.unique(masks.array) if lesion]
    segments = np.zeros(int(masks.array.max()) + 1, dtype=np.uint8 if len(lesions) < 2**8 else np.uint16)
    segments[lesions] = np.arange(1, len(lesions) + 1)
    pixels = np.stack([segments[_labels_on(dataset, masks)] for dataset in slices])
    words = content_words(history, visit)
    return highdicom.seg.Segmentation(
        source_images=list(slices),
        pixel_array=pixels,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(history, number, lesion) for number, lesion in enumerate(lesions, start=1)
        ],
        series_instance_uid=uid_of("segmentation series", *words),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid_of("segmentation", *words),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        software_versions=__version__,
        device_serial_number=SERIAL_NUMBER,
        series_description=f"Lesions {visit.name} {date_words(visit.date)}".strip()[:LONGEST_LABEL],
        content_label="LESIONS",
    )


def _description(history: History, number: int, lesion: int) -> highdicom.seg.SegmentDescription:
    tracking_id, tracking_uid = tracking_of(history, lesion)
    label = f"{tracking_id} {history.label(lesion)}".strip()
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label[:LONGEST_LABEL],
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=MODEL_NAME, version=__version__, family=codes.DCM.ArtificialIntelligence
        ),
        tracking_id=tracking_id,
        tracking_uid=tracking_uid,
    )


def _labels_on(dataset: Dataset, masks: Volume) -> NDArray[np.int64]:
    """Return the (rows, columns) labels of the voxels nearest to the pixels of a slice."""
    along_row, along_column = np.reshape([float(value) for value in dataset.ImageOrientationPatient], (2, 3))
    between_rows, between_columns = (float(value) for value in dataset.PixelSpacing)
    corner = np.array([float(value) for value in dataset.ImagePositionPatient])
    rows = np.arange(dataset.Rows)[:, np.newaxis, np.newaxis] * between_rows * along_column
    columns = np.arange(dataset.Columns)[:, np.newaxis] * between_columns * along_row
    points_mm = lps_from_ras((corner + rows + columns).reshape(-1, 3))
    return masks.nearest_values(points_mm).reshape(dataset.Rows, dataset.Columns)
