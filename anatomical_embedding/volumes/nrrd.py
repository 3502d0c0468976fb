"""Headers of NRRD files (`.nrrd`, `.nhdr`); format: https://teem.sourceforge.net/nrrd/format.html."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.text_header import (
    FROM_THE_END,
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

MAGIC = re.compile(rb"NRRD000[1-5]\r?\n")
LINE = re.compile(r"([^:]+):([ =])(.*)")
VECTOR = re.compile(r"\(([^()]*)\)|none")
TO_RAS = {
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
}
"""Space -> signs of its coordinates in RAS+."""
ENCODINGS: dict[str, Encoding] = {
    "raw": "raw", "gzip": "deflate", "gz": "deflate", "bzip2": "bzip2", "bz2": "bzip2",
    "txt": "text", "text": "text", "ascii": "text", "hex": "hex",
}  # fmt: skip
TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int",
           "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}  # fmt: skip
TYPE_OF_WORD = {word: kind for kind, words in TYPES.items() for word in words}
NUM_SPATIAL = 3
FIELD_TYPE = "displacement field type"
"""The key by which 3D Slicer says which way a displacement field moves points."""


@dataclass
class _Fields:
    """Lines of a header: fields by name without spaces, keys as they are, and the names of files at its end."""

    path: Path
    end: int
    values: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def value(self, name: str) -> str:
        """Return the value of a field that has to be there."""
        try:
            return self.values[name.replace(" ", "")]
        except KeyError:
            raise InputFileError(
                self.path, f"does not say its {name}, expected a NRRD header; export it again"
            ) from None

    def numbers(self, name: str, count: int) -> list[float]:
        """Return the numbers of a field."""
        return numbers_of(self.value(name), count, name=name, path=self.path)


def read_nrrd_header(path: Path) -> TextHeader:
    """Return what the header of a NRRD file says.

    Raises
    ------
    InputFileError
        naming what is missing or contradicts itself: no directions in space, a space that is not that of a patient, an
        unknown type or encoding, voxels that are not there.
    """
    fields = _fields(path)
    shape = sizes_of(fields.value("sizes"), name="sizes", path=path)
    if len(shape) != fields.numbers("dimension", 1)[0]:
        raise InputFileError(path, f"has {len(shape)} sizes and another dimension; export it again")
    spatial_axes, directions = _directions(fields, num_axes=len(shape))
    to_ras, remarks = _space(fields)
    mm_per_unit, unit_remarks = _unit(fields)
    if "spaceorigin" in fields.values:
        origin = next(iter(_vectors(fields, "space origin")), None)
    else:
        origin = np.zeros(NUM_SPATIAL)
        remarks = [*remarks, "it gives no origin (space origin), taken as 0, 0, 0"]
    if origin is None or origin.shape != (NUM_SPATIAL,):
        raise InputFileError(path, "has a space origin that is not three numbers; export it again")
    encoding = ENCODINGS.get(fields.value("encoding").lower())
    if encoding is None:
        raise InputFileError(
            path, f"is packed as {fields.value('encoding')}, expected one of {', '.join(ENCODINGS)}"
        )
    return TextHeader(
        path=path,
        kind="NRRD",
        shape=shape,
        affine=world_affine(
            directions * mm_per_unit, (origin * mm_per_unit).tolist(), to_ras=to_ras, path=path
        ),
        spatial_axes=spatial_axes,
        data_type=_data_type(fields, is_binary=encoding not in {"text"}),
        encoding=encoding,
        **_where(fields),
        remarks=(*remarks, *unit_remarks),
        keys=fields.keys,
    )


def require_lps_vectors(path: Path) -> None:
    """Refuse a displacement field whose vectors are not what ITK takes them for: LPS, of points that are resampled.

    ITK turns the grid of another space and leaves its vectors as they are, and it looks at no measurement frame.

    Raises
    ------
    InputFileError
        naming the space, the frame or the kind of field.
    """
    fields = _fields(path)
    space = fields.values.get("space", "lps")
    if TO_RAS.get(space.lower()) != TO_RAS["lps"]:
        raise InputFileError(
            path, f"has vectors in the space {space}, which programs read differently; export it in LPS"
        )
    frame = _vectors(fields, "measurement frame") if "measurementframe" in fields.values else []
    if any(
        column is None or not np.array_equal(column, unit)
        for column, unit in zip(frame, np.eye(3), strict=False)
    ):
        raise InputFileError(
            path,
            "has vectors in a measurement frame of their own, which ITK does not look at; export it in LPS",
        )
    if fields.keys.get(FIELD_TYPE, "resampling") != "resampling":
        raise InputFileError(
            path,
            f"is a field of the type {fields.keys[FIELD_TYPE]}, which moves points the other way than one that "
            "resamples; export its inverse",
        )


def _fields(path: Path) -> _Fields:
    content = read_text(path, "NRRD")
    magic = MAGIC.match(content)
    if magic is None:
        raise InputFileError(path, "is not a NRRD file, it does not begin with NRRD0001 to NRRD0005")
    found = _Fields(path, end=len(content))
    place = magic.end()
    while place < len(content):
        stop = content.find(b"\n", place)
        stop = len(content) if stop < 0 else stop
        line = content[place:stop].decode("utf-8", errors="replace").rstrip("\r")
        place = stop + 1
        if not line.strip():
            found.end = place
            return found
        if not line.startswith("#"):
            _take(found, line)
    return found


def _take(found: _Fields, line: str) -> None:
    """Add one line of a header to what was found."""
    if found.values.get("datafile", "").upper().startswith("LIST"):
        found.files.append(line.strip())
        return
    parts = LINE.match(line)
    if parts is None:
        raise InputFileError(found.path, f"has the line {line!r} in its header, expected field: value")
    name, mark, value = parts[1].strip(), parts[2], parts[3].strip()
    if mark == "=":
        found.keys[name] = value
        return
    name = name.lower().replace(" ", "")
    if name in found.values:
        raise InputFileError(found.path, f"says its {parts[1]} twice; export it again")
    found.values[name] = value


def _directions(fields: _Fields, *, num_axes: int) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Return the axes that lie in space, and the (3, 3) step of one voxel along each, a row an axis."""
    if "spacedirections" not in fields.values:
        raise InputFileError(
            fields.path,
            "does not say how its axes lie (space directions), so left and right are unknown; export it with its "
            "orientation",
        )
    vectors = _vectors(fields, "space directions")
    if len(vectors) != num_axes:
        raise InputFileError(
            fields.path, f"has {len(vectors)} space directions for {num_axes} axes; export it again"
        )
    axes = tuple(axis for axis, vector in enumerate(vectors) if vector is not None)
    steps = [vector for vector in vectors if vector is not None]
    if len(steps) != NUM_SPATIAL or any(len(step) != NUM_SPATIAL for step in steps):
        raise InputFileError(
            fields.path,
            f"has the space directions {fields.value('space directions')}, expected three of three numbers; a volume "
            "has three axes",
        )
    return axes, np.array(steps)


def _vectors(fields: _Fields, name: str) -> list[NDArray[np.float64] | None]:
    """Return the vectors of a field; None for an axis that does not lie in space."""
    return [
        None
        if found[0] == "none"
        else np.array(
            numbers_of(found[1].replace(",", " "), found[1].count(",") + 1, name=name, path=fields.path)
        )
        for found in VECTOR.finditer(fields.value(name))
    ]


def _space(fields: _Fields) -> tuple[tuple[float, float, float], list[str]]:
    """Return the signs that take the space of a file to RAS+, and what is to be said of it."""
    if "space" not in fields.values:
        if fields.numbers("space dimension", 1)[0] != NUM_SPATIAL:
            raise InputFileError(fields.path, "has a space of another dimension than 3; a volume has three")
        return TO_RAS["lps"], [
            "it does not say its space, taken as LPS, as ITK takes it; some viewers take RAS"
        ]
    space = fields.values["space"].lower()
    if space not in TO_RAS:
        raise InputFileError(
            fields.path,
            f"lies in the space {fields.values['space']}, expected left-posterior-superior, "
            "right-anterior-superior or left-anterior-superior; export it again",
        )
    return TO_RAS[space], []


def _unit(fields: _Fields) -> tuple[float, list[str]]:
    units = set(re.findall(r'"([^"]*)"', fields.values.get("spaceunits", '"mm"')))
    units = {unit.strip() for unit in units} - {"", "???"} or {"mm"}
    if len(units) > 1:
        raise InputFileError(
            fields.path, f"has several units of length ({', '.join(sorted(units))}); export it in mm"
        )
    return unit_of(units.pop())


def _data_type(fields: _Fields, *, is_binary: bool) -> np.dtype:
    word = " ".join(fields.value("type").lower().split())
    kind = TYPE_OF_WORD.get(word)
    if kind is None:
        raise InputFileError(fields.path, f"has voxels of type {word}, expected one plain number a voxel")
    order = "="
    if is_binary and kind not in {"i1", "u1"}:
        stated = fields.value("endian").lower()
        if stated not in {"little", "big"}:
            raise InputFileError(fields.path, f"has the endian {stated}, expected little or big")
        order = "<" if stated == "little" else ">"
    return np.dtype(f"{order}{kind}")


def _where(fields: _Fields) -> dict:
    """Return where the voxels are: files, and what is skipped in each."""
    lines, skipped = (
        int(fields.numbers(name, 1)[0]) if name.replace(" ", "") in fields.values else 0
        for name in ("line skip", "byte skip")
    )
    if lines < 0 or skipped < FROM_THE_END:
        raise InputFileError(fields.path, f"skips {lines} lines and {skipped} bytes; export it again")
    skips = {"skipped_lines": lines, "skipped_bytes": skipped}
    if "datafile" not in fields.values:
        return {"files": (fields.path,), "first_byte": fields.end, **skips}
    words = fields.values["datafile"].split()
    if words[:1] == ["LIST"]:
        names = fields.files
    elif "%" in words[0]:
        names = numbered_names(words[0], words[1:], path=fields.path)
    else:
        names = [fields.values["datafile"]]
    if not names:
        raise InputFileError(fields.path, "names no file for its voxels; export it again")
    return {"files": sibling_files(names, path=fields.path), **skips}
