#!/usr/bin/env bash
# dicom2nifti leaves out series with a missing slice and ends well: the folder of NIfTI files is short, the status 0.
#
# dicom_series_to_nifti raises an error for a series with a gap, a tilted gantry or fewer than four slices. One would
# guess that convert_directory and the command, which convert many, end with an error too, or return what they left out.
# What happens: the error is caught, its traceback goes to the log among all else, and the next series is taken. The
# function returns None and the command's status is 0, so that a workflow goes on with fewer patients than it was given.
# The message on three slices says that at least three are needed.
# Versions: dicom2nifti 2.6.2, pydicom 3.0.2, nibabel 5.4.2, numpy 2.4.6. Seen on 2026-12-01, three CT series, of which
# one has six slices, one of these six lacks the third, and one has three:
#   written: 1_whole.nii.gz (status 0)
#   alone: whole converted, gap SLICE_INCREMENT_INCONSISTENT, short TOO_FEW_SLICES/LOCALIZER
# Source: the output above; dicom2nifti/convert_dir.py.
# What to do: convert series by series with dicom_series_to_nifti, or count the files afterwards.
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


def write_series(folder, number, name, heights_mm):
    """Write a CT series with slices at these heights."""
    folder.mkdir(parents=True)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for index, height_mm in enumerate(heights_mm):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.PatientID = ds.PatientName = name
        ds.Modality, ds.Manufacturer, ds.ImageType = "CT", "none", ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SeriesNumber, ds.SeriesDescription, ds.InstanceNumber = number, name, index + 1
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0.0, 0.0, float(height_mm)]
        ds.PixelSpacing, ds.SliceThickness = [1.0, 1.0], 2.0
        ds.Rows, ds.Columns, ds.SamplesPerPixel = ROWS, COLUMNS, 1
        ds.PhotometricInterpretation, ds.PixelRepresentation = "MONOCHROME2", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
        ds.RescaleSlope, ds.RescaleIntercept = "1", "-1024"
        ds.PixelData = np.full((ROWS, COLUMNS), 1024, np.uint16).tobytes()
        ds.save_as(folder / f"{index}.dcm", enforce_file_format=True)


root = Path(sys.argv[1]) / "dicom"
for number, (name, heights_mm) in enumerate(
    {"whole": [0, 2, 4, 6, 8, 10], "gap": [0, 2, 6, 8, 10], "short": [0, 2, 4]}.items(), start=1
):
    write_series(root / name, number, name, heights_mm)
PYTHON
mkdir "$folder/nifti"
status=0
"$folder/venv/bin/dicom2nifti" "$folder/dicom" "$folder/nifti" > "$folder/log" 2>&1 || status=$?
"$folder/venv/bin/python" - "$folder" "$status" <<'PYTHON'
import logging
import sys
from pathlib import Path

import dicom2nifti
from dicom2nifti.exceptions import ConversionValidationError

logging.disable()
folder = Path(sys.argv[1])
written = sorted(path.name for path in (folder / "nifti").iterdir())
print(f"written: {' '.join(written)} (status {sys.argv[2]})")
alone = {}
for name in ("whole", "gap", "short"):
    try:
        dicom2nifti.dicom_series_to_nifti(folder / "dicom" / name, folder / f"{name}.nii.gz")
        alone[name] = "converted"
    except ConversionValidationError as error:
        alone[name] = str(error)
print("alone: " + ", ".join(f"{name} {what}" for name, what in alone.items()))
is_quiet = written == ["1_whole.nii.gz"] and sys.argv[2] == "0" and "converted" not in (alone["gap"], alone["short"])
sys.exit(int(not is_quiet))
PYTHON
