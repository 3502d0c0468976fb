#!/usr/bin/env bash
# ITK turns the grid of a NRRD displacement field in RAS to LPS, and leaves its vectors as they are.
#
# One would guess that a displacement field reads the same whether its file is in LPS or in RAS, since NRRD says which;
# a scan does. What happens: ITK turns origin and directions and passes the components on, so that a field written in RAS
# moves points the wrong way along x and y. A measurement frame, by which NRRD says in which axes components are, changes
# nothing either (it is kept among the metadata, as an object without a text form). No warning.
# Versions: SimpleITK 2.5.7, pynrrd 1.1.3, numpy 2.4.6. Seen on 2026-11-29, one and the same field that moves by 3 mm to
# the left (LPS x), the point is LPS 0, 0, 0:
#   LPS: from -20, -20, -20, point to 3, 0, 0
#   RAS: from -20, -20, -20, point to -3, 0, 0
#   RAS, measurement frame: from -20, -20, -20, point to -3, 0, 0
#   LPS, measurement frame of RAS: from -20, -20, -20, point to -3, 0, 0
# Source: the output above; itk::NrrdImageIO multiplies the space directions and the origin of a RAS file by -1, -1, 1.
# What to do: write fields in LPS, vectors and all, without a measurement frame. Refuse others rather than read them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 pynrrd==1.1.3 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import nrrd
import numpy as np
import SimpleITK

folder = Path(sys.argv[1])
RAS_AXES, LPS_AXES = np.diag([-1.0, -1.0, 1.0]), np.eye(3)
CASES = {
    "LPS": ("LPS", LPS_AXES, LPS_AXES, None),
    "RAS": ("RAS", RAS_AXES, RAS_AXES, None),
    "RAS, measurement frame": ("RAS", RAS_AXES, RAS_AXES, np.eye(3)),
    "LPS, measurement frame of RAS": ("LPS", LPS_AXES, RAS_AXES, RAS_AXES),
}
seen = []
for name, (space, grid_axes, vector_axes, frame) in CASES.items():
    vectors = np.zeros((3, 12, 12, 12), np.float32)
    vectors[:] = (vector_axes @ [3.0, 0.0, 0.0]).reshape(3, 1, 1, 1)
    header = {
        "space": space,
        "kinds": ["vector", "domain", "domain", "domain"],
        "space directions": np.vstack([np.full(3, np.nan), 4 * grid_axes]),
        "space origin": grid_axes @ [-20.0, -20.0, -20.0],
    }
    if frame is not None:
        header["measurement frame"] = frame
    path = str(folder / "field.nrrd")
    nrrd.write(path, vectors, header)
    image = SimpleITK.ReadImage(path, SimpleITK.sitkVectorFloat64)
    origin = image.GetOrigin()
    place = SimpleITK.DisplacementFieldTransform(image).TransformPoint((0.0, 0.0, 0.0))
    print(f"{name}: from {', '.join(f'{v:g}' for v in origin)}, point to {', '.join(f'{v + 0:g}' for v in place)}")
    seen.append((origin, place[0]))
if seen != [((-20.0, -20.0, -20.0), x) for x in (3.0, -3.0, -3.0, -3.0)]:
    sys.exit(1)
PYTHON
