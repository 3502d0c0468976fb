"""Pairs of the same lesion in two volumes, read from the public Deep Lesion Tracking annotation files.

The files come in two shapes: an object that maps a pair's name (`"0001"`) to its fields, and an object whose key
`"results"` holds a list of pairs in the order of the first. All lengths are in voxels of the native grid of the
volume at hand (the in-plane pixel is square), although the publisher's description says millimetres. The slice index
runs from head to foot. Nothing here depends on where that grid lies in the world; `lesions.frames` knows that.

Source: Cai et al., "Deep Lesion Tracker", CVPR 2021, and the data set published with it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError

FloatArray = NDArray[np.float64]

NUMBERS = {
    "source_center_vox": ("source center", 3),
    "target_center_vox": ("target center", 3),
    "target_box_vox": ("target box", 6),
    "source_spacing_mm": ("source spacing", 3),
    "target_spacing_mm": ("target spacing", 3),
    "target_diameter_vox": ("target recist diameter", 2),
}
"""Attribute of `LesionPairs` -> key in the annotation file and how many numbers it holds."""

POSITIVE = {
    "target_box_vox": slice(3, 6),
    "source_spacing_mm": slice(0, 3),
    "target_spacing_mm": slice(0, 3),
    "target_diameter_vox": slice(0, 2),
}
"""Attribute -> which of its numbers must be above zero."""


@dataclass(frozen=True)
class LesionPairs:
    """The annotated pairs as columns, one row per directed pair; row order is that of the file.

    Attributes
    ----------
    pair_ids : N names, unique.
    source_files, target_files : N file names of the volume with the known lesion and of the volume searched.
    source_center_vox, target_center_vox : (N, 3) centre of the lesion, annotation index.
    target_box_vox : (N, 6) `x, y, z, width, height, depth` of the box around the lesion in the target.
    source_spacing_mm, target_spacing_mm : (N, 3) mm a voxel.
    target_diameter_vox : (N, 2) long and short RECIST diameter in the target, in-plane pixels.
    """

    pair_ids: tuple[str, ...]
    source_files: tuple[str, ...]
    target_files: tuple[str, ...]
    source_center_vox: FloatArray
    target_center_vox: FloatArray
    target_box_vox: FloatArray
    source_spacing_mm: FloatArray
    target_spacing_mm: FloatArray
    target_diameter_vox: FloatArray

    def __len__(self) -> int:
        return len(self.pair_ids)

    @property
    def patient_ids(self) -> NDArray[np.str_]:
        """(N,) patient of each pair: the file name up to its first underscore."""
        return np.array([patient_of_file(name) for name in self.target_files])

    @property
    def radius_mm(self) -> FloatArray:
        """(N,) half the long diameter of the lesion in the target, in mm."""
        return self.target_diameter_vox[:, 0] / 2.0 * self.target_spacing_mm[:, 0]

    @property
    def slice_thickness_mm(self) -> FloatArray:
        """(N,) distance between slices of the target, in mm."""
        return self.target_spacing_mm[:, 2]

    @property
    def box_low_vox(self) -> FloatArray:
        """(N, 3) first voxel of the box in the target."""
        return self.target_box_vox[:, :3]

    @property
    def box_high_vox(self) -> FloatArray:
        """(N, 3) first voxel behind the box in the target."""
        return self.target_box_vox[:, :3] + self.target_box_vox[:, 3:]


def read_annotations(path: Path | str) -> LesionPairs:
    """Return the pairs of an annotation file, every field checked.

    A file of published predictions repeats the annotations of its pairs, and more precisely; it is read as well.

    Raises
    ------
    InputFileError
        naming the pair and the field that is absent, malformed, not finite or not positive.
    """
    path = Path(path)
    rows, _ = rows_of_file(path)
    if not rows:
        raise InputFileError(path, "holds no lesion pair, expected at least one")
    for name, row in rows:
        _check_files(path, name, row)
    columns = {
        attribute: np.array([_checked_numbers(path, name, row, attribute) for name, row in rows])
        for attribute in NUMBERS
    }
    return LesionPairs(
        pair_ids=tuple(name for name, _ in rows),
        source_files=tuple(row["source"] for _, row in rows),
        target_files=tuple(row["target"] for _, row in rows),
        **columns,
    )


def rows_of_file(path: Path | str) -> tuple[list[tuple[str, dict[str, Any]]], bool]:
    """Return (name, fields) of every row of an annotation or prediction file, and whether the file names its rows.

    Rows of a list get the names that the same pairs have in an object: `"0001"` for the first.

    Raises
    ------
    InputFileError
        if the file is not JSON, names a key twice, or has another shape.
    """
    content = read_json_strictly(path)
    if not isinstance(content, dict):
        raise InputFileError(
            path, f"holds a JSON {type(content).__name__}, expected an object of lesion pairs"
        )
    is_list = isinstance(content.get("results"), list)
    if is_list:
        rows = [(f"{number:04d}", row) for number, row in enumerate(content["results"], start=1)]
    else:
        rows = list(content.items())
    for name, row in rows:
        if not isinstance(row, dict):
            raise InputFileError(path, f"pair {name!r} is {row!r}, expected an object with its fields")
    return rows, not is_list


def read_json_strictly(path: Path | str) -> Any:
    """Return the content of a JSON file; a key that stands twice in one object is refused, not overwritten.

    Raises
    ------
    InputFileError
        if the file is not UTF-8 JSON or repeats a key.
    """

    def object_without_repeats(items: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(items)
        if len(content) < len(items):
            keys = [key for key, _ in items]
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise InputFileError(path, f"key {repeated!r} occurs twice in one object; remove the duplicate")
        return content

    try:
        return json.loads(
            Path(path).read_text(encoding="utf-8-sig"), object_pairs_hook=object_without_repeats
        )
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputFileError(path, f"is not a JSON file in UTF-8: {error}") from error


def patient_of_file(name: str) -> str:
    """Return the patient that a volume's file name begins with.

    Examples
    --------
    >>> patient_of_file("000016_02_01_223-283.nii.gz")
    '000016'
    """
    return name.partition("_")[0]


def numbers_of_field(path: Path | str, place: str, value: Any, *, key: str, count: int) -> list[float]:
    """Return `count` numbers of a JSON field; `null` becomes NaN.

    Raises
    ------
    InputFileError
        beginning with `place`, if `value` is not a list of `count` numbers.
    """
    is_list = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == count
    if not is_list or any(isinstance(x, bool) or not isinstance(x, int | float | None) for x in value):
        raise InputFileError(path, f"{place}: {key!r} is {value!r}, expected {count} numbers")
    return [np.nan if x is None else float(x) for x in value]


def _check_files(path: Path, name: str, row: dict[str, Any]) -> None:
    """Refuse a row whose file names are absent or do not name one patient."""
    for key in ("source", "target"):
        if not isinstance(row.get(key), str) or "_" not in row[key]:
            raise InputFileError(
                path, f"pair {name!r}: {key!r} is {row.get(key)!r}, expected a file name <patient>_<...>"
            )
    patients = [patient_of_file(row[key]) for key in ("source", "target")]
    if patients[0] != patients[1]:
        raise InputFileError(path, f"pair {name!r}: source and target belong to two patients, {patients}")


def _checked_numbers(path: Path, name: str, row: dict[str, Any], attribute: str) -> list[float]:
    """Return the numbers of one field of one pair, finite, and positive where they must be."""
    key, count = NUMBERS[attribute]
    if key not in row:
        raise InputFileError(path, f"pair {name!r}: {key!r} is missing")
    numbers = numbers_of_field(path, f"pair {name!r}", row[key], key=key, count=count)
    if not np.isfinite(numbers).all():
        raise InputFileError(path, f"pair {name!r}: {key!r} is {row[key]!r}, expected finite numbers")
    if attribute in POSITIVE and min(numbers[POSITIVE[attribute]]) <= 0:
        raise InputFileError(path, f"pair {name!r}: {key!r} is {row[key]!r}, expected lengths above zero")
    return numbers
