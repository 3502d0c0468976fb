#!/usr/bin/env bash
# MONAI draws a mask that touches the end of its scan out over all that the other scan has beyond it.
#
# A CT of the chest and the whole body PET, or two visits of different lengths, are brought onto one grid by
# ResampleToMatch. One would guess that there is nothing where the mask has no voxels, as in SimpleITK, nibabel, ANTs
# and TorchIO, or that this is asked for. What happens: padding_mode is "border" in ResampleToMatch, SpatialResample and
# Spacing, so the outermost voxel is repeated as far as the new grid goes, of images and of masks. Whatever reaches the
# first or last slice (aorta, spine, lungs, the body itself) becomes a column through the rest of the scan. Volumes and
# Dice count it, and nothing in the result tells which voxels were seen. mode="nearest" does not change that.
# Versions: monai 1.6.1, torch 2.13.0, numpy 2.4.6. Seen on 2026-12-01, an aorta of 4 x 4 voxels of 1 mm through all 20
# slices of a chest, and an island in its middle, brought onto a grid of 100 slices:
#   aorta: 320 mm3, by default 1600 mm3, padding_mode zeros 320 mm3
#   island: 64 mm3, by default 64 mm3, padding_mode zeros 64 mm3
# Source: the output above; the signatures of the three transforms.
# What to do: give padding_mode="zeros" for masks; for a CT too, after adding 1000 to its HU, as zero is water.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet monai==1.6.1 torch==2.13.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

warnings.simplefilter("ignore")
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import ResampleToMatch

above_the_feet = np.eye(4)
above_the_feet[2, 3] = 60.0
whole_body = MetaTensor(torch.zeros(1, 20, 20, 100), affine=np.eye(4))
aorta, island = torch.zeros(2, 1, 20, 20, 20).unbind()
aorta[:, 8:12, 8:12, :] = 1
island[:, 8:12, 8:12, 8:12] = 1
seen = []
for name, mask in (("aorta", aorta), ("island", island)):
    chest = MetaTensor(mask, affine=above_the_feet)
    by_default = int(ResampleToMatch(mode="nearest")(chest, whole_body).sum())
    of_zeros = int(ResampleToMatch(mode="nearest", padding_mode="zeros")(chest, whole_body).sum())
    seen.append((int(mask.sum()), by_default, of_zeros))
    print("{}: {} mm3, by default {} mm3, padding_mode zeros {} mm3".format(name, *seen[-1]))
sys.exit(0 if seen == [(320, 1600, 320), (64, 64, 64)] else 1)
PYTHON
