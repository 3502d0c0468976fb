#!/usr/bin/env bash
# nibabel stretches labels in floats over the whole range of the header's integer type: label 1 comes back as 0.98.
#
# One would guess that whole numbers are stored as they are in an integer type that holds them, as those of an integer
# array are, or that an array keeps its own type on the disk.
# What happens: Nifti1Image(array, affine, header) writes in the type of the header, as that of the CT it was copied
# from, not in the array's. Floats are then scaled so that their largest value becomes the largest number of the type,
# with a slope to undo it, and rounding on that finer scale leaves labels beside whole numbers. `labels == 1` is empty
# then in nibabel, ITK, which multiplies in float32, misses other ones, and astype(int) turns those that came out low
# into the label below. The argmax of a network is an integer and is safe; an average, a resampling or get_fdata() is a
# float.
# Versions: nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-11-30, labels 0 to 10:
#   float64 as uint8: off by up to 0.0196, 1 of 11 labels exact, 5 too low; SimpleITK reads floats, 6 exact
#   float64 as int16: off by up to 0.0001, 1 of 11 labels exact, 5 too low; SimpleITK reads floats, 6 exact
#   int64 as uint8: off by up to 0.0000, 11 of 11 labels exact, 0 too low; SimpleITK reads whole numbers, 11 exact
# Source: the output above.
# What to do: astype to an integer type before the image is made; where such a file is met, round it and never cut it
# off.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import nibabel
import numpy as np
import SimpleITK

path = f"{sys.argv[1]}/labels.nii.gz"
labels = np.arange(11).repeat(20).reshape(11, 5, 4)
exact = {}
for of_array, of_header in (("float64", "uint8"), ("float64", "int16"), ("int64", "uint8")):
    header = nibabel.Nifti1Header()
    header.set_data_dtype(of_header)
    nibabel.save(nibabel.Nifti1Image(labels.astype(of_array), np.eye(4), header), path)
    by_nibabel = nibabel.load(path).get_fdata()
    by_itk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path)).transpose(2, 1, 0)
    kind = "whole numbers" if by_itk.dtype.kind in "iu" else "floats"
    found = [sum(int((read == label).any()) for label in range(11)) for read in (by_nibabel, by_itk)]
    exact[of_array, of_header] = found
    low = len(np.unique(labels[by_nibabel.astype(int) < labels]))
    print(
        f"{of_array} as {of_header}: off by up to {np.abs(by_nibabel - labels).max():.4f}, "
        f"{found[0]} of 11 labels exact, {low} too low; SimpleITK reads {kind}, {found[1]} exact"
    )
sys.exit(exact["int64", "uint8"] != [11, 11] or max(exact["float64", "uint8"] + exact["float64", "int16"]) > 8)
PYTHON
