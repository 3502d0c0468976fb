#!/usr/bin/env bash
# SimpleITK centres two CTs by their air: with MOMENTS the start of a registration leads the wrong way.
#
# CenteredTransformInitializer with MOMENTS lays the centres of mass of two images on one another, which tutorials offer
# for patients who lie differently in the scanner. One would guess that the centre of mass of a CT lies in the body.
# What happens: the mass of a voxel is its value as it is. In HU air has -1000 and soft tissue about 40, so nearly all
# of the mass is negative air, and its centre lies beside the middle of the image, on the other side than the body. A
# patient who lies 30 mm farther along x is moved 5 mm the other way; nothing is said.
# Versions: SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-11-30, the x of the start in mm for a body of 40 HU in air, the
# moving one 30 mm farther along x:
#   geometry: 0.0
#   moments of HU: -5.3
#   moments of HU + 1024: 25.9
#   moments of HU > -500: 30.0
# Source: the output above; itkImageMomentsCalculator.hxx. elastix leaves out values below 500 by default
# (LowerThresholdForCenterGravity), which leaves bone of a CT in HU, and the body of one stored 1024 higher.
# What to do: give masks of the bodies to the initializer, and the scans to the registration.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK


def body(shift_vox):
    """Return an elliptic cylinder of soft tissue in air, voxels of 5 mm."""
    _, y, x = np.indices((40, 60, 60))
    inside = ((x - 30 - shift_vox) / 14) ** 2 + ((y - 30) / 12) ** 2 < 1
    image = SimpleITK.GetImageFromArray(np.where(inside, 40.0, -1000.0).astype(np.float32))
    image.SetSpacing((5.0, 5.0, 5.0))
    return image


def start_x_mm(fixed, moving, *, mode):
    start = SimpleITK.CenteredTransformInitializer(fixed, moving, SimpleITK.Euler3DTransform(), mode)
    return SimpleITK.Euler3DTransform(start).GetTranslation()[0]


kinds = SimpleITK.CenteredTransformInitializerFilter
scans = [body(0), body(6)]
masks = [SimpleITK.Cast(scan > -500.0, SimpleITK.sitkFloat32) for scan in scans]
found = {
    "geometry": start_x_mm(*scans, mode=kinds.GEOMETRY),
    "moments of HU": start_x_mm(*scans, mode=kinds.MOMENTS),
    "moments of HU + 1024": start_x_mm(*(scan + 1024.0 for scan in scans), mode=kinds.MOMENTS),
    "moments of HU > -500": start_x_mm(*masks, mode=kinds.MOMENTS),
}
for name, x_mm in found.items():
    print(f"{name}: {x_mm:.1f}")
sys.exit([round(x_mm, 1) for x_mm in found.values()] != [0.0, -5.3, 25.9, 30.0])
PYTHON
