"""The regions of a structure set (RTSTRUCT): outlines in parallel planes, by region and plane (DICOM PS3.3 C.8.8.6)."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.dicom_files import names_of
from anatomical_embedding.volumes.grid import Grid
from anatomical_embedding.volumes.label_planes import (
    Outlines,
    PlanarSegment,
    are_alike,
    are_apart,
    cross,
    finest_step,
    same_plane_mm,
    step_along,
    usual_gap_mm,
)
from anatomical_embedding.volumes.nifti_geometry import LARGEST_POSITION_MM
from anatomical_embedding.volumes.segments import LabelledScan, names_by_number, usable_numbers

CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
"""Types of contours that enclose a region (DICOM PS3.3 C.8.8.6.3); those in one plane go together by exclusive or."""
LARGEST_OFF_PLANE_MM = 0.5
"""Of the corners of an outline, which is written with two digits or so."""
SAME_OUTLINE_MM, SAME_OUTLINE_SHARE = 0.25, 0.5
"""Outlines that lie closer to each other all along, in mm and in voxels, are one: corners were rounded, set elsewhere
or begun with another one. No wall is drawn as thin."""
SAME_DIRECTION = 5e-4
"""Sine of the angle between two directions that are one, but for rounding."""


def outlined_regions(
    dataset: Dataset, scan: LabelledScan, *, path: Path, remarks: list[str]
) -> list[PlanarSegment]:
    """Return the regions of a structure set that are closed outlines and lie in the world of the scan.

    Parameters
    ----------
    dataset, path : the structure set, and its file.
    scan : what it was drawn on.
    remarks : gets what is to be said of it.

    Raises
    ------
    InputFileError
        if two regions have one number, or an outline is broken or not flat.
    """
    names = names_by_number(
        [(item.ROINumber, item.get("ROIName")) for item in dataset.StructureSetROISequence], path=path
    )
    own = {"", scan.frame_of_reference}
    foreign = [
        int(item.ROINumber)
        for item in dataset.StructureSetROISequence
        if scan.frame_of_reference and str(item.get("ReferencedFrameOfReferenceUID") or "") not in own
    ]
    outlines = _closed_outlines(dataset, names, path=path, remarks=remarks)
    empty = [names[number] for number, found in outlines.items() if not found]
    if empty:
        remarks.append(f"{names_of(empty)} left out: no closed outline")
    if foreign:
        foreign_names = names_of(names[number] for number in foreign)
        remarks.append(f"{foreign_names} left out: drawn in another frame of reference than the scan's")
    kept = [number for number, found in outlines.items() if found and number not in foreign]
    return [
        _region(label, names[number], outlines[number], scan.grid, path=path, remarks=remarks)
        for label, number in zip(usable_numbers(kept), kept, strict=True)
    ]


def _closed_outlines(
    dataset: Dataset, names: Mapping[int, str], *, path: Path, remarks: list[str]
) -> dict[int, list[NDArray[np.float64]]]:
    """Return region -> (N, 3) corners of each of its closed outlines in LPS mm; say which regions have others."""
    outlines: dict[int, list[NDArray[np.float64]]] = {number: [] for number in names}
    others = set()
    for region in dataset.get("ROIContourSequence") or []:
        number = int(region.ReferencedROINumber)
        if number not in names:
            raise InputFileError(
                path, f"draws a region of the number {number} that it does not name; export it again"
            )
        for contour in region.get("ContourSequence") or []:
            corners = _corners(contour, names[number], path=path)
            if contour.ContourGeometricType in CLOSED and len(corners):
                outlines[number].append(corners)
            else:
                others.add(names[number])
    if others:
        remarks.append(f"points and open lines of {names_of(sorted(others))} are left out")
    return outlines


def _corners(contour: Dataset, name: str, *, path: Path) -> NDArray[np.float64]:
    """Return the (N, 3) corners of a contour in LPS mm."""
    numbers = np.array(contour.get("ContourData") or [], dtype=np.float64)
    if len(numbers) % 3:
        raise InputFileError(
            path,
            f"has an outline of {name!r} of {len(numbers)} numbers, expected three a corner; export it again",
        )
    corners = numbers.reshape(-1, 3)
    if not (np.abs(corners) < LARGEST_POSITION_MM).all():
        raise InputFileError(
            path,
            f"has an outline of {name!r} with coordinates that are not finite, or beyond {LARGEST_POSITION_MM:g} mm; "
            "export it again",
        )
    return corners


def _region(
    label: int,
    name: str,
    outlines: Sequence[NDArray[np.float64]],
    grid: Grid,
    *,
    path: Path,
    remarks: list[str],
) -> PlanarSegment:
    """Return one region of outlines that lie in parallel planes."""
    axes = _axes_of_outlines(outlines)
    drawn: list[tuple[float, NDArray[np.float64]]] = []
    for corners in outlines:
        places = corners @ axes.T
        height = float(np.median(places[:, 2]))
        off_mm = float(np.abs(places[:, 2] - height).max())
        if off_mm > LARGEST_OFF_PLANE_MM:
            raise InputFileError(
                path,
                f"has an outline of {name!r} with corners {off_mm:.2g} mm off its plane, expected flat ones",
            )
        drawn.append((height, places[:, :2]))
    step_mm = step_along(grid, axes[2])
    within_mm = same_plane_mm([height for height, _ in drawn], step_mm=step_mm)
    by_height, num_copies = _planes_of_outlines(
        drawn, within_mm=within_mm, alike_mm=min(SAME_OUTLINE_MM, SAME_OUTLINE_SHARE * finest_step(grid))
    )
    if num_copies:
        remarks.append(f"{num_copies} outlines of {name!r} are there twice; each counts once")
    num_crossed = sum(any(cross(*pair) for pair in combinations(drawn, 2)) for drawn in by_height.values())
    if num_crossed:
        remarks.append(
            f"outlines of {name!r} cross each other on {num_crossed} slices; what lies in two of them is left out, "
            "as a hole is"
        )
    gap_mm = usual_gap_mm(by_height) or step_mm
    if are_apart(gap_mm, step_mm=step_mm):
        remarks.append(f"the outlines of {name!r} lie {gap_mm:.3g} mm apart; each counts for its own slice")
        gap_mm = step_mm
    planes = [(height, Outlines(polygons)) for height, polygons in sorted(by_height.items())]
    return PlanarSegment(label, name, axes, planes, gap_mm / 2.0)


def _planes_of_outlines(
    drawn: Sequence[tuple[float, NDArray[np.float64]]], *, within_mm: float, alike_mm: float
) -> tuple[dict[float, list[NDArray[np.float64]]], int]:
    """Return height -> outlines of each plane, and how many outlines were left out that a plane already has.

    Two outlines of the same line would cancel each other out, as a hole does what it lies in.
    """
    planes: dict[float, list[NDArray[np.float64]]] = {}
    num_copies, last = 0, -np.inf
    for height, outline in sorted(drawn, key=lambda each: each[0]):
        if height - last > within_mm:
            last = height
        of_plane = planes.setdefault(last, [])
        if any(are_alike(outline, known, within_mm=alike_mm) for known in of_plane):
            num_copies += 1
        else:
            of_plane.append(outline)
    return planes, num_copies


def _axes_of_outlines(outlines: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the (3, 3) axes of the planes: any two directions, and the normal of the largest outline."""
    areas = [
        np.cross(corners - corners[0], np.roll(corners, -1, axis=0) - corners[0]).sum(axis=0)
        for corners in outlines
    ]
    largest = max(areas, key=np.linalg.norm)
    length = np.linalg.norm(largest)
    normal = largest / length if length else np.array([0.0, 0.0, 1.0])
    # Outlines in the planes of the axes of LPS are exact in them.
    nearest = np.eye(3)[np.abs(normal).argmax()]
    normal = nearest if np.linalg.norm(np.cross(normal, nearest)) < SAME_DIRECTION else normal
    first = np.cross(np.eye(3)[np.abs(normal).argmin()], normal)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(normal, first), normal])
