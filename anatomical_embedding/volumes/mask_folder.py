"""A folder of masks, one organ or lesion a file, and the numbers that these get in one label map."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.identifiers import quote_some
from anatomical_embedding.volumes.dicom_mark import is_marked_dicom
from anatomical_embedding.volumes.file_names import is_volume_name, without_ending
from anatomical_embedding.volumes.grid import Grid
from anatomical_embedding.volumes.segments import Segment, label_map_of, labels_on_grid
from anatomical_embedding.volumes.volume import FoundVolume, Volume


@dataclass(frozen=True)
class FolderMap:
    """The masks of a folder as one map.

    Attributes
    ----------
    volume : number of every voxel.
    names : what the file of each number is called.
    empty : numbers of the masks without a voxel.
    remarks : what is to be said, a sentence each that begins with the file; the first lists numbers and names.
    """

    volume: Volume
    names: dict[int, str]
    empty: tuple[int, ...]
    remarks: tuple[str, ...]


def masks_in(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Return the masks in a folder by their names, and the names of the other files, which are not looked at.

    Masks are volumes by their name or, where there are none, DICOM files: beside volumes these are what the masks were
    made of, a slice or an object that holds all of them. Hidden files and folders are neither.

    Raises
    ------
    InputFileError
        if the folder holds no mask, or two of one name.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    paths = [path for path in files if is_volume_name(path.name)]
    paths = paths or [path for path in files if is_marked_dicom(path)]
    if not paths:
        raise InputFileError(
            folder,
            "holds no masks, expected one file per organ or lesion such as liver.nii.gz; name the file of the labels",
        )
    names = [without_ending(path.name) for path in paths]
    for path, name in zip(paths, names, strict=True):
        if names.count(name) > 1:
            raise InputFileError(path, f"is one of several masks of {name} in its folder; leave one of them")
    return dict(zip(names, paths, strict=True)), [path.name for path in files if path not in paths]


def numbers_of_names(names: Sequence[str]) -> list[int]:
    """Return the numbers of masks or points: those that all their names end in, where these differ, else their order.

    Examples
    --------
    >>> numbers_of_names(["lesion_3", "lesion_10"]), numbers_of_names(["liver", "lung"]), numbers_of_names(["1", "01"])
    ([3, 10], [1, 2], [1, 2])
    """
    ends = [re.search(r"(\d{1,4})$", name.strip()) for name in names]
    numbers = [int(end.group(1)) if end else 0 for end in ends]
    if all(number > 0 for number in numbers) and len(set(numbers)) == len(numbers):
        return numbers
    return list(range(1, len(names) + 1))


def map_of_masks(folder: Path, read: Callable[[Path], FoundVolume], *, grid: Grid | None) -> FolderMap:
    """Return the masks of a folder as one map.

    Parameters
    ----------
    folder : of `masks_in`.
    read : returns the label map in a file.
    grid : whose voxels the map is wanted on; None takes those of the first mask. Masks may hold a part of them.

    Raises
    ------
    InputFileError
        as `masks_in`; naming the file that holds several labels, or lies on another grid.
    """
    paths, others = masks_in(folder)
    numbers = numbers_of_names(list(paths))
    segments: list[Segment] = []
    remarks: list[str] = []
    of_grid = "the scan"
    for number, (name, path) in zip(numbers, paths.items(), strict=True):
        found = read(path)
        if grid is None:
            grid, of_grid = found.volume, path.name
        array = labels_on_grid(found.volume, grid, path=path, of_grid=of_grid).array
        num_labels = np.count_nonzero(np.unique(array))
        if num_labels > 1:
            raise InputFileError(
                path,
                f"holds {num_labels} labels, expected one mask per file in a folder; name a label map itself",
            )
        remarks += found.remarks
        segments.append(Segment(number, name, np.flatnonzero(array)))
    volume, on_map = label_map_of(segments, grid=grid if grid is not None else found.volume)
    if others:
        are_volumes = all(is_volume_name(path.name) for path in paths.values())
        on_map.append(
            f"left out {quote_some(others)}: {'no volumes by their names' if are_volumes else 'no DICOM'}"
        )
    return FolderMap(
        volume,
        dict(zip(numbers, paths, strict=True)),
        tuple(segment.number for segment in segments if not len(segment.voxels)),
        (*(f"{folder}: {remark}" for remark in on_map), *remarks),
    )
