#!/usr/bin/env bash
# greedy takes an ITK composite (.h5) for a map of everything onto x = 0, and a translation (.tfm) for no map at all.
#
# One would guess that `greedy -r` reads any ITK transform file, or refuses what it does not know: it is built on ITK, and
# reads affine .tfm files of ITK rightly.
# What happens: it looks for the parameters of one affine map. A composite, the form that SimpleITK and ANTs write, leads
# every point to x = 0 with y and z unchanged; a composite as .tfm and a TranslationTransform are taken as identity. No
# error, no warning, exit code 0, so a resampled image is one smeared plane or just the moving image.
# Versions: picsl-greedy 1.4.0.3, SimpleITK 2.5.7, numpy 2.3.5. Seen on 2026-11-28, for the point (10, 20, 30) RAS and a
# shift that leads it to (4, 24, 33):
#   affine.tfm:      4 24 33
#   composite.h5:    0 20 30
#   composite.tfm:   10 20 30
#   translation.tfm: 10 20 30
# Source: the output above; greedy's documentation names "ITK transform files" without saying which.
# What to do: give greedy the affine part as an AffineTransform (.tfm) or as a 4x4 RAS matrix, and the field beside it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet picsl-greedy==1.4.0.3 SimpleITK==2.5.7 numpy==2.3.5
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import SimpleITK
from picsl_greedy import Greedy3D

folder = Path(sys.argv[1])
SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((18, 22, 20), np.float32)), f"{folder}/scan.nii")
(folder / "point.vtk").write_text(
    "# vtk DataFile Version 4.2\npoint\nASCII\nDATASET POLYDATA\nPOINTS 1 double\n10 20 30\nVERTICES 1 2\n1 0\n"
)
shift = (6.0, -4.0, 3.0)  # LPS
affine = SimpleITK.AffineTransform(3)
affine.SetTranslation(shift)
composite = SimpleITK.CompositeTransform([affine])
translation = SimpleITK.TranslationTransform(3, shift)
seen = {
    "affine.tfm": (affine, [4, 24, 33]),
    "composite.h5": (composite, [0, 20, 30]),
    "composite.tfm": (composite, [10, 20, 30]),
    "translation.tfm": (translation, [10, 20, 30]),
}
for name, (transform, expected) in seen.items():
    SimpleITK.WriteTransform(transform, f"{folder}/{name}")
    assert np.allclose(SimpleITK.ReadTransform(f"{folder}/{name}").TransformPoint((-10, -20, 30)), (-4, -24, 33))
    Greedy3D().execute(
        f"-d 3 -rf {folder}/scan.nii -rm {folder}/scan.nii {folder}/out.nii "
        f"-rs {folder}/point.vtk {folder}/moved.vtk -r {folder}/{name}"
    )
    words = (folder / "moved.vtk").read_text().split()
    found = [float(word) for word in words[words.index("POINTS") + 3 :][:3]]
    print(f"{name}: {' '.join(f'{value:g}' for value in found)}")
    if not np.allclose(found, expected):
        sys.exit(1)
PYTHON
