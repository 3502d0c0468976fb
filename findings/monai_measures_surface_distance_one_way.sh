#!/usr/bin/env bash
# MONAI's SurfaceDistanceMetric looks from the prediction to the truth alone: a third of an organ is 0.06 mm off.
#
# The mean surface distance of papers averages both ways, from the surface of either to the other (ASSD, or the mean of
# the two). One would guess that SurfaceDistanceMetric, which stands beside HausdorffDistanceMetric, does the same, as
# HausdorffDistanceMetric looks both ways unless `directed` is asked for. What happens: `symmetric` is False by default,
# and then only the way from the prediction counts. What the prediction leaves out costs nothing, and what it adds costs
# all; exchanging the two masks gives another figure.
# Versions: monai 1.6.1, torch 2.13.0, numpy 2.4.6, scipy 1.17.1. Seen on 2026-12-01, an organ of 5 x 5 x 10 mm and a
# prediction that is one half of it, then of 5 x 5 x 30 mm and a third of it:
#   half:  by default 0.10, masks exchanged 1.60, symmetric 1.07 mm; Hausdorff by default 5.0, exchanged 5.0 mm
#   third: by default 0.06, masks exchanged 7.11, symmetric 5.25 mm; Hausdorff by default 20.0, exchanged 20.0 mm
# Source: the output above; the default of monai.metrics.SurfaceDistanceMetric.
# What to do: pass symmetric=True, or take both ways and average them.
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
from monai.metrics import HausdorffDistanceMetric, SurfaceDistanceMetric


def box(length):
    """Return a mask of 5 x 5 voxels and a length, of 1 mm."""
    mask = torch.zeros(1, 1, 20, 20, 50)
    mask[..., 5:10, 5:10, 5 : 5 + length] = 1
    return mask


seen = {}
for name, length, whole in (("half", 5, 10), ("third", 10, 30)):
    predicted, truth = box(length), box(whole)
    plain = SurfaceDistanceMetric(include_background=True)
    both = SurfaceDistanceMetric(include_background=True, symmetric=True)
    farthest = HausdorffDistanceMetric(include_background=True)
    figures = [
        float(metric(y_pred=one, y=other))
        for metric, one, other in (
            (plain, predicted, truth),
            (plain, truth, predicted),
            (both, predicted, truth),
            (farthest, predicted, truth),
            (farthest, truth, predicted),
        )
    ]
    seen[name] = figures
    print(
        "{}: by default {:.2f}, masks exchanged {:.2f}, symmetric {:.2f} mm; "
        "Hausdorff by default {:.1f}, exchanged {:.1f} mm".format(name, *figures)
    )
is_one_way = all(default < 0.2 and exchanged > 1 for default, exchanged, *_ in seen.values())
sys.exit(int(not is_one_way))
PYTHON
