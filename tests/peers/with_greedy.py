"""Run by the Python of the peers: a moving image and points through a chain of files, as greedy does it.

FOLDER holds onto.nii.gz, carried.nii.gz and points.csv (x, y, z in LPS mm); the other arguments are the files as after
`greedy -r`, `inverse:FILE` for `FILE,-1`. Writes found.nii.gz and found.csv into FOLDER.
"""

import sys
from pathlib import Path

import numpy
import pandas
from picsl_greedy import Greedy3D

folder, *named = sys.argv[1:]
chain = [f"{name.removeprefix('inverse:')},-1" if name.startswith("inverse:") else name for name in named]
points = pandas.read_csv(f"{folder}/points.csv")[["x", "y", "z"]].to_numpy() * [-1, -1, 1]
lines = [" ".join(f"{value:.9f}" for value in row) for row in points]
header = ["# vtk DataFile Version 4.2", "points", "ASCII", "DATASET POLYDATA", f"POINTS {len(points)} double"]
vertices = [f"VERTICES {len(points)} {2 * len(points)}", *[f"1 {number}" for number in range(len(points))]]
Path(f"{folder}/points.vtk").write_text("\n".join([*header, *lines, *vertices]) + "\n", encoding="utf-8")

Greedy3D().execute(
    f"-d 3 -rf {folder}/onto.nii.gz -ri LINEAR -rb -2000 -rm {folder}/carried.nii.gz {folder}/found.nii.gz "
    f"-rs {folder}/points.vtk {folder}/found.vtk -r {' '.join(chain)}"
)
words = Path(f"{folder}/found.vtk").read_text(encoding="utf-8").split()
first = words.index("POINTS") + 3
moved = numpy.array(words[first : first + points.size], dtype=float).reshape(-1, 3) * [-1, -1, 1]
pandas.DataFrame(moved, columns=["x", "y", "z"]).to_csv(f"{folder}/found.csv", index=False)
