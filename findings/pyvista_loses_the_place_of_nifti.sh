#!/usr/bin/env bash
# PyVista loses the place of a NIfTI file: surfaces begin at 0, 0, 0, and those of dcm2niix's files are upside down.
#
# PyVista's grids have an origin and a direction matrix. One would guess that pyvista.read gives a NIfTI mask those of
# its sform or qform, so that a surface of it lies on the scan, as it does from 3D Slicer or ITK-SNAP.
# What happens: spacing alone is taken; origin 0 and directions 1 look like an answer. VTK's reader keeps both forms apart
# from the image, for programs that ask for them, and PyVista does not. Where the axes are left-handed by pixdim[0]
# (dcm2niix writes axial slices so, with x alone from right to left) VTK also reverses the slices, so that the feet of
# the surface are up. Surfaces of two masks of one scan lie on each other, those of two scans or programs do not.
# Versions: pyvista 0.49.1, vtk 9.7.2, nibabel 5.4.2, numpy 2.4.6. Seen on 2026-11-30, where the surface of a block has
# its middle, and where the block lies in RAS mm, by the axes of its file
#   right, anterior, superior: 26 34 43 for 126 84 -257
#   left, posterior, superior: 26 34 43 for 74 16 -257
#   left, anterior, superior: 26 34 11 for 74 84 -257
# Source: the output above; vtkNIFTIImageReader has GetSFormMatrix, GetQFormMatrix and GetQFac.
# What to do: make surfaces of the array and transform them by nibabel's affine, or use a program that knows places.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyvista==0.49.1 vtk==9.7.2 nibabel==5.4.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import nibabel
import numpy as np
import pyvista

folder = Path(sys.argv[1])
block = np.zeros((20, 24, 28), np.uint8)
block[12:15, 16:19, 20:24] = 1
seen = []
for axes, signs in (
    ("right, anterior, superior", (1.0, 1.0, 1.0)),
    ("left, posterior, superior", (-1.0, -1.0, 1.0)),
    ("left, anterior, superior", (-1.0, 1.0, 1.0)),
):
    affine = np.diag([*(2.0 * np.array(signs)), 1.0])
    affine[:3, 3] = (100.0, 50.0, -300.0)
    image = nibabel.Nifti1Image(block, affine)
    image.set_qform(affine, 1)
    nibabel.save(image, folder / "block.nii.gz")
    centres = pyvista.read(folder / "block.nii.gz").contour([0.5]).center, (affine @ [13, 17, 21.5, 1])[:3]
    places = [" ".join(f"{value:.0f}" for value in centre) for centre in centres]
    print(f"{axes}: {places[0]} for {places[1]}")
    seen.append(places)
expected = [["26 34 43", "126 84 -257"], ["26 34 43", "74 16 -257"], ["26 34 11", "74 84 -257"]]
sys.exit(seen != expected)
PYTHON
