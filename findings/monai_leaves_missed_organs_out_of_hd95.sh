#!/usr/bin/env bash
# MONAI's 95th percentile Hausdorff distance leaves missed organs out of its mean; the plain one is infinite for them.
#
# The distance to an empty mask is not defined, and HausdorffDistanceMetric gives infinity for it, so that the mean over
# patients is infinite too and nobody overlooks a missed organ. One would guess that percentile=95, which published
# figures use, does the same. What happens: the percentile of distances that are all infinite is NaN, and `aggregate`
# averages what is not NaN. A model that misses four organs of five is told the distance of the fifth. A warning says that
# a prediction is all 0, none that it is left out; how many count is given with get_not_nans=True alone. DiceMetric counts the four as 0, so the two
# figures of one run are of different patients.
# Versions: monai 1.6.1, torch 2.13.0, numpy 2.4.6, scipy 1.17.1. Seen on 2026-12-01, five patients of whom four have an
# empty prediction and one is off by a voxel of 1 mm:
#   Hausdorff: inf inf inf inf 1.00, aggregated inf of 5
#   percentile 95: nan nan nan nan 1.00, aggregated 1.00 of 1
#   surface distance: inf inf inf inf 0.35, aggregated inf of 5
#   Dice: 0.00 0.00 0.00 0.00 0.80, aggregated 0.16 of 5
# Source: the output above.
# What to do: ask for get_not_nans=True and report the number, or set a distance for missed organs beforehand.
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
from monai.metrics import DiceMetric, HausdorffDistanceMetric, SurfaceDistanceMetric

truth = torch.zeros(5, 1, 20, 20, 20)
truth[..., 5:10, 5:10, 5:10] = 1
predicted = torch.zeros_like(truth)
predicted[4] = truth[4].roll(1, dims=-1)
options = {"include_background": True, "get_not_nans": True}
metrics = {
    "Hausdorff": HausdorffDistanceMetric(**options),
    "percentile 95": HausdorffDistanceMetric(percentile=95, **options),
    "surface distance": SurfaceDistanceMetric(symmetric=True, **options),
    "Dice": DiceMetric(**options),
}
means = {}
for name, metric in metrics.items():
    each = metric(y_pred=predicted, y=truth).flatten().tolist()
    means[name] = [float(value) for value in metric.aggregate()]
    values = " ".join(f"{value:.2f}" for value in each)
    print("{}: {}, aggregated {:.2f} of {:.0f}".format(name, values, *means[name]))
is_left_out = means["percentile 95"] == [1.0, 1.0] and means["Hausdorff"] == [float("inf"), 5.0]
sys.exit(int(not is_left_out))
PYTHON
