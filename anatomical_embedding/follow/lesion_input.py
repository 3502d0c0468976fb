"""The lesions of one visit as a user has them: the one door for masks and points of every form.

Masks come as a label map, as a folder of one mask a lesion, or as a DICOM SEG or RTSTRUCT; points as tables, files of
3D Slicer and prompts of other programs. Masks must lie on the voxels of the scan, or on a part of them, and DICOM
objects in its frame of reference; points must lie in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.follow.lesion_prompts import read_prompts
from anatomical_embedding.points.challenge_points import challenge_content
from anatomical_embedding.points.dicom_points import is_report, require_frame
from anatomical_embedding.points.named_points import Coordinates
from anatomical_embedding.points.points_file import read_points
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.volumes.label_file import read_label_file, read_mask_folder
from anatomical_embedding.volumes.mask_folder import numbers_of_names
from anatomical_embedding.volumes.segments import LabelledScan, labels_on_grid
from anatomical_embedding.volumes.volume import Volume

POINT_SUFFIXES = (".csv", ".tsv", ".json", ".fcsv", ".mps", ".txt", ".pts")
LESION_FILES = (
    "a label map, a folder of one mask a lesion, a DICOM SEG or RTSTRUCT, points (.csv, .mrk.json, .fcsv, "
    ".mps, DICOM SR), or prompts (.json)"
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
        return _read_folder(path, scan, geometry=geometry)
    if path.name.lower().endswith(POINT_SUFFIXES) or is_report(path):
        return _read_points(path, scan, coordinates=coordinates)
    if not path.exists():
        raise InputFileError(path, f"is not there; expected {LESION_FILES}")
    found = read_label_file(path, geometry=geometry, scan=scan)
    labels, remarks = labels_on_grid(found.volume, scan.grid, path=path), list(found.remarks)
    labels, said = _apart(labels, path=path)
    return _of_masks(labels, {}, [*remarks, *said], path=path)


def _read_points(path: Path, scan: LabelledScan, *, coordinates: Coordinates) -> GivenLesions:
    grid = scan.grid
    is_json = path.name.lower().endswith(".json")
    is_in_mm = is_json and coordinates == "lps" and challenge_content(path) is not None
    prompts = read_prompts(path) if is_json and not is_in_mm else None
    if prompts is not None:
        names, points_mm = prompts.names, grid.world_from_voxel(prompts.points_vox)
        remarks = prompts.remarks
        if not names:
            raise InputFileError(path, "holds no prompt, expected one or more")
    else:
        found = read_points(path, coordinates=coordinates, grid=lambda: grid)
        names, points_mm = found.names, found.points_mm
        remarks = (*found.remarks, *require_frame(found, scan.frame_of_reference, scan="the scan"))
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


def _read_folder(folder: Path, scan: LabelledScan, *, geometry: Geometry | None) -> GivenLesions:
    """Return the lesions whose masks lie in a folder."""
    found = read_mask_folder(folder, geometry=geometry, scan=scan, grid=scan.grid)
    shown = {number: name for number, name in found.names.items() if number not in found.empty}
    return _of_masks(found.volume, shown, found.remarks[1:], path=folder)  # the first one lists the names


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
