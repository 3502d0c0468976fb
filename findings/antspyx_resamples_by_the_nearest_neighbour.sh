#!/usr/bin/env bash
# antspyx resamples by the nearest neighbour unless told otherwise, and moves the picture with it.
#
# One would guess that ants.resample_image is linear by default: ANTs' ResampleImage, ants.resample_image_to_target and
# ants.apply_transforms are, and it is made for images.
# What happens: interp_type is 1, the nearest neighbour. Where a new voxel lies half way between two old ones, as every
# second one does when the spacing is halved, the later one is taken each time, so the picture does not only get steps,
# it lies a quarter of an old voxel off; where the old spacing is a whole multiple nothing shows, as at 2 mm from 1 mm.
# Versions: antspyx 0.6.3, numpy 2.3.5. Seen on 2026-11-29, middle of a blob at 19.3 mm (voxels of 1 mm) at
#   2 mm: default 19.300, linear 19.300
#   2.5 mm: default 19.050, linear 19.300
#   0.5 mm: default 19.050, linear 19.300
# Source: the output above; the signature is resample_image(image, resample_params, use_voxels=False, interp_type=1).
# What to do: give interp_type=0, or resample_image_to_target.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet antspyx==0.6.3 numpy==2.3.5
"$folder/venv/bin/python" <<'PYTHON'
import sys

import ants
import numpy as np

x, y, z = np.indices((40, 40, 40))
blob = np.exp(-((x - 19.3) ** 2 + (y - 20) ** 2 + (z - 20) ** 2) / (2 * 4.0**2)).astype(np.float32)
image = ants.from_numpy(blob, spacing=(1.0, 1.0, 1.0))


def middle_mm(resampled):
    weights = resampled.numpy().astype(float).sum(axis=(1, 2))
    return resampled.origin[0] + resampled.spacing[0] * (weights @ np.arange(len(weights))) / weights.sum()


found = []
for spacing in (2.0, 2.5, 0.5):
    by_default = middle_mm(ants.resample_image(image, (spacing,) * 3))
    linear = middle_mm(ants.resample_image(image, (spacing,) * 3, interp_type=0))
    found.append((by_default, linear))
    print(f"{spacing:g} mm: default {by_default:.3f}, linear {linear:.3f}")
if not np.allclose(found, [(19.3, 19.3), (19.05, 19.3), (19.05, 19.3)], atol=0.002):
    sys.exit(1)
PYTHON
