#!/usr/bin/env bash
# MONAI's Resize and Zoom lay labels beside their image: nearest voxels begin at an edge, linear ones in the middle.
#
# One would guess that an image and its labels, resized together with mode ("trilinear", "nearest"), still lie on one
# another: both carry the same affine afterwards.
# What happens: the affine says that the middle of the box stayed where it was, as trilinear has it. `nearest` of
# torch's interpolate takes the voxel floor(i * factor), the first one of each block and not its middle: labels made
# smaller by a factor f lie (f - 1) / 2 old voxels too far along every axis, half a voxel twofold, one and a half
# fourfold, 2.6 on the diagonal. Made larger by whole factors nothing is off, and Spacing (grid_sample) is right.
# Overlap and surface distances of small organs suffer as by a model that errs to one side, in training and in validation
# alike.
# Versions: monai 1.6.1, torch 2.13.0, numpy 2.4.6. Seen on 2026-11-30, a blob about x = 20 mm and its mask on voxels of
# 1 mm, the middle of both by their affine afterwards:
#   Resize to a half: image 20.02, labels 20.50, nearest-exact 19.50
#   Resize to a quarter: image 19.50, labels 21.50, nearest-exact 19.50
#   Zoom to a quarter: image 19.50, labels 21.50, nearest-exact 19.50
#   Spacing to 4 mm: image 20.00, labels 20.00
# Source: the output above; torch.nn.functional.interpolate tells `nearest` and `nearest-exact` apart.
# What to do: mode "nearest-exact" for labels (half an old voxel off at even factors, else exact), or Spacing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet monai==1.6.1 torch==2.13.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Resize, Spacing, Zoom

x, y, z = np.indices((48, 48, 48))
blob = np.exp(-((x - 20) ** 2 + (y - 20) ** 2 + (z - 20) ** 2) / 50).astype(np.float32)
image = MetaTensor(torch.tensor(blob[None]), affine=torch.eye(4, dtype=torch.float64))
labels = MetaTensor(torch.tensor((blob > 0.3).astype(np.float32)[None]), affine=torch.eye(4, dtype=torch.float64))


def middle_mm(found):
    """Return where the middle of what is brighter than 0.3 lies, by the affine of the result."""
    at = np.argwhere(found.numpy()[0] > 0.3).mean(axis=0)
    return float((found.affine.numpy() @ [*at, 1])[0])


seen = {}
for name, smaller in (
    ("Resize to a half", lambda mode: Resize((24,) * 3, mode=mode)),
    ("Resize to a quarter", lambda mode: Resize((12,) * 3, mode=mode)),
    ("Zoom to a quarter", lambda mode: Zoom(0.25, keep_size=False, mode=mode)),
):
    ways = ("trilinear", image), ("nearest", labels), ("nearest-exact", labels)
    seen[name] = [middle_mm(smaller(mode)(volume)) for mode, volume in ways]
    print("{}: image {:.2f}, labels {:.2f}, nearest-exact {:.2f}".format(name, *seen[name]))
spaced = Spacing((4.0,) * 3, mode="bilinear")(image), Spacing((4.0,) * 3, mode="nearest")(labels)
print("Spacing to 4 mm: image {:.2f}, labels {:.2f}".format(*map(middle_mm, spaced)))
by_a_quarter = [labels_mm - image_mm for image_mm, labels_mm, _ in list(seen.values())[1:]]
exact = [abs(exact_mm - image_mm) for image_mm, _, exact_mm in list(seen.values())[1:]]
beside_mm = abs(middle_mm(spaced[0]) - middle_mm(spaced[1]))
sys.exit(min(by_a_quarter) < 1.5 or max(exact) > 0.5 or beside_mm > 0.1)
PYTHON
