#!/usr/bin/env bash
# dcmqi turns fractional segmentations into images of stored numbers, whose scale and label are lost.
#
# One would guess that segimage2itkimage gives each segment its number, as it does for binary segmentations, or the
# fraction between 0 and 1: meta.json beside the images says labelID 1, 2 and so on in both cases.
# What happens: of a FRACTIONAL object each image holds the numbers as they are stored, from 0 to MaximumFractionalValue,
# which each writer chooses and which is neither in the image nor in meta.json. One probability of 0.6 is 153 in one file
# and 60 in another, alike for all segments. A threshold of 127 finds nothing in the second, "larger than 0" takes
# every voxel that is possible at all, and a program that looks for labelID finds none.
# Versions: dcmqi 1.5.7, highdicom 0.28.2, SimpleITK 2.5.7, pydicom 3.0.2, numpy 2.4.6. Seen on 2026-11-29, values of the
# two images where the segment is:
#   BINARY: 1 and 2
#   FRACTIONAL 0.6, of 255 at most: 153 and 153
#   FRACTIONAL 0.6, of 100 at most: 60 and 60
#   labelID in meta.json: 1 and 2 in all of them
# Source: the output above; MaximumFractionalValue is in PS3.3 C.8.20.2.
# What to do: read Maximum Fractional Value by pydicom and divide by it, and take the label from the name of the image.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dcmqi==1.5.7 highdicom==0.28.2 SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import SimpleITK
from highdicom import seg
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

warnings.simplefilter("ignore")
folder = Path(sys.argv[1])
slices = []
for k in range(4):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"1.2.3.{k + 1}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3.100", "1.2.3.101", "1.2.3.102"
    ds.Modality, ds.PatientID, ds.PatientName, ds.PatientPosition = "CT", "P", "P", "HFS"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260101", "000000", "1", ""
    ds.PatientBirthDate, ds.PatientSex, ds.ReferringPhysicianName = "", "O", ""
    ds.SeriesNumber, ds.InstanceNumber = 1, k + 1
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 3 * k], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [1, 1], 3
    ds.Rows, ds.Columns = 16, 16
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelData = bytes(2 * 16 * 16)
    slices.append(ds)
masks = np.zeros((4, 16, 16, 2), np.uint8)
masks[:, 2:8, 2:8, 0] = masks[:, 10:14, 10:14, 1] = 1


def images_of(name, kind, pixels, **more):
    described = [
        seg.SegmentDescription(
            number, f"part {number}", codes.SCT.Tissue, codes.SCT.Tissue, seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for number in (1, 2)
    ]
    made = seg.Segmentation(
        slices, pixels, kind, described, "1.2.3.200", 2, "1.2.3.201", 1, "M", "M", "1", "1", **more
    )
    made.save_as(folder / f"{name}.dcm")
    out = folder / name
    out.mkdir()
    program = Path(sys.executable).with_name("segimage2itkimage")
    subprocess.run(
        [program, "--inputDICOM", folder / f"{name}.dcm", "--outputDirectory", out], check=True, capture_output=True
    )
    values = [
        int(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(out / f"{number}.nrrd"))).max()) for number in (1, 2)
    ]
    meta = json.loads((out / "meta.json").read_text())
    labels = [group[0]["labelID"] for group in meta["segmentAttributes"]]
    return values, labels


kinds, halves = seg.SegmentationTypeValues, 0.6 * masks.astype(np.float32)
found = {
    "BINARY": images_of("binary", kinds.BINARY, masks),
    "FRACTIONAL 0.6, of 255 at most": images_of("of255", kinds.FRACTIONAL, halves),
    "FRACTIONAL 0.6, of 100 at most": images_of("of100", kinds.FRACTIONAL, halves, max_fractional_value=100),
}
for name, (values, _) in found.items():
    print(f"{name}: {values[0]} and {values[1]}")
same_labels = all(labels == [1, 2] for _, labels in found.values())
print(f"labelID in meta.json: {'1 and 2 in all of them' if same_labels else 'other'}")
expected = [[1, 2], [153, 153], [60, 60]]
if [values for values, _ in found.values()] != expected or not same_labels:
    sys.exit(1)
PYTHON
