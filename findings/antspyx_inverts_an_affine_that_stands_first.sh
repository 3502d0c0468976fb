#!/usr/bin/env bash
# antspyx inverts an affine by itself where it stands before a field in a list of two transforms.
#
# One would guess that apply_transforms and apply_transforms_to_points take the transforms of `transformlist` as they
# are and invert only what `whichtoinvert` names, as antsApplyTransforms inverts only `[file,1]`.
# What happens: a list of two whose first name holds ".mat" and whose second does not gets `whichtoinvert=(True, False)`
# without a word: the list that ANTs' own registration returns as `invtransforms` looks like that. Of any other affine
# followed by a field (say one from a planning system before a deformation) images and points go the other way: here
# 12 mm off. The other order, the affine alone, and the same affine under another ending are taken as they are.
# Versions: antspyx 0.6.3, numpy 2.3.5, pandas 3.0.3. Seen on 2026-11-29, a shift of 6 mm along x and a field of zeros,
# the voxel (20, 20, 20) of the moving image and the point (20, 20, 20):
#   shift.mat: voxel 14, point 26
#   shift.mat zero.nii.gz: voxel 26, point 14
#   shift.txt zero.nii.gz: voxel 14, point 26
#   zero.nii.gz shift.mat: voxel 14, point 26
#   shift.mat zero.nii.gz, whichtoinvert given: voxel 14, point 26
# Source: the output above, and the docstring of apply_transforms, whose paragraph on `whichtoinvert` ends with this default.
# What to do: always give `whichtoinvert`, also where nothing is to be inverted.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet antspyx==0.6.3 numpy==2.3.5 pandas==3.0.3
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import ants
import numpy as np
import pandas as pd

voxels = np.zeros((40, 40, 40), np.float32)
voxels[20, 20, 20] = 1.0
image = ants.from_numpy(voxels)
shift = ants.create_ants_transform(transform_type="AffineTransform", dimension=3, translation=(6, 0, 0))
ants.write_transform(shift, "shift.mat")
ants.write_transform(shift, "shift.txt")
ants.image_write(ants.from_numpy(np.zeros((40, 40, 40, 3), np.float32), has_components=True), "zero.nii.gz")
points = pd.DataFrame({"x": [20.0], "y": [20.0], "z": [20.0]})

seen = []
for names, told in (
    (["shift.mat"], {}),
    (["shift.mat", "zero.nii.gz"], {}),
    (["shift.txt", "zero.nii.gz"], {}),
    (["zero.nii.gz", "shift.mat"], {}),
    (["shift.mat", "zero.nii.gz"], {"whichtoinvert": [False, False]}),
):
    warped = ants.apply_transforms(image, image, names, interpolator="nearestNeighbor", **told).numpy()
    moved = ants.apply_transforms_to_points(3, points, names, **told)
    (voxel,) = np.argwhere(warped > 0)
    seen.append((int(voxel[0]), round(float(moved.x[0]))))
    print(f"{' '.join(names)}{', whichtoinvert given' if told else ''}: voxel {seen[-1][0]}, point {seen[-1][1]}")
if seen != [(14, 26), (26, 14), (14, 26), (14, 26), (14, 26)]:
    sys.exit(1)
PYTHON
