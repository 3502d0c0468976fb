"""Lesions as the programs that segment them are prompted: clicks and boxes, counted in voxels.

Three forms of JSON are read. The tasks of autoPET IV list `points`, each with a name and a `point` of voxels x, y, z;
clicks that are called `background`, as in its interactive task, are no lesions. The files that this task was trained
with map `tumor` and `background` to lists of such voxels. LesionLocator maps an id to a `point` of voxels z, y, x, or
to a `box` z, z, y, y, x, x, each axis from the first voxel to the first behind the last; its numbers may be texts. All
count from 0 at the centre of the first voxel.

Sources: the baselines and example files of github.com/lab-midas/autoPETCTIV (Task1, Task2), and
documentation/prompting.md of github.com/MIC-DKFZ/LesionLocator.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.datasets.lesion_annotations import read_json_strictly
from anatomical_embedding.errors import InputFileError

NUM_AXES = 3
TUMOR, BACKGROUND = "tumor", "background"
"""What clicks are called that say what is a lesion, and what is none."""


@dataclass(frozen=True)
class Prompts:
    """Places of lesions.

    Attributes
    ----------
    names : as the file has them.
    points_vox : (N, 3) voxel coordinates along X, Y and Z of the scan's array; of a box its middle.
    remarks : what was made of the file, a sentence each.
    """

    names: tuple[str, ...]
    points_vox: NDArray[np.float64]
    remarks: tuple[str, ...]


def read_prompts(path: Path) -> Prompts | None:
    """Return the prompts in a JSON file; None if it is of another kind.

    Raises
    ------
    InputFileError
        naming the prompt that is not three or six numbers, or an empty box.
    """
    content = read_json_strictly(path)
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("points"), list):
        return _clicks(content["points"], path=path)
    if TUMOR in content and set(content) <= {TUMOR, BACKGROUND}:
        return _clicks(_listed_by_kind(content), path=path)
    prompts = list(content.values())
    if prompts and all(isinstance(each, dict) and {"point", "box"} & set(each) for each in prompts):
        return _points_and_boxes(content, path=path)
    return None


def _listed_by_kind(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return clicks that are listed by what they say, one after the other."""
    return [
        {"name": f"{TUMOR} {place}" if kind == TUMOR else kind, "point": point}
        for kind, points in content.items()
        for place, point in enumerate(points if isinstance(points, list) else [points], start=1)
    ]


def _clicks(listed: list[Any], *, path: Path) -> Prompts:
    names, points = [], []
    for place, entry in enumerate(listed, start=1):
        if not isinstance(entry, dict) or "point" not in entry:
            raise InputFileError(path, f"click {place}: expected an object with a point, got {entry!r}")
        name = str(entry.get("name") or place)
        point = _numbers(entry["point"], count=NUM_AXES, what=f"click {name!r}", path=path)
        if name.strip().lower() != BACKGROUND:
            names.append(name)
            points.append(point)
    said = [f"{path}: its clicks are taken as voxels x, y, z, as in the tasks of autoPET IV"]
    if len(names) < len(listed):
        said.append(f"{path}: left out the clicks called {BACKGROUND!r}: {len(listed) - len(names)}")
    return Prompts(tuple(names), np.reshape(np.array(points), (-1, NUM_AXES)), tuple(said))


def _points_and_boxes(content: dict[str, Any], *, path: Path) -> Prompts:
    points, num_boxes = [], 0
    for name, entry in content.items():
        if "box" in entry:
            num_boxes += 1
            zyx = _middle_of_box(entry["box"], name=name, path=path)
        else:
            zyx = _numbers(entry["point"], count=NUM_AXES, what=f"prompt {name!r}", path=path)
        points.append(zyx[::-1])
    said = [f"{path}: its prompts are taken as voxels z, y, x, as LesionLocator writes them"]
    if num_boxes:
        said.append(f"{path}: took the middle of {num_boxes} boxes; a box is not a mask")
    return Prompts(tuple(content), np.array(points), tuple(said))


def _middle_of_box(box: Any, *, name: str, path: Path) -> list[float]:
    numbers = _numbers(box, count=2 * NUM_AXES, what=f"box {name!r}", path=path)
    first, behind = numbers[0::2], numbers[1::2]
    if any(low >= high for low, high in zip(first, behind, strict=True)):
        raise InputFileError(
            path,
            f"box {name!r}: {numbers} holds no voxel; expected z, z, y, y, x, x, each from first to behind last",
        )
    return [(low + high - 1.0) / 2.0 for low, high in zip(first, behind, strict=True)]


def _numbers(value: Any, *, count: int, what: str, path: Path) -> list[float]:
    """Return finite numbers, which may be written as texts."""
    try:
        numbers = [float(number) for number in value] if isinstance(value, list) else []
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise InputFileError(path, f"{what}: expected {count} numbers, got {value!r}")
    return numbers
