"""Run by the Python of the peers: a moving image and points through a transform file, as SimpleITK does it.

FOLDER holds onto.nii.gz, carried.nii.gz and points.csv (x, y, z in LPS mm); the other argument is the file. Writes
found.nii.gz and found.csv into FOLDER.
"""

import sys

import pandas
import SimpleITK

folder, name = sys.argv[1:]
onto, carried = (SimpleITK.ReadImage(f"{folder}/{scan}.nii.gz") for scan in ("onto", "carried"))
transform = SimpleITK.ReadTransform(name)
SimpleITK.WriteImage(
    SimpleITK.Resample(carried, onto, transform, SimpleITK.sitkLinear, -2000.0), f"{folder}/found.nii.gz"
)
points = pandas.read_csv(f"{folder}/points.csv")[["x", "y", "z"]].to_numpy()
moved = [transform.TransformPoint(point) for point in points.tolist()]
pandas.DataFrame(moved, columns=["x", "y", "z"]).to_csv(f"{folder}/found.csv", index=False)
