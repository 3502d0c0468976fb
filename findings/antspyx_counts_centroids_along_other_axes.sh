#!/usr/bin/env bash
# antspyx's label_image_centroids gives places that are not those of the labels, in no axes of the image.
#
# One would guess that it returns the centre of each label, in voxels, or in mm with physical=True, as its docstring has
# it, and as label_geometry_measures of the same library does.
# What happens: it lists the indices of the voxels with the first axis running fastest, and the voxels themselves with
# the last one running fastest. In a cube the first and the last coordinate change places; where the sizes of the axes
# differ, as of any CT, the numbers are those of other voxels, which lie inside the image and look like an answer.
# `physical` is not looked at: its lines are commented out.
# Versions: antspyx 0.6.3, numpy 2.3.5, pandas 3.0.3. Seen on 2026-12-01, a label about the voxel (2.5, 5.5, 9.5), first
# in a cube of 14, then in 10 x 12 x 14 voxels of 1 x 2 x 3 mm from (10, 20, 30) mm:
#   cube: 9.50 5.50 2.50
#   10 x 12 x 14: 5.25 8.12 3.25
#   10 x 12 x 14, physical=True: 5.25 8.12 3.25
#   label_geometry_measures, in mm: 12.50 31.00 58.50
# Source: the output above; ants/label/label_image_centroids.py. That it once lost labels is pull request 714 of
# ANTsX/ANTsPy (2024).
# What to do: label_geometry_measures, or scipy.ndimage.center_of_mass and the image's spacing, origin and direction.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet antspyx==0.6.3 numpy==2.3.5 pandas==3.0.3
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import ants
import numpy as np


def labelled(shape, **place):
    voxels = np.zeros(shape, np.float32)
    voxels[2:4, 5:7, 9:11] = 1
    return ants.from_numpy(voxels, **place)


scan = labelled((10, 12, 14), spacing=(1.0, 2.0, 3.0), origin=(10.0, 20.0, 30.0))
measured = ants.label_geometry_measures(scan)
seen = {
    "cube": ants.label_image_centroids(labelled((14, 14, 14)))["vertices"][0],
    "10 x 12 x 14": ants.label_image_centroids(scan)["vertices"][0],
    "10 x 12 x 14, physical=True": ants.label_image_centroids(scan, physical=True)["vertices"][0],
    "label_geometry_measures, in mm": measured[["Centroid_x", "Centroid_y", "Centroid_z"]].to_numpy(float)[0],
}
for name, place in seen.items():
    print(f"{name}: {' '.join(f'{value:.2f}' for value in place)}")
expected = ((9.5, 5.5, 2.5), (5.25, 8.125, 3.25), (5.25, 8.125, 3.25), (12.5, 31.0, 58.5))
sys.exit(0 if np.allclose(list(seen.values()), expected) else 1)
PYTHON
