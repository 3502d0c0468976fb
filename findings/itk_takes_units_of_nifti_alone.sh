#!/usr/bin/env bash
# ITK turns the unit of a NIfTI header into millimetres, and takes no notice of the units of NRRD and MetaImage headers.
#
# One would guess that a reader which honours xyzt_units of NIfTI honours "space units" of NRRD and DistanceUnits of
# MetaImage too: each says in which unit spacing and origin are written.
# What happens: of one volume with voxels of 2 cm, written in centimetres or metres with its unit beside it, SimpleITK
# gives a spacing of 20 mm from NIfTI, 2 from NRRD and 2 from MetaImage, without a warning: ten times too small.
# Versions: SimpleITK 2.5.7. Seen on 2026-11-28:
#   NIfTI 20, NRRD 2, MetaImage 2
# Source: nifti1.h "UNITS OF SPATIAL AND TEMPORAL DIMENSIONS"; the NRRD format, "space units"; MetaIO, "DistanceUnits".
# What to do: write millimetres; on reading look at the unit yourself, as volumes/nrrd.py and volumes/metaimage.py do.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import struct
import sys
from pathlib import Path

import SimpleITK

folder = Path(sys.argv[1])
voxels = struct.pack("<60h", *range(60))

nifti = bytearray(352)
struct.pack_into("<i", nifti, 0, 348)
struct.pack_into("<8h", nifti, 40, 3, 5, 4, 3, 1, 1, 1, 1)
struct.pack_into("<2h", nifti, 70, 4, 16)
struct.pack_into("<8f", nifti, 76, 1, 0.02, 0.02, 0.02, 1, 1, 1, 1)
struct.pack_into("<3f", nifti, 108, 352, 1, 0)
nifti[123] = 1  # metres
struct.pack_into("<2h", nifti, 252, 0, 1)
struct.pack_into("<12f", nifti, 280, 0.02, 0, 0, 0, 0, 0.02, 0, 0, 0, 0, 0.02, 0)
nifti[344:348] = b"n+1\0"
(folder / "x.nii").write_bytes(bytes(nifti) + voxels)

nrrd = """NRRD0004
type: short
dimension: 3
space: left-posterior-superior
sizes: 5 4 3
space directions: (2,0,0) (0,2,0) (0,0,2)
space units: "cm" "cm" "cm"
endian: little
encoding: raw
space origin: (0,0,0)

"""
(folder / "x.nrrd").write_bytes(nrrd.encode() + voxels)

metaimage = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
DistanceUnits = cm
ElementSpacing = 2 2 2
DimSize = 5 4 3
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""
(folder / "x.mha").write_bytes(metaimage.encode() + voxels)

spacings = [round(SimpleITK.ReadImage(str(folder / name)).GetSpacing()[0], 4) for name in ("x.nii", "x.nrrd", "x.mha")]
print("NIfTI {:g}, NRRD {:g}, MetaImage {:g}".format(*spacings))
sys.exit(spacings != [20.0, 2.0, 2.0])
PYTHON
