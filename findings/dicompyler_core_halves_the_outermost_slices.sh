#!/usr/bin/env bash
# dicompyler-core counts the first and the last slice of a structure by half: a nodule of three slices loses a third.
#
# One would guess that the volume of a structure is the area of its outlines times their distance, summed over the
# slices: so planning systems and programs that make masks have it, and an outline stands for its slice.
# What happens: CalculateStructureVolume adds half of the area of the first and of the last slice, rounded down to
# whole mm2, as if the structure ended in the middle of them. A structure of n slices has n - 1 slices of volume: a
# liver loses little, a nodule of three slices a third, and one of two slices half, as small as one of a single slice,
# which counts in full.
# Versions: dicompyler-core 0.5.6, pydicom 2.4.5, shapely 2.2.0, numpy 1.26.4. Seen on 2026-12-01, circles of 10 mm
# radius in slices of 3 mm: volume in ml, and area times distance times number of slices
#   1 slice: 0.94 ml of 0.94
#   2 slices: 0.94 ml of 1.88
#   3 slices: 1.88 ml of 2.82
#   30 slices: 27.28 ml of 28.23
# Source: the output above; dicomparser.py takes `p.area // 2` for the first and the last plane.
# What to do: sum areas times thickness yourself, or add one slice of the mean of both ends where there are several.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dicompyler-core==0.5.6 pydicom==2.4.5 shapely==2.2.0 numpy==1.26.4
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from dicompylercore.dicomparser import DicomParser
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

TURN = np.linspace(0, 2 * np.pi, 64, endpoint=False)
AREA_MM2 = 0.5 * 64 * 10**2 * np.sin(2 * np.pi / 64)
STEP_MM = 3.0


def volume_ml(num_slices):
    """Return the volume that dicompyler-core tells of circles in so many slices."""
    structures, region, drawn = Dataset(), Dataset(), Dataset()
    structures.file_meta = FileMetaDataset()
    structures.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    structures.SOPClassUID, structures.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.3", "2.25.1"
    structures.Modality = "RTSTRUCT"
    region.ROINumber, region.ROIName = 1, "nodule"
    drawn.ReferencedROINumber, drawn.ContourSequence = 1, []
    for k in range(num_slices):
        contour = Dataset()
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 64
        corners = np.stack([10 * np.cos(TURN), 10 * np.sin(TURN), np.full(64, STEP_MM * k)], axis=1)
        contour.ContourData = np.round(corners, 3).ravel().tolist()
        drawn.ContourSequence.append(contour)
    structures.StructureSetROISequence, structures.ROIContourSequence = [region], [drawn]
    parser = DicomParser(structures)
    planes = parser.GetStructureCoordinates(1)
    return parser.CalculateStructureVolume(planes, STEP_MM)


found = {num_slices: volume_ml(num_slices) for num_slices in (1, 2, 3, 30)}
for num_slices, told_ml in found.items():
    true_ml = num_slices * AREA_MM2 * STEP_MM / 1000
    print(f"{num_slices} slice{'s' if num_slices > 1 else ''}: {told_ml:.2f} ml of {true_ml:.2f}")
lost = [num_slices - told_ml * 1000 / (AREA_MM2 * STEP_MM) for num_slices, told_ml in found.items()]
sys.exit(0 if np.allclose(lost, [0.0, 1.0, 1.0, 1.0], atol=0.02) else 1)
PYTHON
