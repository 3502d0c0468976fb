#!/usr/bin/env bash
# SimpleITK's median of a label comes from a histogram of the whole image: one bright voxel elsewhere moves it by 62 HU.
#
# One would guess that GetMedian(label) of LabelIntensityStatisticsImageFilter is the median of the voxels of the
# label, as GetMean(label) is their mean. What happens: it is the middle of a bin of a histogram of 128 bins, which run
# from the lowest to the highest value of the whole image. In a CT of -1000 to 300 HU a bin is 10 HU wide. One voxel of
# metal, in another label or in none, makes it 240 HU wide, and the median of every other label moves to the middle of
# a bin. LabelStatisticsImageFilter is off by another histogram. Mean, minimum and maximum are right.
# Versions: SimpleITK 2.5.7, numpy 2.4.6. Seen on 2026-12-01, lung (normal, -850 and 30 HU) and liver (60 and 20 HU):
#   liver: median 60.0 HU; by LabelIntensityStatistics 56.1, by LabelStatistics 58.2
#   with a voxel of 30000 HU in the lung: median 60.0 HU; by LabelIntensityStatistics 122.6, by LabelStatistics 62.2
# Source: the output above; NumberOfBins of the filters (128 by default, SetNumberOfBins of the first alone).
# What to do: numpy.median of the voxels of the label; or clip the image to the range of interest first, and set bins.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet SimpleITK==2.5.7 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK

LUNG, LIVER = 1, 2
draws = np.random.default_rng(0)
ct = draws.normal(-850, 30, (20, 20, 20)).astype(np.int16)
ct[10:] = draws.normal(60, 20, (10, 20, 20))
labels = np.full(ct.shape, LUNG, np.uint8)
labels[10:] = LIVER


def medians(values):
    """Return the median of the liver by numpy and by two filters."""
    image, regions = SimpleITK.GetImageFromArray(values), SimpleITK.GetImageFromArray(labels)
    intensities = SimpleITK.LabelIntensityStatisticsImageFilter()
    intensities.Execute(regions, image)
    statistics = SimpleITK.LabelStatisticsImageFilter()
    statistics.Execute(image, regions)
    return np.median(values[labels == LIVER]), intensities.GetMedian(LIVER), statistics.GetMedian(LIVER)


def line(found):
    return "median {:.1f} HU; by LabelIntensityStatistics {:.1f}, by LabelStatistics {:.1f}".format(*found)


as_it_is = medians(ct)
ct[0, 0, 0] = 30000
with_metal = medians(ct)
print("liver:", line(as_it_is))
print("with a voxel of 30000 HU in the lung:", line(with_metal))
sys.exit(not (with_metal[0] == as_it_is[0] and abs(with_metal[1] - with_metal[0]) > 50))
PYTHON
