#!/usr/bin/env bash
# rt-utils takes the distance of rows for that of columns: outlines on pixels that are not square lie elsewhere.
#
# One would guess that outlines drawn from a mask lie where the mask lies, whatever the pixels measure.
# What happens: PixelSpacing holds the distance between rows first (PS3.3 10.7.1.3), which is the step along a column;
# rt-utils takes it as the step along a row. On pixels of 2 mm from row to row and 1.5 mm from column to column every
# outline is stretched to 4/3 along x and squeezed to 3/4 along y, about the first pixel, without a warning. It reads its
# own files back by the same swap, so its own round trip is exact. CT has square pixels as a rule; MR, and what was
# resampled or turned to coronal slices, has not.
# Versions: rt-utils 1.2.7, pydicom 3.0.2, opencv-python 5.0.0.93, numpy 2.4.6. Seen on 2026-11-29:
#   drawn: x 15 to 21 mm, y 40 to 48 mm
#   in the file: x 20 to 28 mm, y 30 to 36 mm
#   read back by rt-utils: 25 of 25 voxels
# Source: the output above.
# What to do: resample to square pixels before rt-utils draws, or write the outlines yourself. A structure set of such a
# series that misses its organs by a factor is not to be mended by a shift.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rt-utils==1.2.7 pydicom==3.0.2 opencv-python==5.0.0.93 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from rt_utils import RTStructBuilder

BETWEEN_ROWS, BETWEEN_COLUMNS = 2.0, 1.5
folder = Path(sys.argv[1])
series = folder / "series"
series.mkdir()
study, of_series, frame = generate_uid(), generate_uid(), generate_uid()
for z in range(3):
    slice_ = pydicom.Dataset()
    slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, generate_uid()
    slice_.StudyInstanceUID, slice_.SeriesInstanceUID, slice_.FrameOfReferenceUID = study, of_series, frame
    slice_.Modality, slice_.PatientID, slice_.PatientName, slice_.StudyID = "CT", "A", "A", "1"
    slice_.StudyDate = slice_.SeriesDate = "20260101"
    slice_.StudyTime = slice_.SeriesTime = "000000"
    slice_.PatientBirthDate = slice_.PatientSex = slice_.AccessionNumber = slice_.StudyDescription = ""
    slice_.SeriesDescription = slice_.PositionReferenceIndicator = ""
    slice_.SeriesNumber, slice_.InstanceNumber = 1, z + 1
    slice_.ImagePositionPatient, slice_.ImageOrientationPatient = [0, 0, 3.0 * z], [1, 0, 0, 0, 1, 0]
    slice_.PixelSpacing, slice_.SliceThickness = [BETWEEN_ROWS, BETWEEN_COLUMNS], 3
    slice_.Rows = slice_.Columns = 40
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit, slice_.PixelRepresentation, slice_.SamplesPerPixel = 15, 1, 1
    slice_.PhotometricInterpretation, slice_.RescaleIntercept, slice_.RescaleSlope = "MONOCHROME2", 0, 1
    slice_.PixelData = np.zeros((40, 40), np.int16).tobytes()
    slice_.file_meta = pydicom.dataset.FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.save_as(series / f"{z}.dcm", enforce_file_format=True)

mask = np.zeros((40, 40, 3), bool)
mask[20:25, 10:15, 1] = True
structures = RTStructBuilder.create_new(str(series))
structures.add_roi(mask=mask, name="box")
structures.save(str(folder / "structures.dcm"))
again = RTStructBuilder.create_from(str(series), str(folder / "structures.dcm")).get_roi_mask_by_name("box")
(contour,) = pydicom.dcmread(folder / "structures.dcm").ROIContourSequence[0].ContourSequence
corners = np.reshape(np.array(contour.ContourData, float), (-1, 3))
low, high = corners.min(axis=0), corners.max(axis=0)
rows, columns, _ = np.nonzero(mask)
x, y = columns * BETWEEN_COLUMNS, rows * BETWEEN_ROWS
print(f"drawn: x {x.min():g} to {x.max():g} mm, y {y.min():g} to {y.max():g} mm")
print(f"in the file: x {low[0]:g} to {high[0]:g} mm, y {low[1]:g} to {high[1]:g} mm")
print(f"read back by rt-utils: {(again & mask).sum()} of {mask.sum()} voxels")
if [*low[:2], *high[:2]] != [20.0, 30.0, 28.0, 36.0] or not np.array_equal(again, mask):
    sys.exit(1)
PYTHON
