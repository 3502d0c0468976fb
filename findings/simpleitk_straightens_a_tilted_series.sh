#!/usr/bin/env bash
# SimpleITK lays the slices of a CT with a tilted gantry straight above each other: every slice but the first is off.
#
# The gantry is tilted for heads, and its slices are shifted against each other along their own plane. ITK's images know
# no such shear; one would guess that ImageSeriesReader refuses such a series, or warns, as it does for a missing slice.
# What happens: the directions are taken of the planes and their normal, the distance of slices is that of their
# corners, along the lean instead of the normal, and both are put together without a word. The volume leans over by the
# tilt and is 6 % too long at 20 degrees; the farther up, the more places, volumes and distances are off. All slices
# have their right position in their files. What reads by ITK gets the same (medio 0.7.1 by hand). dcm2niix writes a
# second file that is right (dcm2niix_writes_uneven_slices_as_even.sh).
# Versions: SimpleITK 2.5.7, pydicom 3.0.2, numpy 2.4.6. Seen on 2026-12-01, 50 slices whose corners are 3 mm apart
# along z, tilted by 20 degrees, where the first pixel of the last slice lies (LPS mm):
#   by its file: 0.0 0.0 147.0
#   by SimpleITK: 0.0 -50.3 138.1, 51.1 mm off
#   warnings: none
# Source: the output above; https://github.com/SimpleITK/SimpleITK/issues/1128 (2020, open).
# What to do: hold ImagePositionPatient of the last file against TransformIndexToPhysicalPoint; resample each slice from
# its own place onto a straight grid, as volumes/dicom_straight.py does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
cat >"$folder/tilted.py" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

NUM_SLICES, STEP_MM, TILT = 50, 3.0, np.deg2rad(20)
series = Path(sys.argv[1]) / "series"
series.mkdir()
for k in range(NUM_SLICES):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"1.2.3.{k + 1}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3.100", "1.2.3.101", "1.2.3.102"
    ds.Modality, ds.PatientID, ds.SeriesNumber, ds.InstanceNumber = "CT", "P", 1, k + 1
    ds.GantryDetectorTilt, ds.ImagePositionPatient = 20, [0, 0, STEP_MM * k]
    ds.ImageOrientationPatient = [1, 0, 0, 0, round(np.cos(TILT), 8), round(np.sin(TILT), 8)]
    ds.PixelSpacing, ds.SliceThickness, ds.Rows, ds.Columns = [1, 1], STEP_MM, 8, 8
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.RescaleSlope, ds.RescaleIntercept = 16, 16, 15, 1, 0
    ds.PixelData = np.full((8, 8), k, np.uint16).tobytes()
    ds.save_as(series / f"{k:02}.dcm", enforce_file_format=True)

reader = SimpleITK.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series)))
found = np.array(reader.Execute().TransformIndexToPhysicalPoint((0, 0, NUM_SLICES - 1)))
true = np.array([0.0, 0.0, STEP_MM * (NUM_SLICES - 1)])
off_mm = np.linalg.norm(found - true)
print("by its file: {:.1f} {:.1f} {:.1f}".format(*true))
print("by SimpleITK: {:.1f} {:.1f} {:.1f}, {:.1f} mm off".format(*found, off_mm))
sys.exit(0 if np.isclose(off_mm, 51.05, atol=0.1) else 1)
PYTHON
"$folder/venv/bin/python" "$folder/tilted.py" "$folder" 2>"$folder/warnings"
test ! -s "$folder/warnings"
echo "warnings: none"
