#!/usr/bin/env bash
# transformix rounds the indices of points to whole voxels, and takes millimetres for indices where one word is missing.
#
# One would guess that a point file that begins with `index` may hold fractions of voxels, as one that begins with
# `point` may hold fractions of millimetres, and that a file without either word is refused or taken as millimetres.
# What happens: indices are rounded, half a voxel upwards, before anything else, so that a landmark on slices of 3 mm
# moves by up to 1.5 mm while the transform is exact; `InputIndex` in the result shows it, no message does. Without the
# word the numbers are indices: a list in mm lands elsewhere, in the image or not, again without a message.
# Versions: itk-elastix 0.25.4 (elastix 5.3.1), itk 5.4.7, numpy 2.4.6. Seen on 2026-11-30, the point
# (11.4, 20.3, 38.5) mm, whose index is (10.7, 10.2, 10.5), by an identity:
#   point 11.4 20.3 38.5: 11.4 20.3 38.5
#   index 10.7 10.2 10.5: 12.0 20.0 40.0
#   no word, 11.4 20.3 38.5: 12.0 35.0 124.0
# Source: the output above.
# What to do: give `point` and millimetres (LPS). Look at the first line of lists that other scripts wrote.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet itk-elastix==0.25.4 itk==5.4.7 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import re
import sys
from pathlib import Path

import itk
import numpy as np

itk.ElastixRegistrationMethod  # loads the module
folder = Path(sys.argv[1])
image = itk.image_from_array(np.zeros((50, 24, 28), np.float32))
image.SetSpacing([2.0, 1.5, 3.0])
image.SetOrigin([-10.0, 5.0, 7.0])
parameters = itk.ParameterObject.New()
parameters.AddParameterMap(
    {
        "Transform": ("TranslationTransform",), "NumberOfParameters": ("3",), "TransformParameters": ("0",) * 3,
        "InitialTransformParametersFileName": ("NoInitialTransform",), "HowToCombineTransforms": ("Compose",),
        "FixedImageDimension": ("3",), "MovingImageDimension": ("3",), "FixedInternalImagePixelType": ("float",),
        "MovingInternalImagePixelType": ("float",), "Size": ("28", "24", "50"), "Index": ("0",) * 3,
        "Spacing": ("2", "1.5", "3"), "Origin": ("-10", "5", "7"), "Direction": tuple("100010001"),
        "UseDirectionCosines": ("true",), "ResampleInterpolator": ("FinalLinearInterpolator",),
        "Resampler": ("DefaultResampler",), "DefaultPixelValue": ("0",), "ResultImageFormat": ("mha",),
        "ResultImagePixelType": ("float",), "CompressResultImage": ("false",),
    }
)  # fmt: skip
seen = []
for word, numbers in (("point", "11.4 20.3 38.5"), ("index", "10.7 10.2 10.5"), ("", "11.4 20.3 38.5")):
    (folder / "points.txt").write_text(f"{word}\n1\n{numbers}\n".lstrip())
    itk.transformix_pointset(
        image, parameters, fixed_point_set_file_name=str(folder / "points.txt"), output_directory=str(folder)
    )
    result = (folder / "outputpoints.txt").read_text()
    seen.append([float(number) for number in re.search(r"OutputPoint = \[ ([^]]*) \]", result)[1].split()])
    print(f"{word or 'no word,'} {numbers}: {' '.join(f'{number:.1f}' for number in seen[-1])}")
sys.exit(not np.allclose(seen, [[11.4, 20.3, 38.5], [12.0, 20.0, 40.0], [12.0, 35.0, 124.0]], atol=1e-4))
PYTHON
