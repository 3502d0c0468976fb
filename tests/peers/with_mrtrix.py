"""Run by the Python of the peers: a moving image and points through a warp, as mrtransform and tcktransform do it.

FOLDER holds onto.nii.gz, carried.nii.gz and points.csv (x, y, z in LPS mm); the other arguments are the warps for
images and for points. Writes found.nii.gz and found.csv into FOLDER. The programs are those on the search path.
"""

import subprocess
import sys

import nibabel
import numpy
import pandas

folder, warp, warp_of_points = sys.argv[1:]
# The result lies on the grid of the warp; given a `-template`, mrtransform lays cubic splines through the warp.
scans = (f"{folder}/carried.nii.gz", f"{folder}/found.nii.gz")
subprocess.run(
    ["mrtransform", scans[0], "-warp", warp, "-interp", "linear", "-force", "-quiet", scans[1]], check=True
)
points = pandas.read_csv(f"{folder}/points.csv")[["x", "y", "z"]].to_numpy() * [-1, -1, 1]
one_each = nibabel.streamlines.Tractogram([points.astype(numpy.float32)], affine_to_rasmm=numpy.eye(4))
nibabel.streamlines.save(one_each, f"{folder}/points.tck")
subprocess.run(
    ["tcktransform", f"{folder}/points.tck", warp_of_points, f"{folder}/found.tck", "-force", "-quiet"],
    check=True,
)
moved = nibabel.streamlines.load(f"{folder}/found.tck").streamlines[0] * [-1, -1, 1]
pandas.DataFrame(moved, columns=["x", "y", "z"]).to_csv(f"{folder}/found.csv", index=False)
