#!/usr/bin/env bash
# SimpleITK's SignedMaurerDistanceMap gives squared distances in voxels, where ITK's own filter gives millimetres.
#
# One would guess that one filter has one default in both packages, as they are bindings of the same library, and that
# a distance map is in the unit of the image's spacing.
# What happens: the C++ filter, and the itk package, default to distances as they are and to the spacing of the image.
# SimpleITK's procedure and class have squaredDistance=True and useImageSpacing=False. A margin of 10 around a tumour is
# then one of 3.2 voxels, which along the axis of thick slices is many times as far as within them, and twelve
# millimetres come out as 36. Beside the border of a mask the numbers look right (0, 1, 4).
# Versions: SimpleITK 2.5.7, itk-filtering 5.4.7, numpy 2.4.6. Seen on 2026-11-30, six voxels of 2 mm beside a point:
#   SimpleITK: 36
#   SimpleITK, squaredDistance=False, useImageSpacing=True: 12
#   SimpleITK's DanielssonDistanceMap, not squared by default: 6
#   itk: 12
# Source: the output above, and the signatures: help(SimpleITK.SignedMaurerDistanceMap).
# What to do: always give squaredDistance=False, useImageSpacing=True.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 itk-filtering==5.4.7 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import itk
import numpy as np
import SimpleITK

point = np.zeros((21, 21, 21), np.uint8)
point[10, 10, 10] = 1
ours, theirs = SimpleITK.GetImageFromArray(point), itk.image_from_array(point)
ours.SetSpacing((2.0, 2.0, 2.0))
theirs.SetSpacing((2.0, 2.0, 2.0))
told = SimpleITK.SignedMaurerDistanceMap(ours, squaredDistance=False, useImageSpacing=True)
found = {
    "SimpleITK": SimpleITK.SignedMaurerDistanceMap(ours)[16, 10, 10],
    "SimpleITK, squaredDistance=False, useImageSpacing=True": told[16, 10, 10],
    "SimpleITK's DanielssonDistanceMap, not squared by default": SimpleITK.DanielssonDistanceMap(ours)[16, 10, 10],
    "itk": itk.array_from_image(itk.signed_maurer_distance_map_image_filter(theirs))[10, 10, 16],
}
for name, distance in found.items():
    print(f"{name}: {distance:g}")
sys.exit([float(distance) for distance in found.values()] != [36.0, 12.0, 6.0, 12.0])
PYTHON
