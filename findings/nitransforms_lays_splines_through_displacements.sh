#!/usr/bin/env bash
# nitransforms lays cubic splines through a displacement field that its programs mean to be linear between voxels.
#
# One would guess that a displacement field of ITK moves points alike wherever it is read: ITK, ANTs, greedy and NiftyReg
# take the vectors linear between voxels, and `order` of nitransforms' resampling looks like the order of interpolation.
# What happens: DenseFieldTransform.map takes cubic splines, whatever `order` says, which is of the image alone. They
# swing past the kinks that the field of any control point method has: by 0.08 of the change of slope at a kink, and to
# the side of it where nothing moves. Only where all points asked for are voxels of the field, as for an image on its
# grid, are the vectors taken as they are.
# Versions: nitransforms 25.1.0, SimpleITK 2.5.7, numpy 2.3.5. Seen on 2026-11-29, for a field that is 0 up to x = 10 mm
# and grows by 1 mm for each mm from there (voxels of 1 mm), at x mm: displacement by ITK, by nitransforms
#   9.5:  0.0000  -0.0792
#   10.0: 0.0000   0.0000
#   10.5: 0.5000   0.4208
# Source: the output above; nitransforms/nonlinear.py calls scipy's map_coordinates with order=3.
# What to do: for images give a field on the voxels of the image that is resampled onto; for points sample the field
# finer, which shrinks what they are off by as much as the voxels.
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

SWING = 0.0792
path = f"{sys.argv[1]}/field.nii.gz"
vectors = np.zeros((8, 8, 21, 3))
vectors[..., 0] = -np.maximum(np.arange(21) - 10.0, 0.0)  # LPS: along +x of RAS
image = SimpleITK.GetImageFromArray(vectors, isVector=True)
image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # x and y of the voxels grow as in RAS
SimpleITK.WriteImage(image, path)
by_itk = SimpleITK.DisplacementFieldTransform(SimpleITK.Cast(image, SimpleITK.sitkVectorFloat64))
by_nitransforms = DenseFieldTransform.from_filename(path, fmt="itk")
xs = np.array([9.5, 10.0, 10.5])
points = np.stack([xs, [4.0] * 3, [4.0] * 3], axis=-1)  # RAS
nitransforms_mm = (by_nitransforms.map(points) - points)[:, 0]
itk_mm = np.array([-by_itk.TransformPoint((-x, -4.0, 4.0))[0] for x in xs]) - xs
for x, one, other in zip(xs, itk_mm, nitransforms_mm):
    print(f"{x}: {one:.4f} {other:.4f}")
is_as_seen = np.allclose(itk_mm, [0, 0, 0.5]) and np.allclose(nitransforms_mm, [-SWING, 0, 0.5 - SWING], atol=0.001)
sys.exit(0 if is_as_seen else 1)
PYTHON
