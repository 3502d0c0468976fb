#!/usr/bin/env bash
# dicom2nifti writes series of one number and description into one file: of two patients one is left.
#
# One would guess that convert_directory, which finds the series below a folder by their UIDs, writes a file for each.
# What happens: the file is named by SeriesNumber and
# SeriesDescription (or the name of the protocol or the sequence) alone, all into one folder, and each series replaces
# what was written under its name before. Visits by one protocol have the same number and description, so that of all
# visits of a patient, or of all patients of a folder, one scan is left: the one that was found last. The status is 0.
# Versions: dicom2nifti 2.6.2, pydicom 3.0.2, nibabel 5.4.2, numpy 2.4.6. Seen on 2026-12-01, CT series 2 "thorax" of
# two patients, of 0 and of 100 HU:
#   written: 2_thorax.nii.gz
#   HU in it: 0.0 (status 0)
# Source: the output above; dicom2nifti/convert_dir.py.
# What to do: convert one series at a time with dicom_series_to_nifti and names of your own, and count the files.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dicom2nifti==2.6.2 pydicom==3.0.2 nibabel==5.4.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

ROWS, COLUMNS = 16, 12


def write_series(folder, patient, hu):
    """Write a CT series of five slices of one value."""
    folder.mkdir(parents=True)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for number in range(5):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.PatientID = ds.PatientName = patient
        ds.Modality, ds.Manufacturer, ds.ImageType = "CT", "none", ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SeriesNumber, ds.SeriesDescription, ds.InstanceNumber = 2, "thorax", number + 1
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0.0, 0.0, 2.0 * number]
        ds.PixelSpacing, ds.SliceThickness = [1.0, 1.0], 2.0
        ds.Rows, ds.Columns, ds.SamplesPerPixel = ROWS, COLUMNS, 1
        ds.PhotometricInterpretation, ds.PixelRepresentation = "MONOCHROME2", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
        ds.RescaleSlope, ds.RescaleIntercept = "1", "-1024"
        ds.PixelData = np.full((ROWS, COLUMNS), 1024 + hu, np.uint16).tobytes()
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)


root = Path(sys.argv[1]) / "dicom"
write_series(root / "a", "patient A", 0)
write_series(root / "b", "patient B", 100)
PYTHON
mkdir "$folder/nifti"
status=0
"$folder/venv/bin/dicom2nifti" "$folder/dicom" "$folder/nifti" || status=$?
"$folder/venv/bin/python" - "$folder/nifti" "$status" <<'PYTHON'
import sys
from pathlib import Path

import nibabel
import numpy as np

written = sorted(Path(sys.argv[1]).iterdir())
values = [np.unique(np.asarray(nibabel.load(path).dataobj)).tolist() for path in written]
print(f"written: {' '.join(path.name for path in written)}")
print(f"HU in it: {values[0][0]} (status {sys.argv[2]})")
sys.exit(int(len(written) != 1 or sys.argv[2] != "0"))
PYTHON
