#!/usr/bin/env bash
# MONAI shows NRRD files of the space left-anterior-superior mirrored, left for right.
#
# NRRD names the axes of its world; left-posterior-superior, right-anterior-superior and left-anterior-superior are the
# three of the body (teem's nrrd.h). One would guess that LoadImage brings all of them to the RAS that its images use.
# What happens: it turns left-posterior-superior round, which is right, and takes the numbers of every other space for
# RAS, without a word. So x of a left-anterior-superior file has the wrong sign, where ITK reads it as it is meant.
# Versions: monai 1.6.1, torch 2.13.0, pynrrd 1.1.3, SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-11-30: where a voxel
# that lies 10 mm to the left, 20 mm in front and 30 mm above lies in RAS mm, by the space of its file: by ITK, by MONAI
#   left-posterior-superior  [-10, 20, 30] [-10, 20, 30]
#   right-anterior-superior  [-10, 20, 30] [-10, 20, 30]
#   left-anterior-superior   [-10, 20, 30] [10, 20, 30]
# Source: the output above; monai/data/image_reader.py, NrrdReader.get_data asks for `space` LPS alone.
# What to do: write such files anew in another space, as SimpleITK does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet monai==1.6.1 torch==2.13.0 pynrrd==1.1.3 SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import warnings

warnings.simplefilter("ignore")
import nrrd
import numpy as np
import SimpleITK
from monai.transforms import LoadImage

RAS = np.array([-10.0, 20.0, 30.0])
SIGNS = {
    "left-posterior-superior": (-1, -1, 1),
    "right-anterior-superior": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
}
path = f"{sys.argv[1]}/scan.nrrd"
found = {}
for space, signs in SIGNS.items():
    header = {"space": space, "space directions": np.eye(3), "space origin": RAS * signs}
    nrrd.write(path, np.arange(24, dtype=np.int16).reshape(2, 3, 4), header)
    by_itk = np.array(SimpleITK.ReadImage(path).GetOrigin()) * (-1, -1, 1)
    by_monai = np.asarray(LoadImage(image_only=True)(path).affine)[:3, 3]
    found[space] = (by_itk, by_monai)
    print(space, by_itk.round().astype(int).tolist(), by_monai.round().astype(int).tolist())
mirrored = {"left-anterior-superior": (-1, 1, 1)}
is_as_seen = all(
    np.allclose(by_itk, RAS) and np.allclose(by_monai, RAS * mirrored.get(space, (1, 1, 1)))
    for space, (by_itk, by_monai) in found.items()
)
sys.exit(0 if is_as_seen else 1)
PYTHON
