#!/usr/bin/env bash
# MONAI replaces the sform of a NIfTI file by a qform that is not set, where the spacings were rounded.
#
# A NIfTI header has two forms of the place, each with a code; 0 says that a form is not set (nifti1.h). A program that
# writes the sform alone may write its spacings, pixdim, with fewer digits than the sform has. One would guess that the
# form which is set is taken: nibabel takes it, and so does ITK, with the spacings of pixdim. What happens: LoadImage
# compares the spacings of the sform with pixdim, by numpy's allclose, and where they differ takes the qform, whose
# lengths are pixdim by definition. Its code is not looked at, and nothing is said. An unset qform is all zeros: axes
# along RAS from the origin, so that the scan is mirrored and moved.
# Versions: monai 1.6.1, torch 2.13.0, nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-11-30, the first voxel
# and the step along x in RAS mm of a file whose sform has x in steps of -0.9765625 from 250
#   pixdim 0.9765625: nibabel [250, 250, -400] -0.977, ITK [250, 250, -400] -0.977, MONAI [250, 250, -400] -0.977
#   pixdim 0.977:     nibabel [250, 250, -400] -0.977, ITK [250, 250, -400] -0.977, MONAI [0, 0, 0] 0.977
# Source: the output above; monai/data/utils.py, rectify_header_sform_qform.
# What to do: write pixdim with all digits, and the qform too (nibabel's set_qform).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet monai==1.6.1 torch==2.13.0 nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import struct
import sys
import warnings

import nibabel
import numpy as np
import SimpleITK
from monai.transforms import LoadImage

STEP, FIRST = 0.9765625, np.array([250.0, 250.0, -400.0])
rows = np.c_[np.diag([-STEP, -STEP, 5.0]), FIRST]
path = f"{sys.argv[1]}/scan.nii"


def write(pixdim_mm):
    """Write a file whose sform is set and whose qform is not."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 4, 4, 4, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)  # int16
    struct.pack_into("<8f", header, 76, 1, pixdim_mm, pixdim_mm, 5, 1, 1, 1, 1)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    header[123] = 2  # millimetres
    struct.pack_into("<2h", header, 252, 0, 1)  # codes of qform and sform
    struct.pack_into("<12f", header, 280, *rows.ravel())
    header[344:348] = b"n+1\0"
    with open(path, "wb") as stream:
        stream.write(bytes(header) + np.arange(64, dtype="<i2").tobytes())


def seen():
    """Return by program the place of the first voxel and the step along x, RAS mm."""
    by_nibabel = nibabel.load(path).affine
    image = SimpleITK.ReadImage(path)
    first, second = (
        np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1) for index in ((0, 0, 0), (1, 0, 0))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_monai = np.asarray(LoadImage(image_only=True)(path).affine)
    return [(by_nibabel[:3, 3], by_nibabel[0, 0]), (first, (second - first)[0]), (by_monai[:3, 3], by_monai[0, 0])]


is_as_seen = True
for pixdim_mm, monai_first, monai_step in ((STEP, FIRST, -STEP), (0.977, np.zeros(3), 0.977)):
    write(pixdim_mm)
    places = seen()
    told = [f"{place.round().astype(int).tolist()} {step:.3f}" for place, step in places]
    print(f"pixdim {pixdim_mm}: nibabel {told[0]}, ITK {told[1]}, MONAI {told[2]}")
    expected = [(FIRST, -STEP), (FIRST, -pixdim_mm), (monai_first, monai_step)]
    is_as_seen &= all(
        np.allclose(place, wanted, atol=0.01) and abs(step - length) < 1e-5
        for (place, step), (wanted, length) in zip(places, expected)
    )
sys.exit(0 if is_as_seen else 1)
PYTHON
