"""Run by the Python of the peers: a moving image and points through transforms, as nitransforms does it.

FOLDER holds onto.nii.gz, carried.nii.gz and points.csv (x, y, z in LPS mm); the other arguments are the displacement
field for images and, in their order, what moves points: fields and `.tfm`, `inverse:FILE` for the way back of one.
Writes found.nii.gz and found.csv into FOLDER.
"""

import sys

import nibabel
import pandas
from nitransforms import linear
from nitransforms.nonlinear import DenseFieldTransform
from nitransforms.resampling import apply

folder, field, *named = sys.argv[1:]
onto, carried = (nibabel.load(f"{folder}/{name}.nii.gz") for name in ("onto", "carried"))
images = DenseFieldTransform.from_filename(field, fmt="itk")
apply(images, carried, reference=onto, order=1, cval=-2000, output_dtype="float32").to_filename(
    f"{folder}/found.nii.gz"
)
points = pandas.read_csv(f"{folder}/points.csv")[["x", "y", "z"]].to_numpy() * [-1, -1, 1]
for name in named:
    path = name.removeprefix("inverse:")
    if path.endswith(".tfm"):
        points = linear.load(path, fmt="itk").map(points, inverse=path != name)
    else:
        points = DenseFieldTransform.from_filename(path, fmt="itk").map(points)
pandas.DataFrame(points * [-1, -1, 1], columns=["x", "y", "z"]).to_csv(f"{folder}/found.csv", index=False)
