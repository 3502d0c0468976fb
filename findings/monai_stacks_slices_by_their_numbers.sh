#!/usr/bin/env bash
# MONAI's PydicomReader stacks the slices of a series by InstanceNumber, wherever they lie.
#
# One would guess that slices are sorted by ImagePositionPatient along the normal, as in SimpleITK, dcm2niix and
# highdicom: InstanceNumber is a number without a meaning in space (PS3.3 C.7.6.1), may be empty, and counts time or
# reconstruction in some series. What happens: it alone gives the order. The affine is laid from the first slice of that
# order to the last, so that a shuffled volume has a spacing that nobody wrote, here 1.5 for 3 mm and upside down. Where
# all numbers are equal, as anonymisers leave them, the order is that in which the folder lists its files; a slice
# without a number is left out with a warning. Distances are not held against each other, and nothing is said.
# LoadImage takes this reader for a folder where the package itk is not installed, as in a plain install of MONAI.
# Versions: monai 1.6.1, torch 2.13.0, pydicom 3.0.2, SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-12-01, five slices 3 mm
# apart whose value is their height in mm, with the numbers 4 2 5 3 1 from below:
#   SimpleITK: 0 3 6 9 12, 3.0 mm apart
#   MONAI: 12 3 9 0 6, 1.5 mm apart
# Source: the output above; monai/data/image_reader.py, PydicomReader.
# What to do: give reader="ITKReader" with the package itk, or hold the affine against two slices' own positions.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet \
	monai==1.6.1 torch==2.13.0 pydicom==3.0.2 SimpleITK==2.5.7 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import SimpleITK
from monai.transforms import LoadImage
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

NUMBERS, STEP_MM = (4, 2, 5, 3, 1), 3
series = Path(sys.argv[1]) / "series"
series.mkdir()
for k, number in enumerate(NUMBERS):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"1.2.3.{k + 1}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3.100", "1.2.3.101", "1.2.3.102"
    ds.Modality, ds.PatientID, ds.SeriesNumber, ds.InstanceNumber = "CT", "P", 1, number
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, STEP_MM * k], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness, ds.Rows, ds.Columns = [1, 1], STEP_MM, 8, 8
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.RescaleSlope, ds.RescaleIntercept = 16, 16, 15, 1, 0
    ds.PixelData = np.full((8, 8), STEP_MM * k, np.uint16).tobytes()
    ds.save_as(series / f"{k}.dcm", enforce_file_format=True)

reader = SimpleITK.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series)))
by_itk = reader.Execute()
by_monai = LoadImage(image_only=True, reader="PydicomReader")(str(series))
seen = []
for name, heights, apart in (
    ("SimpleITK", SimpleITK.GetArrayFromImage(by_itk)[:, 4, 4], by_itk.GetSpacing()[2]),
    ("MONAI", np.asarray(by_monai)[4, 4], np.linalg.norm(np.asarray(by_monai.affine)[:3, 2])),
):
    seen.append(([int(height) for height in heights], float(apart)))
    print(f"{name}: {' '.join(map(str, seen[-1][0]))}, {apart:.1f} mm apart")
sys.exit(0 if seen == [([0, 3, 6, 9, 12], 3.0), ([12, 3, 9, 0, 6], 1.5)] else 1)
PYTHON
