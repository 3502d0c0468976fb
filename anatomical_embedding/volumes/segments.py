"""Segments, which may overlap, made into one label map on the voxels of the scan that they belong to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.affine import invert_affine
from anatomical_embedding.volumes.grid import Grid, largest_distance_mm
from anatomical_embedding.volumes.orientation import to_axes_of
from anatomical_embedding.volumes.volume import Volume

LARGEST_LABEL = np.iinfo(np.uint16).max
SAME_GRID_FRACTION = 0.01  # of a voxel: headers of one grid written by two programs differ by rounding only
MOST_NAMES = 150
"""That are said; TotalSegmentator knows 117 organs."""


@dataclass(frozen=True)
class LabelledScan:
    """The scan that labels belong to.

    Attributes
    ----------
    grid : its voxels.
    frame_of_reference : UID of its world; empty where it is not known, as of every file that is not DICOM.
    """

    grid: Grid
    frame_of_reference: str


@dataclass(frozen=True)
class Segment:
    """A named set of voxels.

    Attributes
    ----------
    number : its label.
    name : as its file has it; may be empty.
    voxels : flat numbers (in C order) of its voxels on the grid.
    """

    number: int
    name: str
    voxels: NDArray[np.int64]


def label_map_of(segments: Sequence[Segment], *, grid: Grid) -> tuple[Volume, list[str]]:
    """Return the label map of segments, and what is to be said of it: their names, and where they overlap.

    A voxel of several segments gets the smallest of them, so that a lesion in an organ is not lost in it.
    """
    labels = np.zeros(grid.shape, dtype=np.uint16)
    flat = labels.reshape(-1)
    num_overlapping = 0
    for segment in sorted(segments, key=lambda segment: -len(segment.voxels)):
        num_overlapping += int(np.count_nonzero(flat[segment.voxels]))
        flat[segment.voxels] = segment.number
    largest = max((segment.number for segment in segments), default=0)
    labels = labels.astype(label_type(largest), copy=False)
    named = ", ".join(f"{segment.number} {segment.name}".strip() for segment in segments[:MOST_NAMES])
    more = f" and {len(segments) - MOST_NAMES} more" if len(segments) > MOST_NAMES else ""
    remarks = [f"its labels are {named}{more}"]
    empty = [segment.name or str(segment.number) for segment in segments if not len(segment.voxels)]
    if empty:
        remarks.append(f"no voxel of the scan lies in {', '.join(empty[:MOST_NAMES])}")
    if num_overlapping:
        remarks.append(
            f"its labels overlap in {num_overlapping} {'voxel' if num_overlapping == 1 else 'voxels'}; the smaller "
            "label has them, a voxel holds one"
        )
    return Volume(labels, grid.affine), remarks


def labels_on_grid(labels: Volume, grid: Grid, *, path: Path, of_grid: str = "the scan") -> Volume:
    """Return labels on the voxels of a grid, that of the scan they belong to unless `of_grid` calls it otherwise.

    Their file may hold a part of them, as 3D Slicer writes it, and in another order, as converters of DICOM do.

    Raises
    ------
    InputFileError
        naming the file, if they lie on another grid or outside the scan.
    """
    labels = to_axes_of(labels, grid.affine)
    place = invert_affine(grid.affine) @ labels.affine
    offset = np.rint(place[:3, 3])
    expected = np.eye(4)
    expected[:3, 3] = offset
    last = np.append(np.array(labels.shape) - 1.0, 1.0)
    off_vox = np.abs((place - expected) * np.maximum(last, 1.0)).max()
    if off_vox > SAME_GRID_FRACTION:
        what = f"shape {labels.shape}, {of_grid} {tuple(grid.shape)}"
        if labels.shape == tuple(grid.shape):
            distance_mm = largest_distance_mm(labels.affine, grid.affine, shape=labels.shape)
            what = f"of its shape, up to {distance_mm:.3g} mm away from it"
        raise InputFileError(
            path,
            f"lies on another grid than {of_grid} ({what}); expected the same voxels; resample the masks onto it first",
        )
    first = offset.astype(int)
    array = np.zeros(grid.shape, dtype=labels.array.dtype)
    inside = tuple(
        slice(max(start, 0), max(min(start + size, full), 0))
        for start, size, full in zip(first, labels.shape, grid.shape, strict=True)
    )
    part = tuple(slice(to.start - start, to.stop - start) for to, start in zip(inside, first, strict=True))
    if np.count_nonzero(labels.array) != np.count_nonzero(labels.array[part]):
        raise InputFileError(path, f"has voxels outside {of_grid}; give the masks of this scan")
    array[inside] = labels.array[part]
    return Volume(array, grid.affine)


def names_by_number(stated: Iterable[tuple[int | str, str | None]], *, path: Path) -> dict[int, str]:
    """Return number -> name of the labels of a DICOM object, empty where they have none.

    Raises
    ------
    InputFileError
        if two have one number: what is drawn names its label by number alone.
    """
    names: dict[int, str] = {}
    for number, name in ((int(number), str(name or "")) for number, name in stated):
        if number in names:
            raise InputFileError(
                path,
                f"has the number {number} for two labels, {names[number]!r} and {name!r}, so what is drawn of each "
                "is unknown; export it again with a number for each",
            )
        names[number] = name
    return names


def usable_numbers(stated: Sequence[int]) -> list[int]:
    """Return the labels of segments: as stated where these are labels and differ, else by their order.

    Examples
    --------
    >>> usable_numbers([4, 2]), usable_numbers([1, 1, 1]), usable_numbers([0, 7])
    ([4, 2], [1, 2, 3], [1, 2])
    """
    are_labels = all(1 <= number <= LARGEST_LABEL for number in stated)
    if are_labels and len(set(stated)) == len(stated):
        return list(stated)
    return list(range(1, len(stated) + 1))


def label_type(num_labels: int) -> type[np.uint8] | type[np.uint16]:
    """Return the smallest type that holds the labels 0 to `num_labels`."""
    return np.uint8 if num_labels <= np.iinfo(np.uint8).max else np.uint16
