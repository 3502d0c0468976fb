#!/usr/bin/env bash
# SimpleITK's two inverses of a displacement field get a plain shift wrong by default: one at the border, one all over.
#
# One would guess that the inverse of a field that is 5 mm everywhere is -5 mm everywhere, but for the 5 mm at the one
# side that nothing leads to.
# What happens: InvertDisplacementField holds the outermost voxels at 0 unless enforceBoundaryCondition is False, also
# at the sides that the shift runs along, so that points there are led back by nothing. InverseDisplacementField lays
# splines through one voxel in 16 along each axis by default; on a grid of up to 32 these are two at most, and what it
# gives is no inverse of anything, without a warning.
# Versions: SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-11-30, 20 voxels of 2 mm along each axis, a shift of 5 mm along
# x, the inverse along a line in x and, for a side that the shift runs along, in y (first, second, middle, last):
#   InvertDisplacementField: x 0.0 -3.8 -5.0 0.0, y 0.0 -5.0 -5.0 0.0
#   InvertDisplacementField, boundary not enforced: x -1.0 -3.0 -5.0 -5.0, y -5.0 -5.0 -5.0 -5.0
#   InverseDisplacementField: x -0.2 -2.1 -19.4 -36.7, y -19.4 -19.4 -19.4 -19.4
#   InverseDisplacementField, every 8th voxel: x -5.0 -5.0 -5.0 -5.0, y -5.0 -5.0 -5.0 -5.0
# Source: the output above.
# What to do: let a field fade to 0 before its border, or pass enforceBoundaryCondition=False and leave out the rim
# that nothing leads to; give InverseDisplacementField a subsamplingFactor below half of the grid; check an inverse by
# carrying points there and back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK

SIZE, SHIFT_MM = 20, 5.0
vectors = np.zeros((SIZE, SIZE, SIZE, 3))
vectors[..., 0] = SHIFT_MM
field = SimpleITK.GetImageFromArray(vectors, isVector=True)
field.SetSpacing((2.0, 2.0, 2.0))
steps = {"maximumNumberOfIterations": 100, "maxErrorToleranceThreshold": 1e-3, "meanErrorToleranceThreshold": 1e-4}
grid = {"size": (SIZE,) * 3, "outputSpacing": (2.0,) * 3}
inverses = {
    "InvertDisplacementField": SimpleITK.InvertDisplacementField(field, **steps),
    "InvertDisplacementField, boundary not enforced": SimpleITK.InvertDisplacementField(
        field, enforceBoundaryCondition=False, **steps
    ),
    "InverseDisplacementField": SimpleITK.InverseDisplacementField(field, **grid),
    "InverseDisplacementField, every 8th voxel": SimpleITK.InverseDisplacementField(
        field, subsamplingFactor=8, **grid
    ),
}
seen = {}
for name, image in inverses.items():
    along_x = SimpleITK.GetArrayFromImage(image)[..., 0]  # z, y, x
    middle = SIZE // 2
    lines = along_x[middle, middle], along_x[middle, :, middle]
    seen[name] = [line[[0, 1, middle, -1]] for line in lines]
    x, y = (" ".join(f"{value:.1f}" for value in line) for line in seen[name])
    print(f"{name}: x {x}, y {y}")
pinned, free, ran_away, _ = seen.values()
is_other = abs(pinned[1][0]) > 1 or abs(free[1][0] + SHIFT_MM) > 0.1 or abs(ran_away[0][3] + SHIFT_MM) < 10
sys.exit(int(is_other))
PYTHON
