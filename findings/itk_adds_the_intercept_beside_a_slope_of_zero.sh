#!/usr/bin/env bash
# ITK adds a NIfTI intercept that stands beside a slope of 0; nibabel does not: one CT, two readers, 1024 HU apart.
#
# One would guess that a slope of 0 switches the scaling off: nifti1.h says "if scl_slope == 0, then there is no data
# scaling", and nibabel takes slope and intercept for absent. Files with slope 0 and intercept -1024 come from tools that
# set the one and forget the other.
# What happens: SimpleITK returns stored - 1024 as float32, as if the slope were 1; nibabel returns what is stored.
# Neither warns. A CT stored from 0 is in HU in one program and 1024 too high in the other.
# Versions: SimpleITK 2.5.7, nibabel 5.4.2, numpy 2.4.6. Seen on 2026-11-28:
#   slope 0, intercept -1024: SimpleITK -974, nibabel 50
#   slope nan, intercept -1024: SimpleITK -974, nibabel 50
#   slope inf, intercept -1024: SimpleITK -974, nibabel 50
# Source: nifti1.h, "DATA SCALING"; itkNiftiImageIO.cxx sets the slope alone to 1 where it is 0.
# What to do: write both or none; on reading say that the intercept was not used, and judge a CT by its values.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import struct
import sys
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK

path = Path(sys.argv[1]) / "scan.nii"
nibabel.save(nibabel.Nifti1Image(np.arange(210, dtype=np.int16).reshape(5, 6, 7), np.eye(4)), path)
whole = path.read_bytes()
for slope in (0.0, float("nan"), float("inf")):
    content = bytearray(whole)
    struct.pack_into("<ff", content, 112, slope, -1024.0)
    path.write_bytes(bytes(content))
    by_itk = float(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[1, 1, 1])
    by_nibabel = float(np.asanyarray(nibabel.load(path).dataobj)[1, 1, 1])
    print(f"slope {slope:g}, intercept -1024: SimpleITK {by_itk:g}, nibabel {by_nibabel:g}")
    if (by_itk, by_nibabel) != (-974.0, 50.0):
        sys.exit(1)
PYTHON
