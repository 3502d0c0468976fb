"""Point sets of MITK (`.mps`): XML of points in the coordinates of a geometry, which leads to LPS mm.

Source: the reader and writer of github.com/MITK/MITK (mitkPointSetReaderService, mitkGeometry3DToXML), and the page on
geometries of docs.mitk.org: the world is that of ITK, in mm. A file without a geometry holds world coordinates.
"""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.points.named_points import NamedPoints, finite_numbers
from anatomical_embedding.volumes.affine import lps_from_ras

MITK_SUFFIX = ".mps"
AXES = ("x", "y", "z")


def read_mitk_points(path: Path) -> NamedPoints:
    """Return the points of all sets in an `.mps` file; a point is called by its id.

    Raises
    ------
    InputFileError
        if the file is no point set, holds points of several times, or naming the point or geometry whose numbers are
        none.
    """
    root = _parsed(path)
    points: list[NDArray[np.float64]] = []
    names: list[str] = []
    times = set()
    for series in (
        part for found in root.iter("point_set") for part in (found.findall("time_series") or [found])
    ):
        matrix = _matrix(series.find("Geometry3D"), path=path)
        for point in series.findall("point"):
            names.append((point.findtext("id") or str(len(names))).strip())
            texts = {axis: point.findtext(axis) for axis in AXES}
            point_lps = _numbers(texts, AXES, what=f"the point {names[-1]!r}", path=path)
            points.append(matrix[:3, :3] @ point_lps + matrix[:3, 3])
            times.add((series.findtext("time_series_id") or "0").strip())
    if len(times) > 1:
        raise InputFileError(path, f"holds points of {len(times)} times; save those of one scan")
    return NamedPoints(lps_from_ras(np.reshape(points, (-1, 3))), tuple(names))


def _parsed(path: Path) -> ElementTree.Element:
    content = path.read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:  # a few lines of these can stand for gigabytes
        raise InputFileError(path, "declares a document type, which no point set of MITK does")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314, without declarations
    except ElementTree.ParseError as error:
        raise InputFileError(path, f"is not XML ({error})") from error
    if root.tag != "point_set_file":
        raise InputFileError(path, f"is XML of <{root.tag}>, expected the <point_set_file> of MITK")
    return root


def _matrix(geometry: ElementTree.Element | None, *, path: Path) -> NDArray[np.float64]:
    """Return the (4, 4) map from the coordinates of a geometry to LPS mm."""
    matrix = np.eye(4)
    if geometry is None:
        return matrix
    keys = [f"m_{row}_{column}" for row in range(3) for column in range(3)]
    for name, names, part in (("IndexToWorld", keys, np.s_[:3, :3]), ("Offset", AXES, np.s_[:3, 3])):
        element = geometry.find(name)
        texts = {} if element is None else dict(element.attrib)
        matrix[part] = np.reshape(_numbers(texts, names, what=f"its {name}", path=path), matrix[part].shape)
    return matrix


def _numbers(
    texts: dict[str, str | None] | dict[str, str], keys: tuple[str, ...] | list[str], *, what: str, path: Path
) -> NDArray[np.float64]:
    numbers = finite_numbers(texts.get(key) or "" for key in keys)
    if not numbers:
        raise InputFileError(path, f"{what}: expected finite numbers {', '.join(keys)}")
    return np.array(numbers)
