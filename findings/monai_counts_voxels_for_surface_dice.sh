#!/usr/bin/env bash
# MONAI's surface Dice counts voxels, not area: 5 mm off across thick slices is 0.37, within them 0.79.
#
# The surface Dice (NSD) of papers is the share of the surface, as an area, that lies within a tolerance of the other.
# One would guess that SurfaceDiceMetric is that where the spacing is given. What happens: by default
# (use_subvoxels=False) every voxel at the surface counts once, whatever area it has. In voxels of 1 x 1 x 5 mm a face
# of 1 x 1 mm counts as much as one of 1 x 5 mm, so what lies in the plane of the slices has 5 times too much weight:
# of a cube most of the voxels, and a third of the surface. The spacing is used for distances alone.
# Versions: monai 1.6.1, torch 2.13.0, numpy 2.4.6, scipy 1.17.1. Seen on 2026-12-01, a cube of 20 x 20 x 20 mm in
# voxels of 1 x 1 x 5 mm, moved by 5 mm, tolerance 2 mm:
#   moved along x: by default 0.79, with use_subvoxels 0.66
#   moved along z: by default 0.37, with use_subvoxels 0.66
# Source: the output above; use_subvoxels of monai.metrics.compute_surface_dice.
# What to do: use_subvoxels=True where voxels are not cubes, and say in the paper which of the two it was.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet monai==1.6.1 torch==2.13.0 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

warnings.simplefilter("ignore")
import torch
from monai.metrics import compute_surface_dice

SPACING_MM, TOLERANCE_MM = (1.0, 1.0, 5.0), 2.0
organ = torch.zeros(40, 40, 16)
organ[10:30, 10:30, 6:10] = 1


def surface_dice(predicted, *, use_subvoxels):
    """Return the surface Dice of a mask with the organ."""
    both = [torch.stack([mask == 0, mask == 1]).float()[None] for mask in (predicted, organ)]
    found = compute_surface_dice(
        *both, class_thresholds=[TOLERANCE_MM], spacing=SPACING_MM, use_subvoxels=use_subvoxels
    )
    return float(found)


found = {}
for name, num_voxels, axis in (("x", 5, 0), ("z", 1, 2)):
    moved = torch.roll(organ, num_voxels, axis)
    found[name] = [surface_dice(moved, use_subvoxels=how) for how in (False, True)]
    print("moved along {}: by default {:.2f}, with use_subvoxels {:.2f}".format(name, *found[name]))
sys.exit(not (found["x"][0] - found["z"][0] > 0.3 and abs(found["x"][1] - found["z"][1]) < 0.01))
PYTHON
