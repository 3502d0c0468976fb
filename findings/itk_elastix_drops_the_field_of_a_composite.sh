#!/usr/bin/env bash
# itk-elastix resamples by the affine part of a composite alone: TransformixFilter.SetTransform leaves out the field.
#
# One would guess that TransformixFilter, given any itk::Transform by SetTransform, resamples by it: the method takes a
# composite of an affine map and a displacement field without a word, and the image that comes out has moved.
# What happens: SetTransform turns the transform into parameters of elastix, which know no displacement field; what it
# cannot turn is left out. The result is that of the affine map: nearly right, without a message. SetExternalTransform,
# whose name promises less, applies the whole transform. (As a parameter file transformix refuses a composite.)
# Versions: itk-elastix 0.25.4, itk 5.4.7, numpy 2.4.6. Seen on 2026-11-30, the middle of a blob at (14, 12, 10) after a
# shift by 3 along x and a field of 2 along y:
#   ITK: 11.00 10.00 9.99
#   TransformixFilter, SetTransform: 11.00 12.00 9.99
#   TransformixFilter, SetExternalTransform: 11.00 10.00 9.99
# Source: the output above.
# What to do: SetExternalTransform, or write parameter files (a DeformationFieldTransform with
# DeformationFieldInterpolationOrder 1, and the affine map as its initial transform).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet itk-elastix==0.25.4 itk==5.4.7 numpy==2.4.6
"$folder/venv/bin/python" <<'PYTHON'
import sys

import itk
import numpy as np

itk.ElastixRegistrationMethod  # loads the module
SIZE = (28, 24, 20)
places = np.indices(SIZE[::-1])
z, y, x = places
image = itk.image_from_array(np.exp(-((x - 14) ** 2 + (y - 12) ** 2 + (z - 10) ** 2) / 18).astype(np.float32))


def middle(found):
    values = itk.array_view_from_image(found)
    return ((places * values).sum(axis=(1, 2, 3)) / values.sum())[::-1]


shift = itk.TranslationTransform[itk.D, 3].New()
shift.SetOffset([3.0, 0.0, 0.0])
vector = itk.Vector[itk.D, 3]()
for axis, value in enumerate((0.0, 2.0, 0.0)):
    vector.SetElement(axis, value)
field = itk.Image[itk.Vector[itk.D, 3], 3].New()
field.SetRegions(SIZE)
field.Allocate()
field.FillBuffer(vector)
warp = itk.DisplacementFieldTransform[itk.D, 3].New()
warp.SetDisplacementField(field)
composite = itk.CompositeTransform[itk.D, 3].New()
composite.AddTransform(shift)
composite.AddTransform(warp)
grid = {
    "Size": [str(size) for size in SIZE], "Index": "000", "Spacing": "111", "Origin": "000", "Direction": "100010001",
    "FixedImageDimension": "3", "MovingImageDimension": "3", "ResampleInterpolator": ["FinalLinearInterpolator"],
    "DefaultPixelValue": "0", "ResultImagePixelType": ["float"],
}  # fmt: skip
seen = [middle(itk.resample_image_filter(image, transform=composite, use_reference_image=True, reference_image=image))]
for method in ("SetTransform", "SetExternalTransform"):
    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap({key: tuple(value) for key, value in grid.items()})
    transformix = itk.TransformixFilter[type(image)].New()
    transformix.SetMovingImage(image)
    transformix.SetTransformParameterObject(parameters)
    getattr(transformix, method)(composite)
    transformix.UpdateLargestPossibleRegion()
    seen.append(middle(transformix.GetOutput()))
names = ("ITK", "TransformixFilter, SetTransform", "TransformixFilter, SetExternalTransform")
for name, found in zip(names, seen, strict=True):
    print(f"{name}: {' '.join(f'{value:.2f}' for value in found)}")
by_itk, by_set, by_external = seen
is_as_told = np.abs(by_external - by_itk).max() < 0.01 and np.abs(by_set - by_itk - [0.0, 2.0, 0.0]).max() < 0.01
sys.exit(not is_as_told)
PYTHON
