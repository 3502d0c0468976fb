#!/usr/bin/env bash
# ITK turns the vectors of a displacement field from RAS to LPS in NIfTI files of the intent 1006 alone.
#
# One would guess that ITK takes the vectors of all NIfTI fields in one way, or turns those of whatever states RAS, as it
# turns the grid. What happens: in NIfTI it turns vectors of the intent 1006 (displacement vector), and passes on those of
# 1007 (vector), the one that it writes itself. In NRRD it never turns them, also where the file is in RAS, and looks at
# no measurement frame, by which NRRD says in which axes vectors are (it is kept among the metadata, as an object without
# a text form). So one field moves a point to the left or to the right, without a warning.
# Versions: SimpleITK 2.5.7, nibabel 5.4.2, pynrrd 1.1.3, numpy 2.4.6. Seen on 2026-11-29, fields that hold 3, 0, 0 at
# every voxel of one and the same grid, and where they move the point LPS 0, 0, 0:
#   NIfTI, intent 1007: 3, 0, 0
#   NIfTI, intent 1006: -3, 0, 0
#   NRRD in LPS: 3, 0, 0
#   NRRD in RAS: 3, 0, 0
#   NRRD in LPS, measurement frame of RAS: 3, 0, 0
# Source: the output above; NiftiImageIO has the switches ConvertRASVectors and ConvertRASDisplacementVectors.
# What to do: write fields for ITK as LPS vectors, with the intent 1007 in NIfTI and in LPS without a measurement frame in
# NRRD. Refuse fields in NRRD that state something else.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 nibabel==5.4.2 pynrrd==1.1.3 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import SimpleITK

folder = Path(sys.argv[1])
SPACING, FIRST, RAS_FROM_LPS = 4.0, np.array([-20.0, -20.0, -20.0]), np.diag([-1.0, -1.0, 1.0])


def write_nifti(path, intent):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = SPACING * RAS_FROM_LPS, RAS_FROM_LPS @ FIRST
    vectors = np.zeros((12, 12, 12, 1, 3), np.float32)
    vectors[..., 0] = 3
    image = nibabel.Nifti1Image(vectors, affine)
    image.header["intent_code"] = intent
    nibabel.save(image, path)


def write_nrrd(path, space, frame):
    axes = RAS_FROM_LPS if space == "RAS" else np.eye(3)
    vectors = np.zeros((3, 12, 12, 12), np.float32)
    vectors[0] = 3
    header = {
        "space": space,
        "kinds": ["vector", "domain", "domain", "domain"],
        "space directions": np.vstack([np.full(3, np.nan), SPACING * axes]),
        "space origin": axes @ FIRST,
    }
    nrrd.write(str(path), vectors, header | ({} if frame is None else {"measurement frame": frame}))


CASES = {
    "NIfTI, intent 1007": (write_nifti, "a.nii", 1007),
    "NIfTI, intent 1006": (write_nifti, "b.nii", 1006),
    "NRRD in LPS": (write_nrrd, "c.nrrd", "LPS", None),
    "NRRD in RAS": (write_nrrd, "d.nrrd", "RAS", None),
    "NRRD in LPS, measurement frame of RAS": (write_nrrd, "e.nrrd", "LPS", RAS_FROM_LPS),
}
seen = []
for name, (write, file, *how) in CASES.items():
    write(folder / file, *how)
    field = SimpleITK.ReadImage(str(folder / file), SimpleITK.sitkVectorFloat64)
    assert np.allclose(field.GetOrigin(), FIRST)
    place = SimpleITK.DisplacementFieldTransform(field).TransformPoint((0.0, 0.0, 0.0))
    print(f"{name}: {', '.join(f'{value + 0:g}' for value in place)}")
    seen.append(place[0])
if seen != [3.0, -3.0, 3.0, 3.0, 3.0]:
    sys.exit(1)
PYTHON
