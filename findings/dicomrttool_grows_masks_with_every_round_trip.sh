#!/usr/bin/env bash
# DicomRTTool fills outlines with their border, rounded outwards: masks are too large, and grow with every round trip.
#
# One would guess that the mask of an outline is the voxels whose centres lie in it, as dcmrtstruct2nii has it, and that a
# mask that DicomRTTool draws comes back from it as it was.
# What happens: corners are rounded to whole voxels, those half way up, and polygons are filled with the pixels of their
# border. So outlines along the borders of voxels, which DicomRTTool itself draws, gain a row and a column each time: a
# box of 10 x 8 voxels and a disc of 8 both hold 23 % more after one round trip, 71 and 75 % more after three. They grow
# to one side, so their middles move as well. Volumes and overlaps measured on such masks are off by as much.
# platipy 0.7.2, which rounds corners to voxels too, reads such boxes and discs as large (tried by hand, not below).
# Versions: DicomRTTool 6.2.0, pydicom 3.0.2, SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-11-29, voxels of 1 mm:
#   after 0 round trips: box 240, disc 156 voxels; box about x 14.50
#   after 1 round trips: box 294, disc 192 voxels; box about x 14.95
#   after 2 round trips: box 351, disc 231 voxels; box about x 15.37
#   after 3 round trips: box 411, disc 273 voxels; box about x 15.77
# Source: the output above; `floor(continuous + 0.5)` in reshape_contour_data of DicomRTTool/ReaderWriter.py.
# What to do: read structure sets with another program. Do not compare volumes of masks that it read with others.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dicomrttool==6.2.0 pydicom==3.0.2 SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pydicom
from DicomRTTool.ReaderWriter import DicomReaderWriter
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

logging.disable(logging.INFO)
folder = Path(sys.argv[1])
series = folder / "series"
series.mkdir()
SHAPE = (5, 40, 40)
for k in range(SHAPE[0]):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"1.2.3.{k + 1}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3.100", "1.2.3.101", "1.2.3.102"
    ds.Modality, ds.PatientID, ds.PatientName, ds.PatientPosition = "CT", "P", "P", "HFS"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260101", "000000", "1", ""
    ds.PatientBirthDate = ds.PatientSex = ds.StudyDescription = ds.SeriesDescription = ""
    ds.SeriesNumber, ds.InstanceNumber = 1, k + 1
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 3 * k], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness, ds.SliceLocation = [1, 1], 3, 3 * k
    ds.Rows, ds.Columns = SHAPE[1:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.RescaleSlope, ds.RescaleIntercept = 16, 16, 15, 1, -1024
    ds.PixelData = np.arange(40 * 40, dtype=np.uint16).tobytes()
    ds.save_as(series / f"{k}.dcm", enforce_file_format=True)


def opened(*, with_structures):
    reader = DicomReaderWriter(description="series", arg_max=False)
    reader.walk_through_folders(str(series))
    if with_structures:
        reader.set_contour_names_and_associations(contour_names=["box", "disc"])
    reader.set_index(0)
    (reader.get_images_and_mask if with_structures else reader.get_images)()
    return reader


def round_trip(masks):
    shutil.rmtree(folder / "out", ignore_errors=True)
    writer = opened(with_structures=False)
    writer.prediction_array_to_RT(masks, str(folder / "out"), ROI_Names=["box", "disc"])
    (written,) = (folder / "out").glob("*.dcm")
    shutil.copy(written, series / "structures.dcm")
    return opened(with_structures=True).mask.astype(np.float32)


z, y, x = np.indices(SHAPE)
masks = np.zeros((*SHAPE, 3), np.float32)
masks[1:4, 10:18, 10:20, 1] = 1
masks[1:4, ..., 2] = (np.hypot(x - 29.5, y - 29.5) < 4)[1:4]
masks[..., 0] = 1 - masks[..., 1:].max(axis=-1)
counts = []
for trip in range(4):
    masks = round_trip(masks) if trip else masks
    counts.append([int(masks[..., number].sum()) for number in (1, 2)])
    middle = np.argwhere(masks[..., 1]).mean(axis=0)
    print(f"after {trip} round trips: box {counts[-1][0]}, disc {counts[-1][1]} voxels; box about x {middle[2]:.2f}")
    (series / "structures.dcm").unlink(missing_ok=True)
if counts != [[240, 156], [294, 192], [351, 231], [411, 273]]:
    sys.exit(1)
PYTHON
