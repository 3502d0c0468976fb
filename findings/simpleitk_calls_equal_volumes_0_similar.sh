#!/usr/bin/env bash
# SimpleITK's volume similarity is 0 for equal volumes, has a sign, and the sign turns with the order of the two masks.
#
# One would guess that a similarity is 1 for equal volumes and falls to 0, as volume similarity is in the papers on
# metrics (Taha and Hanbury 2015: 1 - |difference of volumes| / sum of volumes), and that it is symmetric, as Dice is.
# What happens: GetVolumeSimilarity is 2 * (first - second) / (first + second), from -2 to 2, where 0 is the best. Means
# over patients cancel, and "the higher the better" prefers the mask that is too large, or too small, by which mask came
# first. SimpleITK's own notebook had the order wrong, and seg-metrics has taken this measure over.
# Versions: SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-12-01, a cube and half of it: by SimpleITK, by the paper
#   cube, cube: 0, 1
#   half, cube: -0.667, 0.667
#   cube, half: 0.667, 0.667
# Source: the output above; https://github.com/InsightSoftwareConsortium/SimpleITK-Notebooks/issues/344 and
# https://github.com/Jingnan-Jia/segmentation_metrics/issues/30 on the sign.
# What to do: call it a relative difference of volumes, give the order, and take 1 - abs(value) / 2 for the similarity.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK

masks = {name: np.zeros((20, 20, 20), np.uint8) for name in ("cube", "half")}
masks["cube"][5:15, 5:15, 5:15] = 1
masks["half"][5:15, 5:15, 5:10] = 1
seen = []
for first, second in (("cube", "cube"), ("half", "cube"), ("cube", "half")):
    measures = SimpleITK.LabelOverlapMeasuresImageFilter()
    measures.Execute(SimpleITK.GetImageFromArray(masks[first]), SimpleITK.GetImageFromArray(masks[second]))
    volumes = int(masks[first].sum()), int(masks[second].sum())
    of_the_paper = 1 - abs(volumes[0] - volumes[1]) / sum(volumes)
    seen.append((measures.GetVolumeSimilarity(), of_the_paper))
    print(f"{first}, {second}: {seen[-1][0]:.3g}, {of_the_paper:.3g}")
sys.exit(not np.allclose(seen, [(0, 1), (-2 / 3, 2 / 3), (2 / 3, 2 / 3)]))
PYTHON
