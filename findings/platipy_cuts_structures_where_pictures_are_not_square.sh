#!/usr/bin/env bash
# platipy cuts structures off where slices are not square, and draws outlines from below the scan on its topmost slices.
#
# One would guess that an outline of an RTSTRUCT that lies within the scan becomes a mask of its area, whatever the
# number of rows and columns. Tests and head scans are of 512 x 512 pixels; MRs and cropped CTs are often of 320 x 256
# or the like.
# What happens: the outline is given to skimage.draw.polygon as (x, y) and cut to the shape (rows, columns). Where
# there are fewer rows than columns, all beyond x = rows is left out, and where there are fewer columns, all beyond y
# = columns: a structure on one side of the body loses a part, or all of it, without a word. What lies near the first
# pixel is right. An outline below the first slice has a negative index, which counts from the last slice.
# Versions: platipy 0.7.2, SimpleITK 2.5.7, pydicom 2.4.5, scikit-image 0.26.0, numpy 2.4.6. Seen on 2026-12-01, a
# cylinder of 10 mm radius and 30 mm length (9.42 ml) about x = 15 mm on pixels of 1 mm: volume and middle
#   64 rows, 64 columns: 10.14 ml, x 15.03 mm
#   48 rows, 64 columns: 5.67 ml, x 11.13 mm
#   32 rows, 64 columns: 0.00 ml, nothing is left
#   four of eight slices below the scan: drawn on slices 0, 1, 2, 3, 8, 9, 10, 11
# Source: the output above; transform_point_set_from_dicom_struct in platipy/dicom/io/rtstruct_to_nifti.py.
# What to do: pad the scan to square slices before, and leave out outlines that lie outside of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet platipy==0.7.2 SimpleITK==2.5.7 pydicom==2.4.5 scikit-image==0.26.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK
from platipy.dicom.io.rtstruct_to_nifti import transform_point_set_from_dicom_struct
from pydicom.dataset import Dataset


def structure_of(x_mm, heights_mm):
    """Return a structure set of circles of 10 mm radius."""
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    region, drawn, structures = Dataset(), Dataset(), Dataset()
    region.ROINumber, region.ROIName = 1, "lesion"
    drawn.ReferencedROINumber, drawn.ContourSequence = 1, []
    for height_mm in heights_mm:
        contour = Dataset()
        contour.ContourGeometricType = "CLOSED_PLANAR"
        corners = np.stack([x_mm + 10 * np.cos(turn), 10 * np.sin(turn), np.full(64, height_mm)], axis=1)
        contour.ContourData = np.round(corners, 3).ravel().tolist()
        drawn.ContourSequence.append(contour)
    structures.StructureSetROISequence, structures.ROIContourSequence = [region], [drawn]
    return structures


def mask_on(rows, columns, structures):
    """Return the mask (slices, rows, columns) on 12 slices of 3 mm, pixels of 1 mm with the middle at 0, 0."""
    scan = SimpleITK.Image((columns, rows, 12), SimpleITK.sitkInt16)
    scan.SetSpacing((1, 1, 3))
    scan.SetOrigin((-(columns - 1) / 2, -(rows - 1) / 2, 0))
    masks, _ = transform_point_set_from_dicom_struct(scan, structures)
    return SimpleITK.GetArrayFromImage(masks[0])


volumes_ml = []
for rows in (64, 48, 32):
    mask = mask_on(rows, 64, structure_of(15, [3.0 * k for k in range(1, 11)]))
    volumes_ml.append(mask.sum() * 3 / 1000)
    place = f"x {np.nonzero(mask)[2].mean() - 31.5:.2f} mm" if mask.any() else "nothing is left"
    print(f"{rows} rows, 64 columns: {volumes_ml[-1]:.2f} ml, {place}")
below = mask_on(64, 64, structure_of(0, [3.0 * k for k in range(-4, 4)]))
shown = np.flatnonzero(below.any(axis=(1, 2))).tolist()
print("four of eight slices below the scan: drawn on slices", ", ".join(map(str, shown)))
is_as_seen = abs(volumes_ml[0] - 9.42) < 1 and volumes_ml[1] < 7 and volumes_ml[2] < 1
sys.exit(0 if is_as_seen and shown == [0, 1, 2, 3, 8, 9, 10, 11] else 1)
PYTHON
