#!/usr/bin/env bash
# highdicom's volume of an axial series begins with the highest slice, and that of a segmentation with its first mask.
#
# One would guess that array[k] of get_volume_from_series is slice k of the series as SimpleITK and dcm2niix have it,
# from the feet up, and that the volume of a segmentation has the size of the series.
# What happens: highdicom lays its axes as slice, row, column and makes them right-handed, so slices of a usual axial
# series run from the head down; its affine says so, the array does not. A segmentation omits empty frames, so its
# volume begins and ends with the slices that hold something, and has an axis of segments behind. Arrays of equal shape
# that are laid on one another (a whole-body mask on a CT from SimpleITK) are upside down; nothing fails.
# Versions: highdicom 0.28.2, SimpleITK 2.5.7, pydicom 3.0.2, numpy 2.4.6. Seen on 2026-11-30, ten slices whose value is
# their height in mm, 3 mm apart from 0, a mask in those at 6 to 12 mm:
#   SimpleITK: 0 3 6 9 12 15 18 21 24 27
#   highdicom: 27 24 21 18 15 12 9 6 3 0
#   segmentation: (3, 16, 16, 1), the first slice at 12 mm
# Source: the output above; https://highdicom.readthedocs.io/en/latest/volume.html.
# What to do: go by the affine, or bring one to the other by match_geometry (highdicom) before arrays meet.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet highdicom==0.28.2 SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import warnings
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import SimpleITK
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

warnings.simplefilter("ignore")
folder = Path(sys.argv[1])
study, of_series, frame = generate_uid(), generate_uid(), generate_uid()
slices = []
for number in range(10):
    slice_ = pydicom.Dataset()
    slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, generate_uid()
    slice_.StudyInstanceUID, slice_.SeriesInstanceUID, slice_.FrameOfReferenceUID = study, of_series, frame
    slice_.Modality, slice_.PatientID, slice_.PatientName, slice_.StudyID = "CT", "A", "A", "1"
    slice_.StudyDate, slice_.StudyTime = "20260101", "000000"
    slice_.PatientSex, slice_.PatientBirthDate = "O", "20000101"
    slice_.AccessionNumber = slice_.ReferringPhysicianName = ""
    slice_.SeriesNumber, slice_.InstanceNumber = 1, number + 1
    slice_.ImagePositionPatient, slice_.ImageOrientationPatient = [0, 0, 3.0 * number], [1, 0, 0, 0, 1, 0]
    slice_.PixelSpacing, slice_.SliceThickness = [1, 1], 3
    slice_.Rows = slice_.Columns = 16
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit, slice_.PixelRepresentation, slice_.SamplesPerPixel = 15, 1, 1
    slice_.PhotometricInterpretation, slice_.RescaleIntercept, slice_.RescaleSlope = "MONOCHROME2", 0, 1
    slice_.PixelData = np.full((16, 16), 3 * number, np.int16).tobytes()
    slice_.file_meta = pydicom.dataset.FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    slices.append(slice_)

names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
itk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(names))[:, 0, 0].astype(int).tolist()
ours = highdicom.get_volume_from_series(slices).array[:, 0, 0].astype(int).tolist()
mask = np.zeros((10, 16, 16), np.uint8)
mask[2:5, 4:8, 4:8] = 1
segment = highdicom.seg.SegmentDescription(
    1, "a", codes.SCT.Tissue, codes.SCT.Lesion, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL
)
segmentation = highdicom.seg.Segmentation(
    slices, mask, "BINARY", [segment], generate_uid(), 2, generate_uid(), 1, "A", "A", "1", "1"
)
volume = segmentation.get_volume()
height_mm = float(volume.affine[2, 3])
print("SimpleITK:", *itk)
print("highdicom:", *ours)
print(f"segmentation: {volume.array.shape}, the first slice at {height_mm:g} mm")
sys.exit(itk != list(range(0, 30, 3)) or ours != itk[::-1] or volume.array.shape != (3, 16, 16, 1) or height_mm != 12.0)
PYTHON
