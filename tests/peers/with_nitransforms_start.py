"""Run by the Python of the peers: points of the fixed scan through a start, as nitransforms reads it.

FOLDER holds onto.nii.gz, carried.nii.gz and points.csv (x, y, z in LPS mm); START is a matrix of FSL or a `.lta`.
Writes found.csv into FOLDER.
"""

import sys

import pandas
from nitransforms.linear import load

folder, start = sys.argv[1:]
scans = {"reference": f"{folder}/onto.nii.gz", "moving": f"{folder}/carried.nii.gz"}
transform = load(start, fmt="fs" if start.endswith(".lta") else "fsl", **scans)
points = pandas.read_csv(f"{folder}/points.csv")[["x", "y", "z"]].to_numpy() * [-1, -1, 1]
pandas.DataFrame(transform.map(points) * [-1, -1, 1], columns=["x", "y", "z"]).to_csv(
    f"{folder}/found.csv", index=False
)
