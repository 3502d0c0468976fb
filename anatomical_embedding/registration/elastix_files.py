"""A registration as files that elastix and transformix read.

They do not take the composite `forward.h5`: transformix refuses it, and itk-elastix's `SetTransform` drops the field in
silence (elastix 5.3.1). So each part is a parameter file that names the part to apply before it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK

from anatomical_embedding.files import written_atomically
from anatomical_embedding.registration.itk_transform import itk_image
from anatomical_embedding.volumes.volume import VolumeHeader, zeros_on


def write_elastix_files(
    transform: SimpleITK.CompositeTransform, grid: VolumeHeader, folder: Path, *, fill_value: float
) -> Path:
    """Write a map for `transformix -tp`, and return the parameter file to name there: the last one.

    Parameters
    ----------
    transform : of points of the grid's world to the other one, LPS mm; of affine maps and displacement fields.
    grid : of the images that transformix makes.
    folder : of the files; they name each other by their absolute paths, because transformix looks for names in the
        folder that it is started in.
    fill_value : value where the image does not reach.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = _image_parameters(grid) | {"DefaultPixelValue": fill_value}
    before = "NoInitialTransform"
    # ITK applies the last transform of a composite first.
    for number, place in enumerate(reversed(range(transform.GetNumberOfTransforms()))):
        path = folder / f"TransformParameters.{number}.txt"
        part = _part_parameters(
            transform.GetNthTransform(place).Downcast(), folder / f"field.{number}.nii.gz"
        )
        _write(part | {"InitialTransformParameterFileName": before} | images, path)
        before = str(path.resolve())
    return path


def _part_parameters(part: SimpleITK.Transform, field_path: Path) -> dict[str, Any]:
    """Return the parameters of an affine map or of a displacement field, which is written to a file of its own."""
    if isinstance(part, SimpleITK.DisplacementFieldTransform):
        with written_atomically(field_path) as temporary:
            field = SimpleITK.Cast(part.GetDisplacementField(), SimpleITK.sitkVectorFloat32)
            SimpleITK.WriteImage(field, str(temporary))
        return {
            "Transform": "DeformationFieldTransform",
            "NumberOfParameters": 0,
            "DeformationFieldFileName": str(field_path.resolve()),
            "DeformationFieldInterpolationOrder": 1,  # elastix takes the nearest vector by default
        }
    return {
        "Transform": "AffineTransform",
        "NumberOfParameters": 12,
        "TransformParameters": part.GetParameters(),
        "CenterOfRotationPoint": part.GetFixedParameters(),
    }


def _image_parameters(grid: VolumeHeader) -> dict[str, Any]:
    """Return what says which images are made, and how."""
    image = itk_image(zeros_on(grid))
    direction = np.array(image.GetDirection()).reshape(3, 3)
    return {
        "HowToCombineTransforms": "Compose",
        "FixedImageDimension": 3,
        "MovingImageDimension": 3,
        "FixedInternalImagePixelType": "float",
        "MovingInternalImagePixelType": "float",
        "UseDirectionCosines": "true",
        "Size": image.GetSize(),
        "Index": (0, 0, 0),
        "Spacing": image.GetSpacing(),
        "Origin": image.GetOrigin(),
        "Direction": tuple(direction.T.ravel().tolist()),  # elastix lists it column by column
        "Resampler": "DefaultResampler",
        "ResampleInterpolator": "FinalLinearInterpolator",
        "ResultImageFormat": "nii.gz",
        "ResultImagePixelType": "float",
        "CompressResultImage": "true",
    }


def _write(parameters: dict[str, Any], path: Path) -> None:
    lines = [f"({name} {_value(value)})" for name, value in parameters.items()]
    with written_atomically(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_value, value))
    return f'"{value}"' if isinstance(value, str) else f"{value:.17g}"
