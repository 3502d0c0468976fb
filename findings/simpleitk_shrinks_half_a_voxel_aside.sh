#!/usr/bin/env bash
# SimpleITK's Shrink lays the voxels that it keeps half a voxel beside where they were, for some sizes alone.
#
# One would guess that a voxel that is kept keeps its place: Shrink interpolates nothing, it takes every n-th voxel, and
# BinShrink, which averages, gets places right. It is the usual first step of a bias correction or of a coarse mask.
# What happens: the header centres the coarse grid on the box of the image, and the voxels are taken as near to that as
# whole numbers allow. Where (size mod factor) + factor is even, as for halving an even size, every value lies half an
# old voxel before its place along that axis: 1.5 mm on slices of 3 mm. With a slice more or less nothing is off, so two
# scans of one patient differ. Nothing is said.
# Versions: SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-11-30, slices of 3 mm whose value is their place in mm, how much
# the value exceeds the place afterwards:
#   12 slices by 2: Shrink 1.5 mm, BinShrink 0 mm
#   13 slices by 2: Shrink 0 mm, BinShrink 0 mm
#   12 slices by 3: Shrink 0 mm, BinShrink 0 mm
#   13 slices by 3: Shrink 1.5 mm, BinShrink 0 mm
#   12 slices by 4: Shrink 1.5 mm, BinShrink 0 mm
# Source: the output above; itkShrinkImageFilter.hxx rounds the offset of the samples, and not the origin.
# What to do: BinShrink, or Resample on a grid of your own (nearest neighbour for labels).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK


def excess_mm(image):
    """Return by how much the values of all slices, their places before, exceed their places now."""
    values = SimpleITK.GetArrayFromImage(image)[:, 0, 0]
    places = [image.TransformIndexToPhysicalPoint((0, 0, k))[2] for k in range(image.GetSize()[2])]
    (excess,) = np.unique(np.round(values - places, 4))
    return float(excess)


seen = []
for num_slices, factor in ((12, 2), (13, 2), (12, 3), (13, 3), (12, 4)):
    places_mm = 30.0 + 3.0 * np.arange(num_slices, dtype=np.float32)
    image = SimpleITK.GetImageFromArray(np.broadcast_to(places_mm[:, None, None], (num_slices, 4, 4)).copy())
    image.SetSpacing((1.0, 1.0, 3.0))
    image.SetOrigin((0.0, 0.0, 30.0))
    shrunk = excess_mm(SimpleITK.Shrink(image, [1, 1, factor]))
    averaged = excess_mm(SimpleITK.BinShrink(image, [1, 1, factor]))
    print(f"{num_slices} slices by {factor}: Shrink {shrunk:g} mm, BinShrink {averaged:g} mm")
    seen.append((shrunk, averaged))
sys.exit(seen != [(1.5, 0.0), (0.0, 0.0), (0.0, 0.0), (1.5, 0.0), (1.5, 0.0)])
PYTHON
