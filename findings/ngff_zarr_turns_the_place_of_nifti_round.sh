#!/usr/bin/env bash
# ngff-zarr writes the origin of a NIfTI scan in RAS and that of all other formats in LPS, and drops a rotation.
#
# One would guess that a scan converted to OME-Zarr by ngff-zarr lies where it lay, whichever library read it, or that
# what the format cannot hold is refused: scale, translation and the sides that axes lead to are written.
# What happens: the command reads .nii and .nii.gz by nibabel and takes the origin as it stands, in RAS; of that scan as
# NRRD, MetaImage or DICOM, read by ITK, it is in LPS. Read back as an ITK image both are taken for LPS, so that two
# files of one scan lie apart by twice the origin. The sides of the axes are lost on the way of nibabel, any rotation on
# both: a scan that is turned by 20 degrees is laid straight. Nothing is said.
# Versions: ngff-zarr 0.50.0, itk 5.4.7 (itk-io), nibabel 5.4.2, zarr 3.1.6, numpy 2.2.6. Seen on 2026-12-01, where the
# last voxel of a NIfTI file lies in LPS mm, by its header, and by the OME-Zarr (0.5) made by way of nibabel and of ITK:
#   in RAS: -104 44 26, 104 -44 26, -104 44 26
#   in LAS: -96 44 26, 104 -44 26, -96 44 26
#   in RAS, turned by 20 degrees: -102 43 26, 104 -44 26, -104 44 26
# Source: the output above; ngff_zarr/nibabel_image_to_ngff_image.py; https://github.com/fideus-labs/ngff-zarr/pull/439
# (2026) on the directions, those along the axes of the world alone.
# What to do: convert NIfTI to NRRD for it, or read by ITK and call itk_image_to_ngff_image; resample what is oblique.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet \
	ngff-zarr==0.50.0 itk-io==5.4.7 nibabel==5.4.2 zarr==3.1.6 numpy==2.2.6
cd "$folder"
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import itk
import nibabel
import ngff_zarr
import numpy as np

voxels = np.zeros((5, 4, 3), np.int16)
voxels[4, 3, 2] = 100


def place_after_zarr(image, path):
    ngff_zarr.to_ngff_zarr(path, ngff_zarr.to_multiscales(image, scale_factors=[]), version="0.5")
    again = ngff_zarr.ngff_image_to_itk_image(ngff_zarr.from_ngff_zarr(path).images[0], wasm=False)
    (voxel,) = np.argwhere(itk.array_from_image(again) > 50)
    return np.array(again.TransformIndexToPhysicalPoint([int(index) for index in voxel[::-1]]))


cosine, sine = np.cos(np.deg2rad(20)), np.sin(np.deg2rad(20))
seen = []
for number, (name, axes) in enumerate((
    ("in RAS", np.diag([1.0, 2.0, 3.0])),
    ("in LAS", np.diag([-1.0, 2.0, 3.0])),
    ("in RAS, turned by 20 degrees", np.array([[cosine, -2 * sine, 0], [sine, 2 * cosine, 0], [0, 0, 3]])),
)):
    affine = nibabel.affines.from_matvec(axes, [100, -50, 20])
    scan = nibabel.Nifti1Image(voxels, affine)
    nibabel.save(scan, "scan.nii")
    true = nibabel.affines.apply_affine(affine, (4, 3, 2)) * (-1, -1, 1)
    by_nibabel = place_after_zarr(ngff_zarr.nibabel_image_to_ngff_image(scan), f"nibabel{number}.zarr")
    by_itk = place_after_zarr(ngff_zarr.itk_image_to_ngff_image(itk.imread("scan.nii")), f"itk{number}.zarr")
    places = [[round(float(value)) for value in place] for place in (true, by_nibabel, by_itk)]
    seen.append(places)
    print(f"{name}: {', '.join(' '.join(map(str, place)) for place in places)}")
is_as_seen = all(by_nibabel == [104, -44, 26] for _, by_nibabel, _ in seen)
sys.exit(0 if is_as_seen and [true == by_itk for true, _, by_itk in seen] == [True, True, False] else 1)
PYTHON
