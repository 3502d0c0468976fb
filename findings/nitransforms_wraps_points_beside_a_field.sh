#!/usr/bin/env bash
# nitransforms sends a point just outside of a displacement field to the field's other end.
#
# One would guess that a point outside of a field is left where it is: ITK and ANTs do so, and so does nitransforms for
# most points. What happens: where all points asked for lie on whole voxels, DenseFieldTransform.map takes the rounded
# indices into the array without a look at its size. -1 is then its last voxel, and the answer the place to which that
# one goes; beyond the other end it is an IndexError. One voxel of a thousandth aside the same point is left alone.
# Versions: nitransforms 25.1.0, SimpleITK 2.5.7, numpy 2.3.5. Seen on 2026-11-30, for a field of 2 mm along x on voxels
# of 1 mm at x = 100 to 120, at x mm: place by ITK, by nitransforms
#   110.0: 112.0 112.0
#   99.0:  99.0  122.0
#   99.01: 99.01 99.01
# Source: the output above; nitransforms/nonlinear.py takes self._field[tuple(indexes.T)] where all points are "ongrid".
# What to do: ask for no points outside of the field, or give it a border of voxels; single landmarks in whole mm, on
# fields of 1 mm, are those that meet it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nitransforms==25.1.0 SimpleITK==2.5.7 numpy==2.3.5
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import numpy as np
import SimpleITK
from nitransforms.nonlinear import DenseFieldTransform

path = f"{sys.argv[1]}/field.nii.gz"
vectors = np.zeros((8, 8, 21, 3))
vectors[..., 0] = -2.0  # LPS: along +x of RAS
image = SimpleITK.GetImageFromArray(vectors, isVector=True)
image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # x and y of the voxels grow as in RAS
image.SetOrigin((-100, -50, 20))
SimpleITK.WriteImage(image, path)
by_itk = SimpleITK.DisplacementFieldTransform(SimpleITK.Cast(image, SimpleITK.sitkVectorFloat64))
by_nitransforms = DenseFieldTransform.from_filename(path, fmt="itk")
places = []
for x in (110.0, 99.0, 99.01):
    itk_x = -by_itk.TransformPoint((-x, -54.0, 24.0))[0]
    places.append((itk_x, float(by_nitransforms.map(np.array([[x, 54.0, 24.0]]))[0, 0])))
    print(f"{x}: {places[-1][0]:.4g} {places[-1][1]:.4g}")
is_as_seen = np.allclose(places, [(112.0, 112.0), (99.0, 122.0), (99.01, 99.01)], atol=0.001)
sys.exit(0 if is_as_seen else 1)
PYTHON
