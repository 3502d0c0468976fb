#!/usr/bin/env bash
# pynrrd with index_order="C" turns the array round and leaves the header as it is: spacings belong to other axes.
#
# A NRRD file lists its axes from the fastest to the slowest. Programs that keep volumes as (z, y, x) read it with
# index_order="C", and one would guess that sizes, spacings and space directions come in the order of the array's axes,
# and are taken in that order by nrrd.write. What happens: the array alone is turned; the header is that of the file,
# fastest axis first, both ways. `header["space directions"][0]` is the step along the last axis of the array, and a
# header written in the order of the array gives a file whose slices and columns have changed places, with no warning.
# Versions: pynrrd 1.1.3, SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-12-01, 2 slices 5 mm apart of 3 rows and 4 columns
# of 0.8 mm, as ITK sees what was written, spacing and size along x, y, z:
#   read with index_order C: array (2, 3, 4), sizes 4 3 2, lengths of the space directions 0.8 0.8 5.0
#   written by the order of the array: size 4 3 2, spacing 5.0 0.8 0.8
#   written by the order of the file:  size 4 3 2, spacing 0.8 0.8 5.0
# Source: the output above.
# What to do: reverse `space directions` (and `kinds`, `thicknesses`) together with the array, both ways; `sizes` is
# written by pynrrd itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pynrrd==1.1.3 SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import nrrd
import numpy as np
import SimpleITK

folder = sys.argv[1]
array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)  # z, y, x
of_slices, of_rows, of_columns = [0.0, 0.0, 5.0], [0.0, 0.8, 0.0], [0.8, 0.0, 0.0]
orders = {"array": [of_slices, of_rows, of_columns], "file": [of_columns, of_rows, of_slices]}
spacings = {}
for name, directions in orders.items():
    header = {"space": "left-posterior-superior", "space directions": directions, "space origin": [0.0, 0.0, 0.0]}
    path = f"{folder}/{name}.nrrd"
    nrrd.write(path, array, header, index_order="C")
    image = SimpleITK.ReadImage(path)
    spacings[name] = (image.GetSize(), [round(value, 3) for value in image.GetSpacing()])
read, header = nrrd.read(f"{folder}/file.nrrd", index_order="C")
lengths = np.linalg.norm(header["space directions"], axis=1)
print(
    f"read with index_order C: array {read.shape}, sizes {' '.join(map(str, header['sizes']))}, "
    f"lengths of the space directions {' '.join(f'{length:.1f}' for length in lengths)}"
)
for name, (size, spacing) in spacings.items():
    print(f"written by the order of the {name}: size {' '.join(map(str, size))}, spacing {' '.join(map(str, spacing))}")
is_left = read.shape == (2, 3, 4) and np.allclose(lengths, [0.8, 0.8, 5.0]) and spacings["array"][1] == [5.0, 0.8, 0.8]
sys.exit(int(not is_left))
PYTHON
