"""Points as 3D Slicer markups (`.mrk.json`), to be looked at beside a volume."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import write_json
from anatomical_embedding.volumes.affine import Points, lps_from_ras

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#"
)
"""The schema that Slicer looks for in the file."""


def write_markups(points_mm: ArrayLike, names: Sequence[str], path: Path | str) -> None:
    """Write points as a list of fiducials that 3D Slicer opens by drag and drop.

    Parameters
    ----------
    points_mm : (N, 3) world mm RAS+. The file holds LPS, Slicer's own default, and says so.
    names : N labels shown beside the points.
    path : file to write, ending in `.mrk.json`.

    Raises
    ------
    InputFileError
        if the name does not end in `.mrk.json`, by which Slicer knows the format, or a point is not finite.
    ValueError
        if there are not as many names as points.
    """
    if not str(path).endswith(".mrk.json"):
        raise InputFileError(path, "does not end in .mrk.json, by which 3D Slicer knows markups")
    points_lps = lps_from_ras(np.reshape(np.asarray(points_mm, dtype=np.float64), (-1, 3)))
    control_points = []
    for number, (name, point) in enumerate(zip(names, points_lps, strict=True), start=1):
        if not np.isfinite(point).all():
            raise InputFileError(
                path, f"point {name!r} is not finite; leave failed points out of the markups"
            )
        control_points.append(
            {"id": str(number), "label": name, "position": point.tolist(), "positionStatus": "defined"}
        )
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": control_points,
    }
    write_json(path, {"@schema": SCHEMA, "markups": [markup]})


def read_markups(path: Path | str) -> tuple[Points, list[str]]:
    """Return (N, 3) world mm RAS+ and N labels of the fiducials in a markups file, LPS or RAS as the file states.

    Raises
    ------
    InputFileError
        if the file is not a markups file with control points.
    """
    try:
        markup = json.loads(Path(path).read_text(encoding="utf-8"))["markups"][0]
        points = np.reshape([point["position"] for point in markup["controlPoints"]], (-1, 3))
        names = [str(point.get("label", "")) for point in markup["controlPoints"]]
        system = markup["coordinateSystem"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputFileError(path, f"is not a markups file with control points: {error!r}") from error
    if system not in {"LPS", "RAS"}:
        raise InputFileError(path, f"has the coordinate system {system!r}, expected LPS or RAS")
    return (lps_from_ras(points) if system == "LPS" else points.astype(np.float64)), names
