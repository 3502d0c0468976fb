"""The lesions of one visit as a user has them: the one door for masks and points of every form.

Masks come as a label map, as a folder of one mask a lesion, or as a DICOM SEG or RTSTRUCT; points as tables, files of
3D Slicer and prompts of other programs. Masks must lie on the voxels of the scan, or on a part of them, and DICOM
objects in its frame of reference; points must lie in it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.follow.lesion_prompts import read_prompts
from anatomical_embedding.points.challenge_points import challenge_content
from anatomical_embedding.points.named_points import Coordinates
from anatomical_embedding.points.points_file import read_points
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.volumes.affine import invert_affine
from anatomical_embedding.volumes.file_names import without_ending
from anatomical_embedding.volumes.grid import Grid
from anatomical_embedding.volumes.labels import SAME_GRID_FRACTION, read_label_file
from anatomical_embedding.volumes.orientation import to_axes_of
from anatomical_embedding.volumes.segments import LabelledScan, Segment, label_map_of
from anatomical_embedding.volumes.volume import Volume

POINT_SUFFIXES = (".csv", ".tsv", ".json", ".fcsv", ".mps", ".txt", ".pts")
LESION_FILES = (
    "a label map, a folder of one mask a lesion, a DICOM SEG or RTSTRUCT, points (.csv, .mrk.json, .fcsv, "
    ".mps), or prompts (.json)"
)
"""What can be read, in the words of help and messages."""
TOUCHING = np.ones((3, 3, 3))


@dataclass(frozen=True)
class GivenLesion:
    """One lesion of a visit.

    Attributes
    ----------
    number : from 1; its number in the masks where it has one.
    label : what its file calls it; may be empty.
    point_mm : (3,) its place, world mm RAS+: of a mask the voxel nearest to the middle of it.
    has_mask : whether it is a mask.
    """

    number: int
    label: str
    point_mm: NDArray[np.float64]
    has_mask: bool


@dataclass(frozen=True)
class GivenLesions:
    """The lesions of a visit.

    Attributes
    ----------
    lesions : in the order of their numbers.
    masks : their numbers on the voxels of the scan; None for points.
    remarks : what was corrected or chosen, a sentence each.
    """

    lesions: tuple[GivenLesion, ...]
    masks: Volume | None
    remarks: tuple[str, ...]


def read_given_lesions(
    path: Path | str, scan: LabelledScan, *, coordinates: Coordinates, geometry: Geometry | None = None
) -> GivenLesions:
    """Return the lesions in a file or folder.

    Parameters
    ----------
    path : any of `LESION_FILES`.
    scan : that they belong to.
    coordinates : of the numbers in a table of points; other files say their own.
    geometry : form that places a NIfTI mask whose header states two places; None refuses it.

    Raises
    ------
    InputFileError
        if the file is of another kind or holds no lesion; if a mask lies on another grid than the scan, a DICOM object
        in another frame of reference, or a point outside the scan.
    """
    path = Path(path)
    if path.is_dir():
        return _of_masks(*_read_folder(path, scan, geometry=geometry), path=path)
    if path.name.lower().endswith(POINT_SUFFIXES):
        return _read_points(path, scan.grid, coordinates=coordinates)
    if not path.exists():
        raise InputFileError(path, f"is not there; expected {LESION_FILES}")
    found = read_label_file(path, geometry=geometry, scan=scan)
    labels, remarks = labels_on_grid(found.volume, scan.grid, path=path), list(found.remarks)
    labels, said = _apart(labels, path=path)
    return _of_masks(labels, {}, [*remarks, *said], path=path)


def numbers_of_names(names: Sequence[str]) -> list[int]:
    """Return the numbers of lesions: those that all their names end in, where these differ, else their order.

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


def _read_points(path: Path, grid: Grid, *, coordinates: Coordinates) -> GivenLesions:
    is_json = path.name.lower().endswith(".json")
    is_told_mm = is_json and coordinates == "lps" and challenge_content(path) is not None
    prompts = read_prompts(path) if is_json and not is_told_mm else None
    if prompts is not None:
        names, points_mm = prompts.names, grid.world_from_voxel(prompts.points_vox)
        remarks = prompts.remarks
        if not names:
            raise InputFileError(path, "holds no prompt, expected one or more")
    else:
        found = read_points(path, coordinates=coordinates, grid=lambda: grid)
        names, points_mm, remarks = found.names, found.points_mm, found.remarks
    outside = np.flatnonzero(~grid.contains(points_mm))
    if len(outside):
        place = ", ".join(f"{value:.1f}" for value in points_mm[outside[0]])
        raise InputFileError(
            path,
            f"the point {names[outside[0]]!r} at {place} mm lies outside the scan, and so do {len(outside) - 1} more; "
            "give the points of this scan",
        )
    numbered = sorted(zip(numbers_of_names(names), names, points_mm, strict=True), key=lambda each: each[0])
    lesions = [GivenLesion(number, name, point_mm, False) for number, name, point_mm in numbered]
    return GivenLesions(tuple(lesions), None, tuple(remarks))


def _read_folder(
    folder: Path, scan: LabelledScan, *, geometry: Geometry | None
) -> tuple[Volume, dict[int, str], list[str]]:
    """Return the masks of a folder as one map, their names, and what is to be said."""
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise InputFileError(folder, f"holds no file; expected {LESION_FILES}")
    names = [without_ending(path.name) for path in paths]
    remarks: list[str] = []
    segments = []
    for number, name, path in zip(numbers_of_names(names), names, paths, strict=True):
        found = read_label_file(path, geometry=geometry, scan=scan)
        array = labels_on_grid(found.volume, scan.grid, path=path).array
        shown = np.unique(array[array > 0])
        if len(shown) != 1:
            raise InputFileError(
                path,
                f"holds {len(shown)} labels, expected one mask a file in a folder of lesions; name a label map itself",
            )
        remarks += found.remarks
        segments.append(Segment(number, name, np.flatnonzero(array)))
    labels, said = label_map_of(segments, grid=scan.grid)
    remarks += [f"{folder}: {remark}" for remark in said[1:]]  # the first one lists the names
    return labels, {segment.number: segment.name for segment in segments}, remarks


def _of_masks(labels: Volume, names: dict[int, str], remarks: Sequence[str], *, path: Path) -> GivenLesions:
    lesions = []
    for number, box in enumerate(find_objects(labels.array), start=1):
        if box is not None:
            offset = np.array([part.start for part in box])
            voxels = np.argwhere(labels.array[box] == number) + offset
            nearest = voxels[np.linalg.norm(voxels - voxels.mean(axis=0), axis=1).argmin()]
            point_mm = labels.world_from_voxel(nearest)
            lesions.append(GivenLesion(number, names.get(number, ""), point_mm, True))
    if not lesions:
        raise InputFileError(path, "shows no lesion: every voxel is 0")
    hidden = [name for number, name in names.items() if number not in {lesion.number for lesion in lesions}]
    if hidden:
        raise InputFileError(
            path, f"the mask {hidden[0]!r} lies wholly in others; give every lesion its own voxels"
        )
    return GivenLesions(tuple(lesions), labels, tuple(remarks))


def labels_on_grid(labels: Volume, grid: Grid, *, path: Path) -> Volume:
    """Return labels on the voxels of the scan.

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
        raise InputFileError(
            path,
            f"lies on another grid than the scan (shape {labels.shape}, the scan {tuple(grid.shape)}); expected the "
            "scan's own voxels; resample the masks onto it first",
        )
    first = offset.astype(int)
    array = np.zeros(grid.shape, dtype=labels.array.dtype)
    inside = tuple(
        slice(max(start, 0), max(min(start + size, full), 0))
        for start, size, full in zip(first, labels.shape, grid.shape, strict=True)
    )
    part = tuple(slice(to.start - start, to.stop - start) for to, start in zip(inside, first, strict=True))
    if np.count_nonzero(labels.array) != np.count_nonzero(labels.array[part]):
        raise InputFileError(path, "has lesions outside the scan; give the masks of this scan")
    array[inside] = labels.array[part]
    return Volume(array, grid.affine)


def _apart(labels: Volume, *, path: Path) -> tuple[Volume, list[str]]:
    """Return a map of one label with its parts numbered, which is what a mask of all lesions means."""
    shown = np.unique(labels.array[labels.array > 0])
    if len(shown) != 1:
        return labels, []
    parts, num_parts = label(labels.array, structure=TOUCHING)
    if num_parts == 1:
        return labels, []
    said = (
        f"{path}: holds one label in {num_parts} parts that do not touch; each is taken as a lesion (give every lesion "
        "its own number to keep parts together)"
    )
    return Volume(parts.astype(np.uint16), labels.affine), [said]
