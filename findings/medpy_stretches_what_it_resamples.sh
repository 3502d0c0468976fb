#!/usr/bin/env bash
# MedPy's resample stretches a volume from end to end under a header that does not: the far end is displaced.
#
# One would guess that an image, resampled and saved with the header that medpy.filter.image.resample returns, lies
# where it lay. What happens: scipy's zoom takes the first and the last voxel of the old grid to those of the new one,
# while the header counts the new spacing from the first voxel. So places are right at the first slice and off by up to
# the difference of the spacings at the last, 4 mm from slices of 5 mm to 1 mm: too far up where it refines, too low
# where it coarsens. Masks that were resampled alike fit on the result, which hides it; points, and masks on the old
# grid, do not.
# The same is true of change_spacing of TotalSegmentator 2.18.0, whose own masks go the same way back (by hand).
# Versions: MedPy 0.5.2, nibabel 5.4.2, SimpleITK 2.5.7, scipy 1.17.1, numpy 2.4.6. Seen on 2026-12-01, 40 slices of 5
# mm, the middle of a blob along z in the file that was saved:
#   blob at 40 mm: in slices of 1 mm 40.8, of 10 mm 39.1
#   blob at 100 mm: in slices of 1 mm 102.1, of 10 mm 97.4
#   blob at 160 mm: in slices of 1 mm 163.3, of 10 mm 155.8
# Source: the output above; medpy/filter/image.py; docs.scipy.org, ndimage.zoom, grid_mode.
# What to do: resample with SimpleITK or nibabel.processing.resample_to_output, which go by the affine.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet MedPy==0.5.2 nibabel==5.4.2 SimpleITK==2.5.7 scipy==1.17.1 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import nibabel
import numpy as np
from medpy.filter.image import resample
from medpy.io import load, save


def middle_mm(path):
    image = nibabel.load(path)
    weights = np.asarray(image.dataobj, float).sum(axis=(0, 1))
    return float(weights @ np.arange(len(weights)) / weights.sum() * image.affine[2, 2])


x, y, z = np.indices((40, 40, 40)) * np.array([2.0, 2.0, 5.0]).reshape(3, 1, 1, 1)
seen = []
for height in (40, 100, 160):
    blob = np.exp(-((x - 40) ** 2 + (y - 40) ** 2 + (z - height) ** 2) / 128).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(blob, np.diag([2.0, 2.0, 5.0, 1.0])), "scan.nii")
    found = []
    for spacing in ((2.0, 2.0, 1.0), (2.0, 2.0, 10.0)):
        array, header = load("scan.nii")
        array, header = resample(array, header, spacing, bspline_order=1)
        save(array, "new.nii", header, force=True)
        found.append(middle_mm("new.nii"))
    seen.append(found)
    print(f"blob at {height} mm: in slices of 1 mm {found[0]:.1f}, of 10 mm {found[1]:.1f}")
finer, coarser = np.array(seen).T - (40, 100, 160)
is_as_seen = np.allclose(finer, (0.8, 2.1, 3.3), atol=0.1) and np.allclose(coarser, (-1.0, -2.6, -4.1), atol=0.2)
sys.exit(0 if is_as_seen else 1)
PYTHON
