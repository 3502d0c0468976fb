"""Points of grand-challenge.org (`"type": "Multiple points"` or `"Point"`), whose numbers mean what a challenge says.

The schema (github.com/comic/grand-challenge.org) gives each point three numbers and no unit: the longitudinal task of
autoPET IV counts voxels, other challenges take mm of ITK. So the user says which.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.points.named_points import (
    NUM_COORDINATES,
    Coordinates,
    GridOf,
    NamedPoints,
    is_position,
    world_points,
)

KINDS = ("Multiple points", "Point")


def challenge_content(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file of points of grand-challenge.org; None if it is something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return None
    return content if isinstance(content, dict) and content.get("type") in KINDS else None


def challenge_points(
    content: dict[str, Any], path: Path, *, coordinates: Coordinates, grid: GridOf | None
) -> NamedPoints:
    """Return the points in the content of a file; a point without a name is called by its place in the list.

    Parameters
    ----------
    content : from `challenge_content`.
    path : its file, for messages.
    coordinates : what the numbers are: LPS mm, or voxels of the scan along x, y and z.
    grid : gives the voxels of the scan; called where the numbers are voxels.

    Raises
    ------
    InputFileError
        if RAS is told, which no file of this kind holds, or naming the point that is not three numbers.
    UserError
        if the points are voxels, and of no scan.
    """
    if coordinates == "ras":
        raise InputFileError(
            path,
            "holds points of grand-challenge.org, which do not say what their numbers are; say --coordinates lps (mm) "
            "or voxel, as the challenge has it",
        )
    listed = content.get("points") if content["type"] == KINDS[0] else [content]
    names, numbers = [], []
    for place, entry in enumerate(listed if isinstance(listed, list) else [], start=1):
        point = entry.get("point") if isinstance(entry, dict) else None
        if not is_position(point):
            raise InputFileError(path, f"point {place}: expected three numbers, got {point!r}")
        names.append(str(entry.get("name") or place))
        numbers.append(point)
    points = np.reshape(np.array(numbers, dtype=np.float64), (-1, NUM_COORDINATES))
    return NamedPoints(world_points(points, coordinates=coordinates, grid=grid), tuple(names))
