#!/usr/bin/env bash
# nitransforms writes an LTA of FreeSurfer whose matrix and volumes contradict each other: read by its words it leads back.
#
# One would guess that an affine map written with `fmt="fs"` does in FreeSurfer what it does in nitransforms.
# What happens: the matrix leads from the moving image to the reference, as an LTA does from source to destination, but
# the reference is written as the source ("src") and the moving image as the destination. nitransforms reads its own file
# back rightly, as it mistakes the names both ways. A reader that goes by them (surfa of FreeSurfer's developers, here)
# takes the inverse for the map: points that should move by +5 mm move by -5 mm. Where both images have one grid, nothing
# in the file shows it.
# Versions: nitransforms 25.1.0, surfa 0.6.3, nibabel 5.4.2, numpy 2.4.6. Seen on 2026-11-29:
#   nitransforms: from the reference to the moving image by 5 6 7
#   the file: src is the reference, dst the moving image; matrix by -5 -6 -7
#   surfa: from the reference to the moving image by -5 -6 -7
#   nitransforms, read back: by 5 6 7
# Source: the output above; https://github.com/nipy/nitransforms/pull/145 has the lines (`sa["dst"]` is the moving image).
# What to do: write such maps with fmt="itk", or swap the two volume infos of the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nitransforms==25.1.0 surfa==0.6.3 nibabel==5.4.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import re
import sys
from pathlib import Path

import nibabel
import numpy as np
import surfa
from nitransforms import linear

folder = Path(sys.argv[1])
SHAPES = {"reference": (20, 24, 16), "moving image": (10, 12, 14)}
images = {}
for name, shape in SHAPES.items():
    images[name] = folder / f"{name.split()[0]}.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.float32), np.diag([2.0, 2.0, 2.0, 1.0])), images[name])
reference, moving = images.values()
matrix = np.eye(4)
matrix[:3, 3] = [5, 6, 7]


def shift(transform):
    return transform.map([[0.0, 0.0, 0.0]])[0]


def words(numbers):
    return " ".join(f"{number:g}" for number in numbers)


def named(side):
    text = (folder / "map.lta").read_text().partition(f"{side} volume info")[2]
    shape = tuple(map(int, re.search(r"volume = (\d+) (\d+) (\d+)", text).groups()))
    return next(name for name, each in SHAPES.items() if each == shape)


own = linear.Affine(matrix, reference=reference)
own.to_filename(folder / "map.lta", fmt="fs", moving=moving)
again = linear.load(folder / "map.lta", fmt="fs", reference=reference, moving=moving)
read = surfa.load_affine(str(folder / "map.lta")).convert(space="world")
leads_forward = tuple(read.source.shape) == SHAPES["reference"]
by_surfa = (read if leads_forward else read.inv()).matrix[:3, 3]
print(f"nitransforms: from the reference to the moving image by {words(shift(own))}")
print(f"the file: src is the {named('src')}, dst the {named('dst')}; matrix by {words(read.matrix[:3, 3])}")
print(f"surfa: from the reference to the moving image by {words(by_surfa)}")
print(f"nitransforms, read back: by {words(shift(again))}")
if not (np.allclose(shift(own), [5, 6, 7]) and np.allclose(by_surfa, [-5, -6, -7])):
    sys.exit(1)
if (named("src"), named("dst")) != ("reference", "moving image") or not np.allclose(shift(again), [5, 6, 7]):
    sys.exit(1)
PYTHON
