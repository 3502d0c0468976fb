#!/usr/bin/env bash
# antspyx names an axis by the side it comes from: reorient_image2(image, "RAS") turns all three the other way.
#
# One would guess that "RAS" means axes that lead to the right, to the front and upwards, as in nibabel, MONAI, TorchIO,
# 3D Slicer and SimpleITK's DICOMOrient, and that a network trained on RAS gets what it knows.
# What happens: the letters say where an axis begins (ITK's old codes; "RAI" is what DICOM calls LPS). Asked for "RAS",
# antspyx returns LPI: each axis is reversed, so the array is mirrored left for right, front for back and head for feet.
# Directions and origin are right, so that viewers show nothing; networks, whose input is the array, call a left kidney
# a right one. c3d 1.4.6 has the same letters, and its -orient changes the header alone (by hand).
# Versions: antspyx 0.6.3, nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.3.5, pandas 3.0.3. Seen on 2026-12-01, the axes by
# nibabel of what one scan was turned to:
#   asked for RAS: antspyx LPI, SimpleITK RAS
#   asked for LPS: antspyx RAI, SimpleITK LPS
#   asked for LPI: antspyx RAS, SimpleITK LPI
#   get_orientation of a file in RAS: LPI
# Source: the output above; https://github.com/ANTsX/ANTsPy/issues/173 (2020). The docstring does not say.
# What to do: ask antspyx for the opposite letters ("LPI" for RAS), or reorient with nibabel's as_closest_canonical.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet antspyx==0.6.3 nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.3.5 pandas==3.0.3
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import ants
import nibabel
import numpy as np
import SimpleITK

nibabel.save(nibabel.Nifti1Image(np.arange(60, dtype=np.float32).reshape(3, 4, 5), np.eye(4)), "scan.nii")
by_ants, by_itk = ants.image_read("scan.nii"), SimpleITK.ReadImage("scan.nii")


def axes(path):
    return "".join(nibabel.aff2axcodes(nibabel.load(path).affine))


seen = []
for asked in ("RAS", "LPS", "LPI"):
    ants.image_write(ants.reorient_image2(by_ants, asked), "ants.nii")
    SimpleITK.WriteImage(SimpleITK.DICOMOrient(by_itk, asked), "itk.nii")
    seen.append((axes("ants.nii"), axes("itk.nii")))
    print(f"asked for {asked}: antspyx {seen[-1][0]}, SimpleITK {seen[-1][1]}")
named = ants.get_orientation(by_ants)
print(f"get_orientation of a file in {axes('scan.nii')}: {named}")
if seen != [("LPI", "RAS"), ("RAI", "LPS"), ("RAS", "LPI")] or named != "LPI":
    sys.exit(1)
PYTHON
