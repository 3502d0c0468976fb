#!/usr/bin/env bash
# dcmrtstruct2nii draws outlines that lie below the scan on its topmost slices.
#
# Structures often reach beyond the part of a body that a scan shows, or that was kept of it. One would guess that
# outlines outside of the slices are left out, or that the structure is refused: its code has an exception for them.
# What happens: the number of a slice goes into a numpy array as it is. Above the scan that is an IndexError, upon which
# the whole structure is left out with a warning; below it is -1, -2 and so on, which numpy counts from the end. The
# outline one slice below the scan is drawn on its top slice, and exclusive or with what lies there takes voxels away.
# Versions: dcmrtstruct2nii 5, pydicom 2.4.5 (with 3 it does not run), SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-11-30,
# of a scan with slices at 0, 3, ... 15 mm and a box of 9 x 9 pixels outlined on five planes from -6 to 6 mm, voxels of
# the mask by slice
#   81 81 81 0 81 81
# Source: the output above; adapters/convert/rtstructcontour2mask.py, np_mask[z, :, :].
# What to do: cut structures to the slices of the scan first, or count the mask's parts along the body afterwards.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dcmrtstruct2nii==5 SimpleITK==2.5.7 pydicom==2.4.5 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK
from dcmrtstruct2nii import dcmrtstruct2nii
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

folder = Path(sys.argv[1])
series, path = folder / "series", folder / "structures.dcm"
series.mkdir()
study, of_series, frame = generate_uid(), generate_uid(), generate_uid()


def save(dataset, place):
    """Write an object."""
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPInstanceUID, dataset.StudyInstanceUID = generate_uid(), study
    dataset.PatientID = dataset.PatientName = "A"
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.save_as(place, write_like_original=False)


for number in range(6):
    slice_ = pydicom.Dataset()
    slice_.SOPClassUID, slice_.Modality, slice_.SeriesInstanceUID = CTImageStorage, "CT", of_series
    slice_.FrameOfReferenceUID, slice_.InstanceNumber = frame, number + 1
    slice_.ImagePositionPatient, slice_.ImageOrientationPatient = [0, 0, 3.0 * number], [1, 0, 0, 0, 1, 0]
    slice_.PixelSpacing, slice_.SliceThickness, slice_.Rows, slice_.Columns = [1, 1], 3, 32, 32
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit, slice_.PixelRepresentation, slice_.SamplesPerPixel = 15, 1, 1
    slice_.PhotometricInterpretation, slice_.RescaleIntercept, slice_.RescaleSlope = "MONOCHROME2", 0, 1
    slice_.PixelData = np.zeros((32, 32), np.int16).tobytes()
    save(slice_, series / f"{number}.dcm")

region, outlines = pydicom.Dataset(), pydicom.Dataset()
region.ROINumber, region.ROIName, region.ReferencedFrameOfReferenceUID = 1, "box", frame
outlines.ReferencedROINumber, outlines.ContourSequence = 1, []
for z in (-6.0, -3.0, 0.0, 3.0, 6.0):
    outline = pydicom.Dataset()
    corners = [(9.5, 9.5), (18.5, 9.5), (18.5, 18.5), (9.5, 18.5)]
    outline.ContourGeometricType, outline.NumberOfContourPoints = "CLOSED_PLANAR", len(corners)
    outline.ContourData = [value for x, y in corners for value in (x, y, z)]
    outlines.ContourSequence.append(outline)
structures = pydicom.Dataset()
structures.SOPClassUID, structures.Modality = RTStructureSetStorage, "RTSTRUCT"
structures.SeriesInstanceUID = generate_uid()
structures.StructureSetROISequence, structures.ROIContourSequence = [region], [outlines]
save(structures, path)

dcmrtstruct2nii(str(path), str(series), str(folder / "masks"))
mask = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "masks" / "mask_box.nii.gz")))
counts = [int(count) for count in (mask > 0).sum(axis=(1, 2))]
print(*counts)
sys.exit(0 if counts == [81, 81, 81, 0, 81, 81] else 1)
PYTHON
