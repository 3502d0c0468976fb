#!/usr/bin/env bash
# SimpleITK's Feret diameter runs from voxel centre to voxel centre: a lesion of one voxel has none.
#
# One would guess that the largest diameter of a mask counts its voxels whole, as volume, equivalent radius and oriented
# bounding box of the same filter do: a row of four voxels of 5 mm is 20 mm long.
# What happens: GetFeretDiameter is the largest distance of voxel centres, in mm. That row is 15 mm long, a single voxel
# 0, a square of 3 x 3 pixels of 3 mm 8.5 mm, where its corners are 12.7 mm apart. A voxel along the diameter is lost,
# which matters most on thick slices and for small lesions, where 10 mm (RECIST) decides what is measurable.
# Versions: SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-11-30, voxels of 3 x 3 mm, slices of 5 mm:
#   one voxel: volume 45 mm3, oriented box 5 mm, Feret 0.0 mm
#   row of four slices: volume 180 mm3, oriented box 20 mm, Feret 15.0 mm
#   square of three: volume 405 mm3, oriented box 9 mm, Feret 8.5 mm
# Source: the output above; itkLabelShapeLabelMapFilter.hxx takes distances of border indices times spacing.
# What to do: measure along the outline of the voxels, as follow/measurements.py does, and say which was meant.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK

one, row, square = np.zeros((3, 12, 20, 20), np.uint8)
one[5, 10, 10] = row[4:8, 10, 10] = square[5, 8:11, 8:11] = 1
seen = []
for name, mask in (("one voxel", one), ("row of four slices", row), ("square of three", square)):
    image = SimpleITK.GetImageFromArray(mask)
    image.SetSpacing((3.0, 3.0, 5.0))
    shape = SimpleITK.LabelShapeStatisticsImageFilter()
    shape.ComputeFeretDiameterOn()
    shape.ComputeOrientedBoundingBoxOn()
    shape.Execute(image)
    box_mm, feret_mm = max(shape.GetOrientedBoundingBoxSize(1)), shape.GetFeretDiameter(1)
    print(f"{name}: volume {shape.GetPhysicalSize(1):g} mm3, oriented box {box_mm:.3g} mm, Feret {feret_mm:.1f} mm")
    seen.append((round(box_mm, 3), round(feret_mm, 1)))
sys.exit(seen != [(5.0, 0.0), (20.0, 15.0), (9.0, 8.5)])
PYTHON
