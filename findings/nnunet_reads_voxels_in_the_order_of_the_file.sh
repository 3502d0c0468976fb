#!/usr/bin/env bash
# nnU-Net reads the voxels in the order of the file: of one scan saved in RAS and in LAS it sees mirror images.
#
# nnU-Net keeps spacing, origin and direction of a scan and writes its masks back in place. One would guess that it also
# brings scans to one orientation before the network, as TotalSegmentator and most bundles of MONAI do; a maintainer
# thought so too.
# What happens: the reader that it takes for .nii.gz, .nrrd and .mha (SimpleITKIO) hands on the array as it is stored
# and keeps the directions for writing alone. A model trained on files of dcm2niix (LAS) gets a scan that another
# program saved in RAS mirrored, and calls the left kidney right, in a mask that lies perfectly on the scan. No message.
# Training checks images against labels, not scans against each other. NibabelIOWithReorient turns them to RAS, where
# dataset.json asks for it (overwrite_image_reader_writer).
# Versions: nnunetv2 2.8.1 (its readers alone), SimpleITK 2.5.7, nibabel 5.4.2, numpy 2.4.6. Seen on 2026-12-01, where a
# mark on the patient's right is in the array (slice, row, column of 4, 5, 6), of one scan in LAS and in RAS:
#   SimpleITKIO: 1 2 0 and 1 2 5
#   NibabelIO: 1 2 0 and 1 2 5
#   NibabelIOWithReorient: 1 2 5 and 1 2 5
# Source: the output above; https://github.com/MIC-DKFZ/nnUNet/issues/459 (2021, says so), 1280 (2023, guesses the
# opposite) and 2897 (2025).
# What to do: reorient every scan as those of the training were before nnUNetv2_predict, or train with
# NibabelIOWithReorient.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
"$folder/venv/bin/pip" install --quiet --no-deps nnunetv2==2.8.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

voxels = np.zeros((4, 5, 6), np.int16)
voxels[1, 2, 0] = 100
scan = SimpleITK.GetImageFromArray(voxels)
for axes in ("LAS", "RAS"):
    SimpleITK.WriteImage(SimpleITK.DICOMOrient(scan, axes), f"{axes}.nii.gz")

seen = []
for reader in (SimpleITKIO, NibabelIO, NibabelIOWithReorient):
    marks = []
    for axes in ("LAS", "RAS"):
        array, _ = reader().read_images([f"{axes}.nii.gz"])
        marks.append(np.argwhere(array[0] > 50)[0].tolist())
    seen.append(marks)
    print(f"{reader.__name__}: {' and '.join(' '.join(map(str, mark)) for mark in marks)}")
expected = [[[1, 2, 0], [1, 2, 5]], [[1, 2, 0], [1, 2, 5]], [[1, 2, 5], [1, 2, 5]]]
sys.exit(0 if seen == expected else 1)
PYTHON
