#!/usr/bin/env bash
# pydicom's apply_rescale returns the stored numbers of an enhanced CT, whose rescale stands where it does not look.
#
# One would guess that pydicom.pixels.apply_rescale (and apply_modality_lut) makes HU of the pixels of any CT, or says
# that it found no rescale.
# What happens: in multi-frame files (enhanced CT, MR, PET) slope and intercept stand in the Pixel Value Transformation
# Sequence of the shared functional groups, or of each frame. apply_rescale asks the top level of the file alone and
# returns the array that it was given, without a warning: a CT stored from 0 stays 1024 too high. The same CT as single
# slices comes out right, so a folder of both kinds has two scales. SimpleITK reads the groups (that of the first frame
# for all, see itk_takes_the_first_frames_rescale_for_all.sh).
# Versions: pydicom 3.0.2, SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-11-30, water of an enhanced CT, stored as 1024:
#   pydicom, apply_rescale: 1024
#   pydicom, apply_modality_lut: 1024
#   pydicom, apply_rescale with the functional group: 0
#   SimpleITK: 0
# Source: the output above; PS3.3 C.7.6.16.2.9; issue 2353 of pydicom/pydicom (August 2026, open).
# What to do: give apply_rescale the item of the Pixel Value Transformation Sequence in place of the file, frame by
# frame where the groups are those of frames.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pydicom==3.0.2 SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" -W error - "$folder" <<'PYTHON'
import sys

import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_rescale
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid


def group(keyword, **tags):
    item = Dataset()
    for name, value in tags.items():
        setattr(item, name, value)
    holder = Dataset()
    setattr(holder, keyword, [item])
    return holder


shared = Dataset()
for part in (
    group("PixelValueTransformationSequence", RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU"),
    group("PixelMeasuresSequence", PixelSpacing=[1, 1], SliceThickness=2),
    group("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
):
    shared.update(part)
ds = Dataset()
ds.file_meta = FileMetaDataset()
ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = EnhancedCTImageStorage
ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = generate_uid(), generate_uid(), "CT"
ds.Rows = ds.Columns = 8
ds.NumberOfFrames, ds.SamplesPerPixel, ds.PhotometricInterpretation = 4, 1, "MONOCHROME2"
ds.BitsAllocated = ds.BitsStored = 16
ds.HighBit, ds.PixelRepresentation = 15, 0
ds.SharedFunctionalGroupsSequence = [shared]
ds.PerFrameFunctionalGroupsSequence = [
    group("PlanePositionSequence", ImagePositionPatient=[0, 0, 2 * place]) for place in range(4)
]
ds.PixelData = np.full((4, 8, 8), 1024, dtype=np.uint16).tobytes()
ds.save_as(f"{sys.argv[1]}/ct.dcm", enforce_file_format=True)
stored = ds.pixel_array
image = SimpleITK.ReadImage(f"{sys.argv[1]}/ct.dcm")
transformation = shared.PixelValueTransformationSequence[0]
values = {
    "pydicom, apply_rescale": apply_rescale(stored, ds),
    "pydicom, apply_modality_lut": apply_modality_lut(stored, ds),
    "pydicom, apply_rescale with the functional group": apply_rescale(stored, transformation),
    "SimpleITK": SimpleITK.GetArrayFromImage(image),
}
seen = [int(value.flat[0]) for value in values.values()]
for name, value in zip(values, seen, strict=True):
    print(f"{name}: {value}")
sys.exit(seen != [1024, 1024, 0, 0])
PYTHON
