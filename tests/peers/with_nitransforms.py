"""Run by the Python of the peers: a moving image and points through transforms, as nitransforms does it.

FOLDER holds onto.nii.gz, carried.nii.gz and points.csv (x, y, z in LPS mm); the other arguments are the displacement
field for images and the composite for points. Writes found.nii.gz and found.csv into FOLDER.
"""

import sys

import nibabel
import pandas
from nitransforms.manip import TransformChain
from nitransforms.nonlinear import DenseFieldTransform
from nitransforms.resampling import apply

folder, field, composite = sys.argv[1:]
onto, carried = (nibabel.load(f"{folder}/{name}.nii.gz") for name in ("onto", "carried"))
images = DenseFieldTransform.from_filename(field, fmt="itk")
apply(images, carried, reference=onto, order=1, cval=-2000, output_dtype="float32").to_filename(
    f"{folder}/found.nii.gz"
)
points = pandas.read_csv(f"{folder}/points.csv")[["x", "y", "z"]].to_numpy() * [-1, -1, 1]
chain = TransformChain.from_filename(composite, fmt="itk")
pandas.DataFrame(chain.map(points) * [-1, -1, 1], columns=["x", "y", "z"]).to_csv(
    f"{folder}/found.csv", index=False
)
