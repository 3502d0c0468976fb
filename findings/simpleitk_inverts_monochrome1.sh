#!/usr/bin/env bash
# ITK's DICOM reader inverts the stored numbers of MONOCHROME1 before it applies the rescale: a CT is no longer in HU.
#
# One would guess that ReadImage returns slope * stored + intercept, whatever Photometric Interpretation says: it tells
# only whether the lowest value is shown white (DICOM PS3.3 C.7.6.3.1.2), and pydicom leaves the stored numbers alone.
# What happens: the value is slope * (65535 - stored) + intercept. Without a warning.
# Versions: SimpleITK 2.5.7, pydicom 3.0.2, numpy 2.4.6. Seen on 2026-11-28:
#   MONOCHROME2: [-1024, -924, 76]   MONOCHROME1: [64511, 64411, 63411]
# Source: itkGDCMImageIO.cxx changes the photometric interpretation to MONOCHROME2 and the pixels with it.
# What to do: take stored numbers by pydicom, or read the tag and turn the numbers back before trusting HU.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

expected = {"MONOCHROME2": [-1024, -924, 76], "MONOCHROME1": [64511, 64411, 63411]}
for photometric, values in expected.items():
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3.4"
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.2.3.1", "1.2.3.2", "CT"
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.RescaleSlope, ds.RescaleIntercept = [1, 1], 1, -1024
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 2, 3, 1, photometric
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.PixelData = np.array([[0, 100, 1100]] * 2, np.uint16).tobytes()
    path = f"{sys.argv[1]}/{photometric}.dcm"
    ds.save_as(path, enforce_file_format=True)
    got = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))[0, 0].tolist()
    print(f"{photometric}: {got}")
    if got != values:
        sys.exit(f"changed: expected {values}")
PYTHON
