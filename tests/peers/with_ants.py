"""Run by the Python of the peers: a moving image and points through transform files, as antspyx does it.

FOLDER holds the images onto.nii.gz and carried.nii.gz and points.csv (x, y, z in LPS mm, in the world of the first);
the other arguments are the files as after `antsApplyTransforms -t`, `inverse:FILE` for `[FILE,1]`. Writes found.nii.gz
and found.csv into FOLDER.
"""

import sys

import ants
import pandas

folder, *named = sys.argv[1:]
files = [name.removeprefix("inverse:") for name in named]
is_inverted = [name.startswith("inverse:") for name in named]
fixed, moving = (ants.image_read(f"{folder}/{name}.nii.gz") for name in ("onto", "carried"))
warped = ants.apply_transforms(
    fixed, moving, files, interpolator="linear", defaultvalue=-2000, whichtoinvert=is_inverted
)
ants.image_write(warped, f"{folder}/found.nii.gz")
points = pandas.read_csv(f"{folder}/points.csv")
moved = ants.apply_transforms_to_points(3, points, files, whichtoinvert=is_inverted)
moved.to_csv(f"{folder}/found.csv", index=False)
