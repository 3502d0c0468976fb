#!/usr/bin/env bash
# SciPy's binary_closing takes away what a mask has at the ends of a scan: a body loses its first and last slices.
#
# One would guess that a closing only adds to a mask: it fills gaps and holes, and what was in the mask stays in it.
# That is how the operation is defined, and how SimpleITK and scikit-image do it at the border of an image as well.
# What happens: the erosion that follows the dilation takes what lies beyond the array as empty (border_value=0),
# while the dilation could not grow out of the array. A mask that touches the end of the scan, as a body does in its
# first and last slices, loses there as many layers as the closing is wide. The slices are empty afterwards, not
# thinner. border_value=1 is no way out: it makes the dilation grow in from outside.
# Versions: scipy 1.17.1, scikit-image 0.26.0, SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-12-01, a body of 697 voxels
# in each of 40 slices, closed with a ball of radius 3: voxels in slices 0, 2, 3 and 39, and outside of the body
#   scipy: 0 0 697 0, beside the body 0
#   scipy with border_value=1: 1411 1011 919 1411, beside the body 10320
#   scipy after padding by 3: 697 697 697 697, beside the body 0
#   scikit-image: 697 697 697 697, beside the body 0
#   SimpleITK: 697 697 697 697, beside the body 0
# Source: the output above; scipy.ndimage.binary_closing documents border_value, and 0 as its default.
# What to do: pad the mask by the radius before and cut it afterwards, or close by scikit-image or SimpleITK.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet scipy==1.17.1 scikit-image==0.26.0 SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK
from scipy.ndimage import binary_closing
from skimage.morphology import ball, closing

slices, rows, columns = np.indices((40, 40, 40))
body = (rows - 20) ** 2 + (columns - 20) ** 2 < 15**2
padded = binary_closing(np.pad(body, 3), ball(3))[3:-3, 3:-3, 3:-3]
by_itk = SimpleITK.BinaryMorphologicalClosing(SimpleITK.GetImageFromArray(body.astype(np.uint8)), (3, 3, 3))
found = {
    "scipy": binary_closing(body, ball(3)),
    "scipy with border_value=1": binary_closing(body, ball(3), border_value=1),
    "scipy after padding by 3": padded,
    "scikit-image": closing(body, ball(3)),
    "SimpleITK": SimpleITK.GetArrayFromImage(by_itk) > 0,
}
counts = {name: mask.sum(axis=(1, 2))[[0, 2, 3, 39]].tolist() for name, mask in found.items()}
for name, mask in found.items():
    print(f"{name}: {' '.join(map(str, counts[name]))}, beside the body {(mask & ~body).sum()}")
whole = [697] * 4
is_as_seen = counts["scipy"] == [0, 0, 697, 0] and all(
    counts[name] == whole for name in ("scipy after padding by 3", "scikit-image", "SimpleITK")
)
is_no_way_out = (found["scipy with border_value=1"] & ~body).sum() > 1000
sys.exit(0 if is_as_seen and is_no_way_out else 1)
PYTHON
