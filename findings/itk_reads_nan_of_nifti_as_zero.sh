#!/usr/bin/env bash
# ITK reads NaN and infinity in a NIfTI file as 0; nibabel keeps them, and so does ITK itself in NRRD and MetaImage.
#
# One would guess that a float32 voxel comes out as it was stored: NaN is a common mark for "nothing here" in maps and in
# displacement fields, and resampling is then expected to spread it or to skip it.
# What happens: the NIfTI reader inside ITK replaces every float that is not finite by 0, without a warning. A voxel
# without data becomes 0 HU (water), an unknown vector becomes "stays where it is", and a check for NaN finds nothing. The
# same image written by ITK as NRRD or MetaImage comes back with NaN.
# Versions: SimpleITK 2.5.7, nibabel 5.4.2, numpy 2.4.6. Seen on 2026-11-28:
#   scan.nii:  SimpleITK 0 0, nibabel nan inf
#   scan.nrrd: SimpleITK nan inf
#   scan.mha:  SimpleITK nan inf
# Source: nifti1_io.c of the NIfTI library that ITK brings, nifti_read_buffer: "check input float values for goodness".
# What to do: look for NaN with nibabel, or before the file is written; do not let it stand for "nothing" in NIfTI files
# that ITK programs read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK

folder = Path(sys.argv[1])
array = np.full((5, 6, 7), 40, dtype=np.float32)
array[1, 2, 3], array[4, 5, 6] = np.nan, np.inf
for ending in ("nii", "nrrd", "mha"):
    path = folder / f"scan.{ending}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))
    found = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    line = f"scan.{ending}: SimpleITK {found[1, 2, 3]:g} {found[4, 5, 6]:g}"
    expected = array
    if ending == "nii":
        expected = np.nan_to_num(array, posinf=0.0)
        stored = np.asanyarray(nibabel.load(path).dataobj).T
        line += f", nibabel {stored[1, 2, 3]:g} {stored[4, 5, 6]:g}"
        if not np.array_equal(stored, array, equal_nan=True):
            sys.exit(1)
    print(line)
    if not np.array_equal(found, expected, equal_nan=True):
        sys.exit(1)
PYTHON
