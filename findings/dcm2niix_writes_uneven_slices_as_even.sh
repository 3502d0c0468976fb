#!/usr/bin/env bash
# dcm2niix writes a CT series with missing slices as if none were missing, and a second file that is right beside it.
#
# One would guess that a series gives one NIfTI file, in the right place, or an error where NIfTI cannot hold it.
# What happens: X.nii holds the slices that are there at the distance of most of them, so all slices behind the gap lie
# too near to the others; X_Eq_1.nii is resampled to equal distances and is right. A warning is printed, the exit code is
# 0, and the headers do not tell the two apart. A folder of conversions holds such a patient twice, once with wrong
# places. (Of a tilted series it writes X.nii, whose sform and qform differ, and X_Tilt_1.nii; of both X_Tilt_Eq_1.nii.)
# Versions: dcm2niix 1.0.20260724 (PyPI), pydicom 3.0.2, nibabel 5.4.2, numpy 2.4.6. Seen on 2026-11-29, 14 slices 5 mm
# apart of which two are taken out, a bright one at 50 mm:
#   gap.nii: 12 slices of 5 mm, the bright one at 40 mm
#   gap_Eq_1.nii: 14 slices of 5 mm, the bright one at 50 mm
# Source: the output above.
# What to do: of X and X_Eq_1 (X_Tilt_1, X_Tilt_Eq_1) take the copy and leave X out; do not count both as patients.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dcm2niix==1.0.20260724 pydicom==3.0.2 nibabel==5.4.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

series = Path(sys.argv[1]) / "series"
series.mkdir()
study, of_series, frame = generate_uid(), generate_uid(), generate_uid()
for z in range(14):
    if z in (4, 7):
        continue
    slice_ = pydicom.Dataset()
    slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, generate_uid()
    slice_.StudyInstanceUID, slice_.SeriesInstanceUID, slice_.FrameOfReferenceUID = study, of_series, frame
    slice_.Modality, slice_.Manufacturer, slice_.PatientID, slice_.PatientName = "CT", "A", "A", "A"
    slice_.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    slice_.StudyDate = slice_.SeriesDate = slice_.AcquisitionDate = "20260101"
    slice_.StudyTime = slice_.SeriesTime = slice_.AcquisitionTime = "120000"
    slice_.SeriesNumber, slice_.AcquisitionNumber, slice_.InstanceNumber = 1, 1, z + 1
    slice_.ImagePositionPatient, slice_.ImageOrientationPatient = [0, 0, 5.0 * z], [1, 0, 0, 0, 1, 0]
    slice_.PixelSpacing, slice_.SliceThickness = [1, 1], 5
    slice_.Rows = slice_.Columns = 32
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit, slice_.PixelRepresentation, slice_.SamplesPerPixel = 15, 1, 1
    slice_.PhotometricInterpretation, slice_.RescaleIntercept, slice_.RescaleSlope = "MONOCHROME2", 0, 1
    slice_.PixelData = np.full((32, 32), 1000 if z == 10 else 10, np.int16).tobytes()
    slice_.file_meta = pydicom.dataset.FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.save_as(series / f"{z}.dcm", enforce_file_format=True)
PYTHON
"$folder/venv/bin/dcm2niix" -z n -b n -f gap -o "$folder" "$folder/series" >"$folder/said"
grep -q "Interslice distance varies" "$folder/said"
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import nibabel
import numpy as np

seen = {}
for path in sorted(Path(sys.argv[1]).glob("*.nii")):
    image = nibabel.load(path)
    brightest = int(np.asarray(image.dataobj).mean(axis=(0, 1)).argmax())
    place = (image.affine @ [0, 0, brightest, 1])[2]
    seen[path.name] = (image.shape[2], float(image.header.get_zooms()[2]), float(place))
    print(f"{path.name}: {image.shape[2]} slices of {seen[path.name][1]:g} mm, the bright one at {place:g} mm")
if seen != {"gap.nii": (12, 5.0, 40.0), "gap_Eq_1.nii": (14, 5.0, 50.0)}:
    sys.exit(1)
PYTHON
