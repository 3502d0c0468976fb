#!/usr/bin/env bash
# TorchIO fills what lies outside of an image with 0 in Resample, Pad and CropOrPad, and with its minimum in Affine.
#
# One would guess that one library fills the outside of an image in one way unless told otherwise: Affine takes the
# minimum of the image by default, which for a CT is air.
# What happens: Resample onto a larger image, Pad and CropOrPad put 0 there. In HU 0 is water, so that a body ends in a
# box of something like soft tissue: a threshold for the body takes it along, and the mean of the whole volume moves.
# Resample takes no value for it.
# Versions: torchio 1.2.1, torch 2.13.0, numpy 2.4.6. Seen on 2026-11-30, a cube of 40 HU in air, 20 voxels along each
# axis, value of the first voxel, and share of voxels above -500 HU, which is 12.5 % of the image:
#   Resample onto 32 voxels: 0 HU, 78.6%
#   Pad by 6: 0 HU, 78.6%
#   CropOrPad to 32: 0 HU, 78.6%
#   Affine, 30 degrees: -1000 HU
# Source: the output above.
# What to do: give Pad and CropOrPad padding_mode=-1000, and pad to the size before Resample.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torchio==1.2.1 torch==2.13.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy as np
import torch
import torchio

warnings.simplefilter("ignore")
hu = torch.full((1, 20, 20, 20), -1000, dtype=torch.int16)
hu[:, 5:15, 5:15, 5:15] = 40
ct = torchio.ScalarImage(tensor=hu)
affine = np.eye(4)
affine[:3, 3] = -6.0
larger = torchio.ScalarImage(tensor=torch.zeros(1, 32, 32, 32), affine=affine)
first = {}
for name, transform in (
    ("Resample onto 32 voxels", torchio.Resample(larger)),
    ("Pad by 6", torchio.Pad(6)),
    ("CropOrPad to 32", torchio.CropOrPad(32)),
    ("Affine, 30 degrees", torchio.Affine(scales=1, degrees=(0, 0, 30), translation=0)),
):
    found = transform(ct).data.float()
    first[name] = round(float(found[0, 0, 0, 0]))
    share = f", {float((found > -500).float().mean()):.1%}" if found.shape != hu.shape else ""
    print(f"{name}: {first[name]} HU{share}")
*filled, turned = first.values()
sys.exit(filled != [0, 0, 0] or turned != -1000)
PYTHON
