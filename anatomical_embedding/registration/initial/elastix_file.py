"""Parameter files of elastix: fixed to moving, LPS mm, each after the one that it names as its initial transform."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.registration.itk_transform import RAS_TO_LPS, ras_matrix
from anatomical_embedding.volumes.grid import Grid

BEFORE = ("InitialTransformParameterFileName", "InitialTransformParametersFileName")
"""The name of the key, as elastix writes it since 5.1 and before."""
NOTHING_BEFORE = "NoInitialTransform"
AFFINE_NUMBERS = 12
MOST_FILES = 20
SAME_DIRECTION = 1e-3


def read_elastix_matrix(path: Path, *, grids: Iterable[Grid]) -> NDArray[np.float64]:
    """Return the (4, 4) map, RAS+ mm, of a parameter file and those that it builds on.

    Parameters
    ----------
    grids : of the two scans. elastix may have been told to leave out the directions of their axes
        (`UseDirectionCosines`); then its world is theirs only if these are the axes of LPS.

    Raises
    ------
    InputFileError
        if one of them cannot be read, is missing, does not compose, or holds a map that is not affine or of another
        world.
    """
    are_straight = all(
        np.allclose(
            RAS_TO_LPS[:3, :3] @ grid.affine[:3, :3] / grid.spacing_mm, np.eye(3), atol=SAME_DIRECTION
        )
        for grid in grids
    )
    matrix = np.eye(4)
    current: Path | None = path
    for _ in range(MOST_FILES):
        if current is None:
            return matrix
        parameters = _read_parameters(current)
        if (_word(parameters, "UseDirectionCosines") or "").lower() == "false" and not are_straight:
            raise InputFileError(
                current,
                "leaves out how the axes of the scans lie (UseDirectionCosines false), and they are not those of LPS: "
                "its millimetres are not those of the scans; register again with true",
            )
        matrix = matrix @ ras_matrix(_part(parameters, current))
        current = _before(parameters, current)
    raise InputFileError(
        path, f"builds on more than {MOST_FILES} files; they may name each other in a circle"
    )


def _read_parameters(path: Path) -> dict[str, list[Any]]:
    """Return the values of each key."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".toml":
            parsed = tomllib.loads(text)
            return {key: value if isinstance(value, list) else [value] for key, value in parsed.items()}
    except (OSError, ValueError) as error:
        raise InputFileError(path, f"cannot be read as parameters of elastix ({error})") from error
    lines = re.findall(r"^\s*\((\w+)\s+(.*?)\)\s*(?://.*)?$", text, re.MULTILINE)
    return {key: re.findall(r'"[^"]*"|\S+', values) for key, values in lines}


def _part(parameters: dict[str, list[Any]], path: Path) -> SimpleITK.Transform:
    """Return the transform of one file."""
    kind = _word(parameters, "Transform")
    if kind is None:
        raise InputFileError(path, "states no (Transform ...); expected TransformParameters of elastix")
    maker = {
        "TranslationTransform": _translation,
        "EulerTransform": _euler,
        "SimilarityTransform": _similarity,
        "AffineTransform": _affine,
    }.get(kind)
    if maker is None:
        raise InputFileError(
            path,
            f"holds a {kind}; expected a TranslationTransform, EulerTransform, SimilarityTransform or AffineTransform",
        )
    if _word(parameters, "FixedImageDimension") not in (None, "3"):
        raise InputFileError(path, f"is of {_word(parameters, 'FixedImageDimension')} dimensions, expected 3")
    try:
        return maker(parameters)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputFileError(path, f"has too few or other numbers than a {kind} has ({error})") from error


def _before(parameters: dict[str, list[Any]], path: Path) -> Path | None:
    """Return the file to apply first, which lies where it is named or beside this one; None for none."""
    named = next((word for key in BEFORE if (word := _word(parameters, key)) is not None), NOTHING_BEFORE)
    if named == NOTHING_BEFORE:
        return None
    if _word(parameters, "HowToCombineTransforms") == "Add":
        raise InputFileError(path, "adds its initial transform (HowToCombineTransforms), expected Compose")
    for place in (Path(named), path.parent / Path(named).name):
        if place.is_file():
            return place
    raise InputFileError(path, f"builds on {named}, which is not there nor beside it")


def _word(parameters: dict[str, list[Any]], key: str) -> str | None:
    """Return the first value of a key as text without quotes, None where there is none."""
    values = parameters.get(key)
    return str(values[0]).strip('"') if values else None


def _numbers(parameters: dict[str, list[Any]], key: str, count: int) -> list[float]:
    """Return the numbers of a key, or raise a `ValueError`."""
    found = [float(value) for value in parameters[key]]
    if len(found) != count:
        raise ValueError(f"{len(found)} {key}, expected {count}")
    return found


def _centre(parameters: dict[str, list[Any]]) -> list[float]:
    return _numbers(parameters, "CenterOfRotationPoint", 3)


def _translation(parameters: dict[str, list[Any]]) -> SimpleITK.Transform:
    return SimpleITK.TranslationTransform(3, _numbers(parameters, "TransformParameters", 3))


def _euler(parameters: dict[str, list[Any]]) -> SimpleITK.Transform:
    transform = SimpleITK.Euler3DTransform()
    transform.SetCenter(_centre(parameters))
    transform.SetComputeZYX(_word(parameters, "ComputeZYX") == "true")
    transform.SetParameters(_numbers(parameters, "TransformParameters", 6))
    return transform


def _similarity(parameters: dict[str, list[Any]]) -> SimpleITK.Transform:
    transform = SimpleITK.Similarity3DTransform()
    transform.SetCenter(_centre(parameters))
    transform.SetParameters(_numbers(parameters, "TransformParameters", 7))
    return transform


def _affine(parameters: dict[str, list[Any]]) -> SimpleITK.Transform:
    transform = SimpleITK.AffineTransform(3)
    transform.SetCenter(_centre(parameters))
    transform.SetParameters(_numbers(parameters, "TransformParameters", AFFINE_NUMBERS))
    return transform
