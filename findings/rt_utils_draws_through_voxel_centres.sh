#!/usr/bin/env bash
# rt-utils draws the outline of a mask through the centres of its outermost voxels, half a voxel inside the mask.
#
# One would guess that an RTSTRUCT made from a mask encloses the mask, so that the area of its outlines is that of the
# voxels, and other programs measure and fill the same.
# What happens: OpenCV follows the border from pixel centre to pixel centre, and its corners are written as they are. A
# disc of 12 pixels loses 15 % of its area, a row of voxels becomes an "outline" of two corners, a single voxel one of one
# corner, which DICOM (PS3.3 C.8.8.6) would call lines and points; all three are written as CLOSED_PLANAR. rt-utils itself
# does not notice: it fills such outlines with their border, so its own round trip is exact. A program that takes the
# voxels whose centres lie inside loses the outermost ones, on all sides or, by the usual count of crossings, on two.
# Versions: rt-utils 1.2.7, pydicom 3.0.2, opencv-python 5.0.0.93, numpy 2.4.6. Seen on 2026-11-29, pixels of 1 mm:
#   disc: 113 voxels, 20 corners, 96 mm2, read back 113 voxels
#   row: 10 voxels, 2 corners, 0 mm2, read back 10 voxels
#   voxel: 1 voxels, 1 corners, 0 mm2, read back 1 voxels
# Source: the output above; issue 16 of qurit/rt-utils (2021, open): other software deletes lone voxels of such files on import.
# What to do: count what lies on an outline as inside; then outlines along voxel borders stay as they are, since no centre
# lies on them. Do not refuse closed outlines of fewer than three corners. Do not measure areas by the corners alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rt-utils==1.2.7 pydicom==3.0.2 opencv-python==5.0.0.93 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import logging
import sys
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from rt_utils import RTStructBuilder

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
    slice_.PixelSpacing, slice_.SliceThickness = [1, 1], 3
    slice_.Rows = slice_.Columns = 40
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit, slice_.PixelRepresentation, slice_.SamplesPerPixel = 15, 1, 1
    slice_.PhotometricInterpretation, slice_.RescaleIntercept, slice_.RescaleSlope = "MONOCHROME2", 0, 1
    slice_.PixelData = np.zeros((40, 40), np.int16).tobytes()
    slice_.file_meta = pydicom.dataset.FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.save_as(series / f"{z}.dcm", enforce_file_format=True)

rows, columns = np.mgrid[:40, :40]
masks = {name: np.zeros((40, 40, 3), bool) for name in ("disc", "row", "voxel")}
masks["disc"][..., 1] = np.hypot(columns - 20, rows - 18) <= 6
masks["row"][18, 15:25, 1] = True
masks["voxel"][18, 20, 1] = True
structures = RTStructBuilder.create_new(str(series))
for name, mask in masks.items():
    structures.add_roi(mask=mask, name=name)
structures.save(str(folder / "structures.dcm"))

read_back = RTStructBuilder.create_from(str(series), str(folder / "structures.dcm"))
seen = []
for (name, mask), region in zip(masks.items(), pydicom.dcmread(folder / "structures.dcm").ROIContourSequence):
    (contour,) = region.ContourSequence
    x, y = np.reshape(np.array(contour.ContourData, float), (-1, 3))[:, :2].T
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    again = int(read_back.get_roi_mask_by_name(name).sum())
    assert contour.ContourGeometricType == "CLOSED_PLANAR"
    print(f"{name}: {mask.sum()} voxels, {len(x)} corners, {area:g} mm2, read back {again} voxels")
    seen.append((int(mask.sum()), len(x), float(area), again))
if seen != [(113, 20, 96.0, 113), (10, 2, 0.0, 10), (1, 1, 0.0, 1)]:
    sys.exit(1)
PYTHON
