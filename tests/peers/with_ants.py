"""Run by the Python of the peers: a moving image and points through a transform file, as antspyx does it.

FOLDER holds the images onto.nii.gz and carried.nii.gz and points.csv (x, y, z in LPS mm, in the world of the first);
TRANSFORM is the file to use. Writes ants.nii.gz and ants.csv into FOLDER.
"""

import sys

import ants
import pandas

folder, transform = sys.argv[1:]
fixed, moving = (ants.image_read(f"{folder}/{name}.nii.gz") for name in ("onto", "carried"))
warped = ants.apply_transforms(fixed, moving, [transform], interpolator="linear", defaultvalue=-2000)
ants.image_write(warped, f"{folder}/ants.nii.gz")
points = pandas.read_csv(f"{folder}/points.csv")
ants.apply_transforms_to_points(3, points, [transform]).to_csv(f"{folder}/ants.csv", index=False)
