#!/usr/bin/env bash
# ITK applies the rescale of the first frame of a multi-frame DICOM file to all frames, also where each has its own.
#
# One would guess that the values of an enhanced CT or MR are slope * stored + intercept of each frame: the standard lets
# every frame have its own (Pixel Value Transformation functional group, PS3.3 C.7.6.16.2.9), and ITK does read the group,
# since the first frame comes out right.
# What happens: slope and intercept of the first frame are taken for the others too. In air nothing shows; the farther up
# the stack, the more values are off, here by up to 721 HU. No warning. dcm2niix takes each frame by its own.
# Versions: SimpleITK 2.5.7, dcm2niix 1.0.20260724, nibabel 5.4.2, pydicom 3.0.2, numpy 2.4.6. Seen on 2026-11-29:
#   by the frames' own rescale: -1000 -800 -600 -404 -200
#   dcm2niix: -1000 -800 -600 -404 -200
#   SimpleITK: -1000 -912 -918 -900 -921
# Source: the output above.
# What to do: read enhanced files with a reader that knows functional groups, or compare the rescale of all frames before
# values are trusted. A file that was converted from a series of slices with slopes of their own, as PET has, is one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dcm2niix==1.0.20260724 SimpleITK==2.5.7 nibabel==5.4.2 pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian

folder = Path(sys.argv[1])
SLOPES = np.array([1, 2, 4, 5, 8])
STORED = (np.array([-1000, -800, -600, -400, -200]) + 1024) // SLOPES


def item(**tags):
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


ds = Dataset()
ds.file_meta = FileMetaDataset()
ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = EnhancedCTImageStorage
ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3.1"
ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3.100", "1.2.3.101", "1.2.3.102"
ds.Modality, ds.PatientID, ds.PatientName, ds.SeriesNumber, ds.InstanceNumber = "CT", "P", "P", 1, 1
ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
ds.Rows = ds.Columns = 8
ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.NumberOfFrames = 16, 16, 15, len(STORED)
ds.DimensionOrganizationSequence = [item(DimensionOrganizationUID="1.2.3.103")]
ds.DimensionIndexSequence = [
    item(DimensionOrganizationUID="1.2.3.103", DimensionIndexPointer=0x00209057, FunctionalGroupPointer=0x00209111)
]
ds.SharedFunctionalGroupsSequence = [
    item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[2, 2], SliceThickness=4, SpacingBetweenSlices=4)],
    )
]
ds.PerFrameFunctionalGroupsSequence = [
    item(
        FrameContentSequence=[item(StackID="1", InStackPositionNumber=k + 1, DimensionIndexValues=[k + 1])],
        PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 4 * k])],
        PixelValueTransformationSequence=[
            item(RescaleSlope=str(slope), RescaleIntercept="-1024", RescaleType="HU")
        ],
    )
    for k, slope in enumerate(SLOPES)
]
ds.PixelData = np.broadcast_to(STORED[:, None, None], (len(STORED), 8, 8)).astype(np.uint16).tobytes()
ds.save_as(folder / "enhanced.dcm", enforce_file_format=True)

program = Path(sys.executable).with_name("dcm2niix")
subprocess.run([program, "-o", folder, "-f", "out", folder / "enhanced.dcm"], check=True, capture_output=True)
found = {
    "by the frames' own rescale": SLOPES * STORED - 1024,
    "dcm2niix": nibabel.load(folder / "out.nii").get_fdata()[4, 4].astype(int),
    "SimpleITK": SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "enhanced.dcm")))[:, 4, 4],
}
for name, values in found.items():
    print(f"{name}: {' '.join(map(str, values))}")
true = [-1000, -800, -600, -404, -200]
if not np.array_equal(list(found.values()), [true, true, [-1000, -912, -918, -900, -921]]):
    sys.exit(1)
PYTHON
