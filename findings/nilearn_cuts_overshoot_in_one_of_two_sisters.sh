#!/usr/bin/env bash
# nilearn's resample_to_img lets cubic splines swing a third past the values of an image; resample_img cuts them off.
#
# One would guess that resample_to_img(image, target) gives what resample_img gives for the affine and the shape of the
# target, and that the type of the result does not depend on whether that of the image has a sign.
# What happens: both lay cubic splines by default ("continuous"), which swing past an edge, but resample_img cuts the
# result to the range of the image (clip=True) and resample_to_img does not (clip=False). What was int16 becomes
# float32, with values below the lowest and above the highest; uint8 stays uint8, what is below 0 becomes 0, and the
# overshoot of a label is another label.
# Versions: nilearn 0.14.1, nibabel 5.4.2, numpy 2.4.6. Seen on 2026-11-30, a cube of 100 in 0, voxels of 2 mm to 1 mm:
#   int16, resample_img: float32 from 0.0 to 100.0
#   int16, resample_to_img: float32 from -11.9 to 133.5
#   uint8, resample_img: uint8 from 0.0 to 100.0
#   uint8, resample_to_img: uint8 from 0.0 to 134.0
# Source: the output above; the signatures of both.
# What to do: say interpolation="nearest" for labels, "linear" for what has edges, and clip=True, in both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nilearn==0.14.1 nibabel==5.4.2 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import nibabel
import numpy as np
from nilearn.image import resample_img, resample_to_img

warnings.simplefilter("ignore")
target = nibabel.Nifti1Image(np.zeros((24, 24, 24), np.float32), np.diag([1.0, 1.0, 1.0, 1.0]))
highest = {}
for kind in ("int16", "uint8"):
    cube = np.zeros((12, 12, 12), kind)
    cube[3:9, 3:9, 3:9] = 100
    image = nibabel.Nifti1Image(cube, np.diag([2.0, 2.0, 2.0, 1.0]))
    for resample, found in (
        ("resample_img", resample_img(image, target_affine=target.affine, target_shape=target.shape)),
        ("resample_to_img", resample_to_img(image, target)),
    ):
        values = np.asanyarray(found.dataobj)
        highest[kind, resample] = float(values.max())
        print(f"{kind}, {resample}: {values.dtype} from {values.min():.1f} to {values.max():.1f}")
cut, let = ([highest[kind, name] for kind in ("int16", "uint8")] for name in ("resample_img", "resample_to_img"))
sys.exit(max(cut) > 100 or min(let) < 120)
PYTHON
