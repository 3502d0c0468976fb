#!/usr/bin/env bash
# TorchIO turns and flips each image of a subject about the middle of its own box: a CT and its PET no longer fit.
#
# One would guess that one transform of a subject moves its images by one map of the world, or is refused, as CropOrPad
# refuses images of different spaces: TorchIO keeps an affine with every image.
# What happens: Affine asks only for the same number of voxels, Flip for nothing. Each image is turned, scaled or
# flipped about its own middle, and its affine stays. Two volumes of different fields of view that were resampled to one
# shape (128 x 128 x 128, say), or a label map that was cropped, leave each other by twice the distance of the middles
# when flipped. Training goes on with labels beside their image.
# Versions: torchio 1.2.1, torch 2.13.0, numpy 2.4.6. Seen on 2026-11-30, a blob at (25, 20, 22) mm in a CT of 40 mm and
# a PET of 80 mm about it, both of 40 x 40 x 40 voxels, middle of the blob by the affines afterwards:
#   as made: CT 25.0 20.0 22.0, PET 25.0 20.0 22.0
#   Affine, 20 degrees about z: CT 24.5 21.9 22.0, PET 28.3 19.2 22.0
#   Flip along x: CT 14.0 20.0 22.0, PET 33.0 20.0 22.0
#   CropOrPad to 30: refused
# Source: the output above; the transforms' own checks (check_consistent_spatial_shape, check_consistent_space).
# What to do: Resample every image and label map onto one of them first (tio.Resample("ct")).
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
BLOB_MM = np.array([25.0, 20.0, 22.0])


def scan(voxel_mm, first_mm):
    affine = np.diag([voxel_mm] * 3 + [1.0])
    affine[:3, 3] = first_mm
    places_mm = np.stack(np.indices((40, 40, 40)), axis=-1) * voxel_mm + first_mm
    blob = np.exp(-((places_mm - BLOB_MM) ** 2).sum(axis=-1) / 18).astype(np.float32)
    return torchio.ScalarImage(tensor=torch.tensor(blob[None]), affine=affine)


def middle_mm(image):
    values = np.where(image.data[0].numpy() > 0.2, image.data[0].numpy(), 0.0).astype(float)
    at = np.average(np.argwhere(values > 0), axis=0, weights=values[values > 0])
    return (image.affine @ [*at, 1.0])[:3]


subject = torchio.Subject(ct=scan(1.0, 0.0), pet=scan(2.0, -10.0))
apart = {}
for name, transform in (
    ("as made", None),
    ("Affine, 20 degrees about z", torchio.Affine(scales=1, degrees=(0, 0, 20), translation=0)),
    ("Flip along x", torchio.Flip(axes=(0,))),
):
    moved = subject if transform is None else transform(subject)
    ct, pet = middle_mm(moved.ct), middle_mm(moved.pet)
    apart[name] = float(np.linalg.norm(ct - pet))
    print("{}: CT {:.1f} {:.1f} {:.1f}, PET {:.1f} {:.1f} {:.1f}".format(name, *ct, *pet))
try:
    torchio.CropOrPad(30)(subject)
    is_refused = False
except RuntimeError:
    is_refused = True
print("CropOrPad to 30:", "refused" if is_refused else "done")
made, turned, flipped = apart.values()
sys.exit(made > 0.2 or turned < 3.0 or flipped < 15.0 or not is_refused)
PYTHON
