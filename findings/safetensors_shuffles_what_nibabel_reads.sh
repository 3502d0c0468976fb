#!/usr/bin/env bash
# safetensors 0.8 writes NumPy arrays in the order of their memory: what nibabel reads comes back shuffled.
#
# One would guess that save_file keeps an array whatever its layout, as it did up to 0.7, or refuses what is not
# contiguous, as safetensors.torch does.
# What happens: the bytes are written as they lie in memory and the shape as it is, read back in C order. nibabel gives
# voxels in Fortran order (as NIfTI stores them), so a scan or a label map comes back with the right shape, type, range
# and histogram, and every voxel elsewhere; so do transposed, flipped and strided views, and views that were broadcast.
# What was cast on its way (astype keeps the order) is no better. Neither writer nor reader says a word.
# Versions: safetensors 0.8.0, nibabel 5.4.2, numpy 2.4.6. Seen on 2026-11-30, a label of one voxel at (1, 2, 3) of
# (4, 5, 6), and its file read back:
#   as nibabel reads it: (2, 1, 3)
#   turned, so that it lies at (3, 1, 2): (2, 1, 0)
#   np.ascontiguousarray of it: (1, 2, 3)
#   safetensors 0.7.0, as nibabel reads it: (1, 2, 3)
# Source: the output above; issue 825 of safetensors/safetensors (August 2026, open).
# What to do: np.ascontiguousarray before save_file. Files that 0.8 wrote of such arrays can be mended: read them, and
# `tensor.ravel().reshape(tensor.shape, order="F")` is the array that was given, where it was Fortran-contiguous.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet safetensors==0.8.0 nibabel==5.4.2 numpy==2.4.6
cat > "$folder/try.py" <<'PYTHON'
import sys
from pathlib import Path

import nibabel
import numpy as np
from safetensors.numpy import load_file, save_file

folder = Path(sys.argv[1])
labels = np.zeros((4, 5, 6), dtype=np.uint8)
labels[1, 2, 3] = 1
nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), folder / "labels.nii")
read = np.asanyarray(nibabel.load(folder / "labels.nii").dataobj)
assert np.array_equal(read, labels)


def place_after(array):
    """Return where the label is in the file."""
    save_file({"labels": array}, folder / "labels.safetensors")
    found = load_file(folder / "labels.safetensors")["labels"]
    assert found.shape == array.shape
    return tuple(int(index) for index in np.argwhere(found)[0])


print("as nibabel reads it:", as_read := place_after(read))
if "--read-alone" in sys.argv:
    sys.exit(as_read != (1, 2, 3))
print("turned, so that it lies at (3, 1, 2):", turned := place_after(labels.transpose(2, 0, 1)))
print("np.ascontiguousarray of it:", contiguous := place_after(np.ascontiguousarray(read)))
save_file({"labels": read}, folder / "labels.safetensors")
mended = load_file(folder / "labels.safetensors")["labels"].ravel().reshape(read.shape, order="F")
assert np.array_equal(mended, labels)
sys.exit((as_read, turned, contiguous) != ((2, 1, 3), (2, 1, 0), (1, 2, 3)))
PYTHON
"$folder/venv/bin/python" "$folder/try.py" "$folder"
"$folder/venv/bin/pip" install --quiet safetensors==0.7.0
echo -n "safetensors 0.7.0, "
"$folder/venv/bin/python" "$folder/try.py" "$folder" --read-alone
