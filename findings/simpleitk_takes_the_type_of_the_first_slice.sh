#!/usr/bin/env bash
# SimpleITK gives a DICOM series the pixel type of its first slice: a PET whose first slope is 1 loses its fractions.
#
# Each slice of a PET has its own rescale slope. One would guess that ImageSeriesReader applies each and chooses a type
# that holds them all: it does apply each. What happens: the type is that which the first slice alone needs. A slope of
# 1 there, as a slice without counts may have, makes the volume one of whole numbers: fractions are cut off, so that a
# PET in SUV becomes 0 everywhere below 1, and what is too large for 16 bits starts again from 0. Nothing is said.
# Versions: SimpleITK 2.5.7, pydicom 3.0.2, numpy 2.4.6. Seen on 2026-12-01, four slices of 0, 0.8, 1.9 and 4.5 SUV,
# then of 1000, 1000, 10000 and 80000 Bq/ml:
#   SUV: 16-bit unsigned integer, 0 0 1 4
#   SUV, slopes of the first slice as of the others: 64-bit float, 0 0.8 1.9 4.5
#   Bq/ml: 16-bit unsigned integer, 1000 1000 10000 14464
# Source: the output above; https://github.com/SimpleITK/SimpleITK/issues/1636 (2022, confirmed) and pull request 1640.
# What to do: reader.SetOutputPixelType(SimpleITK.sitkFloat32), always.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage


def read_series(folder, slices):
    folder.mkdir()
    for k, (stored, slope) in enumerate(slices):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID, ds.SOPInstanceUID = PositronEmissionTomographyImageStorage, f"1.2.3.{k + 1}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3.100", "1.2.3.101", "1.2.3.102"
        ds.Modality, ds.PatientID, ds.SeriesNumber, ds.InstanceNumber = "PT", "P", 1, k + 1
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 3 * k], [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing, ds.SliceThickness, ds.Rows, ds.Columns = [4, 4], 3, 8, 8
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.RescaleSlope, ds.RescaleIntercept = 16, 16, 15, slope, 0
        ds.PixelData = np.full((8, 8), stored, np.uint16).tobytes()
        ds.save_as(folder / f"{k}.dcm", enforce_file_format=True)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


SUV = [(0, 1), (8000, 0.0001), (19000, 0.0001), (45000, 0.0001)]
seen = []
for number, (name, slices) in enumerate((
    ("SUV", SUV),
    ("SUV, slopes of the first slice as of the others", [(0, 0.0001), *SUV[1:]]),
    ("Bq/ml", [(1000, 1), (1000, 1), (1000, 10), (4000, 20)]),
)):
    image = read_series(Path(sys.argv[1]) / f"series{number}", slices)
    seen.append([round(float(value), 3) for value in SimpleITK.GetArrayFromImage(image)[:, 4, 4]])
    print(f"{name}: {image.GetPixelIDTypeAsString()}, {' '.join(f'{value:g}' for value in seen[-1])}")
sys.exit(0 if seen == [[0, 0, 1, 4], [0, 0.8, 1.9, 4.5], [1000, 1000, 10000, 14464]] else 1)
PYTHON
