"""Run by the Python of the peers: a moving image and points through a parameter file, as transformix does it.

FOLDER holds carried.nii.gz and points.csv (x, y, z in LPS mm); PARAMETERS is the file for `transformix -tp`. Writes
found.nii.gz and found.csv into FOLDER.
"""

import sys
from pathlib import Path

import itk
import pandas

folder, parameters = sys.argv[1:]
points = pandas.read_csv(f"{folder}/points.csv")
rows = [" ".join(f"{value:.10f}" for value in row) for row in points[["x", "y", "z"]].to_numpy()]
Path(f"{folder}/points.txt").write_text("\n".join(["point", str(len(rows)), *rows]) + "\n", encoding="utf-8")

# The way of transformix itself: parameter files that name each other, not objects put together in Python.
wanted = itk.ParameterObject.New()
wanted.ReadParameterFile(parameters)
moving = itk.imread(f"{folder}/carried.nii.gz", itk.F)
transformix = itk.TransformixFilter.New(Input=moving, TransformParameterObject=wanted)
transformix.SetFixedPointSetFileName(f"{folder}/points.txt")
transformix.SetOutputDirectory(folder)
transformix.SetLogToConsole(False)
transformix.UpdateLargestPossibleRegion()
itk.imwrite(transformix.GetOutput(), f"{folder}/found.nii.gz")
lines = Path(f"{folder}/outputpoints.txt").read_text(encoding="utf-8").splitlines()
found = [line.partition("OutputPoint = [")[2].partition("]")[0].split() for line in lines]
pandas.DataFrame([list(map(float, row)) for row in found], columns=["x", "y", "z"]).to_csv(
    f"{folder}/found.csv", index=False
)
