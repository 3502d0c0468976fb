#!/usr/bin/env bash
# SimpleITK takes the world of MINC files, which is RAS, for its own LPS: left is right and front is back.
#
# One would guess that ITK turns the coordinates of every format into LPS, as it does for NIfTI, where they are RAS too.
# What happens: origin and directions of .mnc files are taken, and written, as they stand. Read back by ITK all fits,
# and so do two MINC files; beside a NIfTI or DICOM of the same patient, or read by MINC's own tools or nibabel, the
# volume is turned by 180 degrees about the long axis of the body. A head still looks like a head. No warning, exit code
# 0. Files that ITK wrote are wrong by themselves, and nothing in them tells.
# Versions: SimpleITK 2.5.7 (ITK 5.4.8), nibabel 5.4.2, h5py 3.16.0, numpy 2.4.6. Seen on 2026-12-01, where one voxel of
# one image lies in RAS mm, by two files that SimpleITK wrote of it:
#   SimpleITK: -15 -28 39
#   NIfTI, by nibabel: -15 -28 39
#   MINC, by nibabel: 15 28 39
# Debian's minc-tools 2.3.00 agree with nibabel, and SimpleITK reads files of their nii2mnc turned as well (by hand).
# Source: the output above; https://github.com/InsightSoftwareConsortium/ITK/pull/147 (2018) and 4864 (2024,
# merged, not in 5.4).
# What to do: convert .mnc with mnc2nii or nibabel before ITK (ANTs, elastix, 3D Slicer) reads it; write no .mnc by ITK.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 nibabel==5.4.2 h5py==3.16.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import nibabel
import numpy as np
import SimpleITK

voxels = np.zeros((4, 5, 6), np.int16)
voxels[3, 4, 5] = 100
image = SimpleITK.GetImageFromArray(voxels)
image.SetSpacing((1, 2, 3))
image.SetOrigin((10, 20, 30))


def place_by_nibabel(path):
    found = nibabel.load(path)
    (voxel,) = np.argwhere(np.asarray(found.dataobj) > 50)
    return nibabel.affines.apply_affine(found.affine, voxel)


seen = {"SimpleITK": np.array(image.TransformIndexToPhysicalPoint((5, 4, 3))) * (-1, -1, 1)}
for name, path in (("NIfTI", "scan.nii"), ("MINC", "scan.mnc")):
    SimpleITK.WriteImage(image, path)
    seen[f"{name}, by nibabel"] = place_by_nibabel(path)
for name, place in seen.items():
    print(f"{name}: {' '.join(f'{value:.0f}' for value in place)}")
right, nifti, minc = seen.values()
sys.exit(0 if np.allclose(nifti, right) and np.allclose(minc, right * (-1, -1, 1)) else 1)
PYTHON
