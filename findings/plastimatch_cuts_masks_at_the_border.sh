#!/usr/bin/env bash
# plastimatch cuts through a mask that touches the border of the image when it draws it, and fills the holes it drew.
#
# One would guess that a mask comes back as it was from a structure set that plastimatch made of it.
# What happens: an outline that reaches the border ends there and is closed by a straight line, which cuts through the
# mask: of a block in a corner of the slices half the voxels are lost. A hole is drawn as an outline of its own, as DICOM
# has it, but plastimatch fills it when it reads it back; programs that take what lies in an odd number of outlines keep
# it. Nothing is said, and the exit code is 0.
# Versions: plastimatch 1.10.0 (PyPI), SimpleITK 2.5.7, numpy 2.4.6, pydicom 3.0.2. Seen on 2026-11-29:
#   middle: 405 voxels, 5 outlines, read back 405 voxels
#   corner: 405 voxels, 5 outlines, read back 180 voxels
#   ring: 600 voxels, 10 outlines, read back 605 voxels
# Source: the output above.
# What to do: give it masks with an empty voxel all round (pad the image). Read rings with another program.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet plastimatch==1.10.0 SimpleITK==2.5.7 numpy==2.4.6 pydicom==3.0.2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK

folder = Path(sys.argv[1])


def plastimatch(*arguments):
    subprocess.run([folder / "venv/bin/plastimatch", "convert", *arguments], check=True, capture_output=True)


masks = {name: np.zeros((10, 40, 48), np.uint8) for name in ("middle", "corner", "ring")}
masks["middle"][2:7, 20:29, 10:19] = 1
masks["corner"][2:7, :9, :9] = 1
masks["ring"][2:7, 20:31, 30:41] = 1
masks["ring"][2:7, 25, 35] = 0
(folder / "masks").mkdir()
for name, mask in masks.items():
    image = SimpleITK.GetImageFromArray(mask)
    image.SetSpacing((1.5, 2.0, 3.0))
    SimpleITK.WriteImage(image, str(folder / "masks" / f"{name}.nrrd"))
SimpleITK.WriteImage(image * 0, str(folder / "scan.nrrd"))
plastimatch("--input", folder / "scan.nrrd", "--output-dicom", folder / "series")
plastimatch(
    "--input-prefix", folder / "masks", "--referenced-ct", folder / "series", "--output-dicom", folder / "drawn"
)
(structures,) = (folder / "drawn").glob("rtss*")
plastimatch(
    "--input", structures, "--referenced-ct", folder / "series", "--output-prefix", folder / "again",
    "--prefix-format", "nrrd",
)  # fmt: skip
dataset = pydicom.dcmread(structures)
names = {region.ROINumber: region.ROIName for region in dataset.StructureSetROISequence}
outlines = {names[region.ReferencedROINumber]: len(region.ContourSequence) for region in dataset.ROIContourSequence}
seen = {}
for name, mask in masks.items():
    again = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "again" / f"{name}.nrrd")))
    seen[name] = (int(mask.sum()), outlines[name], int((again > 0).sum()))
    print(f"{name}: {seen[name][0]} voxels, {outlines[name]} outlines, read back {seen[name][2]} voxels")
if seen != {"middle": (405, 5, 405), "corner": (405, 5, 180), "ring": (600, 10, 605)}:
    sys.exit(1)
PYTHON
