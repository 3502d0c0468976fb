#!/usr/bin/env bash
# ITK gives a multi-frame DICOM file whose frames are not in the order of their places slices of 1 mm, in file order.
#
# One would guess that an enhanced CT or MR is sorted by the places of its frames, as ITK sorts a series of files, or is
# refused: every frame states where it lies, and the standard asks for no order.
# What happens: the frames stay in the order of the file, the origin is the place of the first one, and all three spacings
# are 1 mm: also the pixels lose the size that they state. So a volume of 16 x 16 x 20 mm with its slices shuffled
# comes out as one of 8 x 8 x 5 mm, without a warning. In the order of their places, up or down, frames are read rightly.
# dcm2niix sorts, and tells by the exact places.
# Versions: SimpleITK 2.5.7, dcm2niix 1.0.20260724, nibabel 5.4.2, pydicom 3.0.2, numpy 2.4.6. Seen on 2026-11-29, frames
# at 0, 4, 8, 12, 16 mm with values that rise by 100 from each to the next:
#   in order: spacing 2 2 4, values 0 100 200 300 400
#   shuffled: spacing 1 1 1, values 200 0 300 100 400
#   shuffled, by dcm2niix: spacing 2 2 4, values 0 100 200 300 400
# Source: the output above; users of 3D Slicer, which reads by ITK, report the spacing of 1 (Slicer/Slicer issue 6773).
# What to do: do not trust a spacing of exactly 1 1 1 in an enhanced file; read positions by pydicom, or convert first.
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
SHUFFLED = [2, 0, 3, 1, 4]


def item(**tags):
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def write(name, order):
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
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.NumberOfFrames = 16, 16, 15, len(order)
    ds.DimensionOrganizationSequence = [item(DimensionOrganizationUID="1.2.3.103")]
    ds.DimensionIndexSequence = [
        item(DimensionOrganizationUID="1.2.3.103", DimensionIndexPointer=0x00209057, FunctionalGroupPointer=0x00209111)
    ]
    ds.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            PixelMeasuresSequence=[item(PixelSpacing=[2, 2], SliceThickness=4, SpacingBetweenSlices=4)],
            PixelValueTransformationSequence=[item(RescaleSlope="1", RescaleIntercept="0", RescaleType="HU")],
        )
    ]
    ds.PerFrameFunctionalGroupsSequence = [
        item(
            FrameContentSequence=[item(StackID="1", InStackPositionNumber=k + 1, DimensionIndexValues=[k + 1])],
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 4 * k])],
        )
        for k in order
    ]
    pixels = np.array([np.full((8, 8), 100 * k) for k in order])
    ds.PixelData = pixels.astype(np.uint16).tobytes()
    ds.save_as(folder / name, enforce_file_format=True)
    return folder / name


def by_itk(path):
    image = SimpleITK.ReadImage(str(path))
    return image.GetSpacing(), SimpleITK.GetArrayFromImage(image)[:, 4, 4]


def by_dcm2niix(path):
    program = Path(sys.executable).with_name("dcm2niix")
    subprocess.run([program, "-o", folder, "-f", "out", path], check=True, capture_output=True)
    image = nibabel.load(folder / "out.nii")
    return image.header.get_zooms(), image.get_fdata()[4, 4]


shuffled = write("shuffled.dcm", SHUFFLED)
found = {
    "in order": by_itk(write("ordered.dcm", range(5))),
    "shuffled": by_itk(shuffled),
    "shuffled, by dcm2niix": by_dcm2niix(shuffled),
}
for name, (spacing, values) in found.items():
    told = (" ".join(f"{number:g}" for number in numbers) for numbers in (spacing, values))
    print(f"{name}: spacing {next(told)}, values {next(told)}")
right = [[2, 2, 4], [0, 100, 200, 300, 400]]
expected = [right, [[1, 1, 1], [200, 0, 300, 100, 400]], right]
for (spacing, values), (wanted, ones) in zip(found.values(), expected, strict=True):
    if not (np.allclose(spacing, wanted) and np.allclose(values, ones)):
        sys.exit(1)
PYTHON
