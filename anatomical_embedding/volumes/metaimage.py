"""Headers of MetaImage files (`.mha`, `.mhd`); format: https://itk.org/Wiki/MetaIO/Documentation."""

from pathlib import Path

import numpy as np

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.affine import LPS_SIGNS
from anatomical_embedding.volumes.text_header import (
    Encoding,
    TextHeader,
    numbered_names,
    numbers_of,
    read_text,
    sibling_files,
    sizes_of,
    unit_of,
    world_affine,
)

TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
TRUE = {"true", "t", "1"}
LAST_FIELD = "elementdatafile"
LARGEST_LENGTH_ERROR = 1e-3
"""Of a direction, which is a unit vector."""
NUM_SPATIAL = 3


class _Fields(dict[str, str]):
    """Fields of a header by their names in small letters, in the order of the file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.end = 0
        self.lines: list[str] = []

    def first(self, *names: str) -> tuple[str, str]:
        """Return name and value of the first of some fields that is there; empty where none is."""
        return next(((name, self[name.lower()]) for name in names if name.lower() in self), ("", ""))

    def flag(self, *names: str) -> bool:
        """Return whether a field is there and true."""
        return self.first(*names)[1].lower() in TRUE


def read_metaimage_header(path: Path) -> TextHeader:
    """Return what the header of a MetaImage file says.

    `AnatomicalOrientation` is not looked at, as ITK and 3D Slicer do: the world is LPS.

    Raises
    ------
    InputFileError
        naming what is missing or contradicts itself: no spacing, directions that are no unit vectors, several channels,
        an unknown type, voxels that are not there.
    """
    fields = _fields(path)
    channels = fields.get("elementnumberofchannels", "1")
    if channels != "1":
        raise InputFileError(path, f"has {channels} channels, expected one plain number a voxel")
    shape = sizes_of(fields.get("dimsize", ""), name="DimSize", path=path)
    if len(shape) < NUM_SPATIAL:
        raise InputFileError(path, f"has shape {shape}, expected 3 axes; a single slice is not a volume")
    affine, remarks = _affine(fields, num_axes=len(shape))
    word = fields.first("ElementType")[1]
    if word.upper() not in TYPES:
        raise InputFileError(
            path, f"has voxels of type {word or 'unknown'}, expected one plain number a voxel"
        )
    order = ">" if fields.flag("BinaryDataByteOrderMSB", "ElementByteOrderMSB") else "<"
    encoding: Encoding = "deflate" if fields.flag("CompressedData") else "raw"
    if not fields.flag("BinaryData"):
        encoding = "text"
    slope, intercept = (
        numbers_of(fields.get(name.lower(), default), 1, name=name, path=path)[0]
        for name, default in (
            ("ElementToIntensityFunctionSlope", "1"),
            ("ElementToIntensityFunctionOffset", "0"),
        )
    )
    if slope == 0:
        raise InputFileError(path, "has a slope of 0, so its values are lost; export it again")
    if (slope, intercept) != (1.0, 0.0):
        remarks.append(
            f"its values are {slope:g} times those stored, plus {intercept:g}, by its header; ITK programs take "
            "them as stored"
        )
    names, first_byte = _where(fields)
    return TextHeader(
        path=path,
        kind="MetaImage",
        shape=shape,
        affine=affine,
        spatial_axes=(0, 1, 2),
        data_type=np.dtype(f"{order}{TYPES[word.upper()]}"),
        encoding=encoding,
        files=sibling_files(names, path=path) if names else (path,),
        first_byte=first_byte,
        slope=slope,
        intercept=intercept,
        remarks=tuple(remarks),
    )


def _fields(path: Path) -> _Fields:
    content = read_text(path, "MetaImage")
    fields = _Fields(path)
    place = 0
    while place < len(content):
        stop = content.find(b"\n", place)
        stop = len(content) if stop < 0 else stop
        name, mark, value = content[place:stop].decode("latin-1").partition("=")
        place = stop + 1
        if not mark and name.strip():
            raise InputFileError(
                path, "is not a MetaImage file, its header is not made of lines such as NDims = 3"
            )
        fields[name.strip().lower()] = value.strip()
        if LAST_FIELD in fields:
            fields.end = place
            fields.lines = (
                content[place:].decode("latin-1").split("\n") if value.split()[:1] == ["LIST"] else []
            )
            break
    if LAST_FIELD not in fields or fields.get("objecttype", "Image").lower() != "image":
        raise InputFileError(path, "is not a MetaImage file of an image; export it again")
    return fields


def _affine(fields: _Fields, *, num_axes: int) -> tuple[np.ndarray, list[str]]:
    """Return the (4, 4) affine, voxel to world mm RAS+, and what is to be said of it."""
    path, remarks = fields.path, []
    name, text = fields.first("ElementSpacing", "ElementSize")
    if not name:
        raise InputFileError(path, "does not say its spacing (ElementSpacing); export it again")
    spacing = np.array(numbers_of(text, num_axes, name=name, path=path)[:NUM_SPATIAL])
    if spacing.min() <= 0:
        raise InputFileError(path, f"has the spacing {text}, expected positive numbers; export it again")
    name, text = fields.first("TransformMatrix", "Orientation", "Rotation")
    directions = np.eye(num_axes)
    if name:
        directions = np.reshape(numbers_of(text, num_axes**2, name=name, path=path), (num_axes, num_axes))
    else:
        remarks.append("it gives no directions (TransformMatrix), its axes are taken as those of LPS")
    directions = directions[:NUM_SPATIAL, :NUM_SPATIAL]
    if np.abs(np.linalg.norm(directions, axis=1) - 1.0).max() > LARGEST_LENGTH_ERROR:
        raise InputFileError(path, f"has {text!r} for {name}, expected three unit vectors; export it again")
    name, text = fields.first("Offset", "Position", "Origin")
    origin = np.zeros(num_axes)
    if name:
        origin = np.array(numbers_of(text, num_axes, name=name, path=path))
    else:
        remarks.append("it gives no origin (Offset), taken as 0, 0, 0")
    mm_per_unit, unit_remarks = unit_of(_distance_unit(fields))
    steps = directions * spacing[:, np.newaxis] * mm_per_unit
    place = (origin[:NUM_SPATIAL] * mm_per_unit).tolist()
    return world_affine(steps, place, to_ras=LPS_SIGNS, path=path), [*remarks, *unit_remarks]


def _distance_unit(fields: _Fields) -> str:
    stated = fields.get("distanceunits", "mm").strip('"')
    return "mm" if stated in {"", "?"} else stated


def _where(fields: _Fields) -> tuple[list[str], int]:
    """Return the names of the files of the voxels, none for the header's own, and their first byte."""
    stated = fields[LAST_FIELD]
    words = stated.split()
    skipped = int(numbers_of(fields.get("headersize", "0"), 1, name="HeaderSize", path=fields.path)[0])
    if stated.upper() == "LOCAL":
        return [], fields.end
    if not words:
        raise InputFileError(fields.path, "names no file for its voxels; export it again")
    if words[0] == "LIST":
        return [line.strip() for line in fields.lines if line.strip()], skipped
    if "%" in words[0]:
        return numbered_names(words[0], [*words[1:], "1"], path=fields.path), skipped
    return [stated], skipped
