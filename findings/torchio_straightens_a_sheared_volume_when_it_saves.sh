#!/usr/bin/env bash
# TorchIO saves a volume with skewed axes at other places than those that it has in memory.
#
# One would guess that ScalarImage.save writes the affine that the image has, or refuses one that the format cannot
# hold: an sform of NIfTI holds any affine, and TorchIO read it from there.
# What happens: TorchIO reads the skewed axes of an sform into `affine`, and every transform goes by it, but save hands
# the voxels to ITK, whose directions must be at right angles. ITK's writer takes such ones instead: a line of its log
# says "coerced to orthogonal", no exception is raised, and what was read, left alone and saved lies elsewhere. An
# sform that keeps the tilt of a gantry is such a skew.
# Versions: torchio 1.2.1, torch 2.13.0, nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-11-30, 40 voxels of
# 2 x 2 x 3 mm, axes skewed by 12 degrees:
#   in memory: last voxel at 78.0 102.9 117.0 mm, spacing 2.00 2.00 3.07
#   in the file: last voxel at 78.0 90.1 110.8 mm, spacing 2.00 2.00 3.07
#   apart: 14.2 mm
# Source: the output above.
# What to do: resample onto a straight grid (torchio.Resample onto an image that has one) before anything is saved.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torchio==1.2.1 torch==2.13.0 nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import warnings

import nibabel
import numpy as np
import torchio

warnings.simplefilter("ignore")
folder = sys.argv[1]
affine = np.diag([2.0, 2.0, 3.0, 1.0])
affine[1, 2] = 3.0 * np.tan(np.radians(12.0))
values = np.random.default_rng(0).normal(size=(40, 40, 40)).astype(np.float32)
image = nibabel.Nifti1Image(values, affine)
image.set_qform(None, 0)
nibabel.save(image, f"{folder}/tilted.nii")
read = torchio.ScalarImage(f"{folder}/tilted.nii")
read.load()
read.save(f"{folder}/saved.nii")
saved = nibabel.load(f"{folder}/saved.nii").affine
lasts = [each @ [39.0, 39.0, 39.0, 1.0] for each in (read.affine, saved)]
for name, each, last in zip(("in memory", "in the file"), (read.affine, saved), lasts):
    place = " ".join(f"{value:.1f}" for value in last[:3])
    spacing = " ".join(f"{value:.2f}" for value in np.linalg.norm(each[:3, :3], axis=0))
    print(f"{name}: last voxel at {place} mm, spacing {spacing}")
apart = np.linalg.norm(lasts[0] - lasts[1])
print(f"apart: {apart:.1f} mm")
sys.exit(int(np.abs(np.asarray(read.affine) - affine).max() > 1e-3 or apart < 1.0))
PYTHON
