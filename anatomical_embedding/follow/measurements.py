"""What a mask of a lesion measures: volume, longest axial diameter with its short axis, and the intensities in it.

Diameters lie in the scan's own axial planes: those of the two array axes that run least along the body. The outline of
a part of a lesion in such a plane runs through the points half way between a pixel of the mask and a neighbour that is
none, so that a row of n pixels is n pixels long. Its longest diameter is that of the outline; its short axis is the
longest chord of the outline's convex hull at a right angle to it. Parts that do not touch in a plane are measured
apart, and a lesion has the longest diameter of any. Where a mask is in parts that touch in no plane, each is measured
as well: those of a lesion that split are added up (`records.MeasurementRow.axes_mm`).

Source of the two diameters: Eisenhauer et al., "New response evaluation criteria in solid tumours: revised RECIST
guideline (version 1.1)", European Journal of Cancer 45 (2009), sections 3.1 and 4.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.ndimage import label as connected_parts
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

from anatomical_embedding.errors import UserError
from anatomical_embedding.follow.records import MeasurementRow
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.grid import Grid
from anatomical_embedding.volumes.orientation import axis_codes
from anatomical_embedding.volumes.volume import Volume

TOUCHING, TOUCHING_IN_PLANE = np.ones((3, 3, 3)), np.ones((3, 3))
"""Voxels and pixels that share a corner belong to one part."""
MM3_PER_ML = 1000.0
NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


@dataclass(frozen=True)
class Diameter:
    """A straight line across a lesion.

    Attributes
    ----------
    start_mm, end_mm : (3,) world mm RAS+.
    """

    start_mm: NDArray[np.float64]
    end_mm: NDArray[np.float64]

    @property
    def length_mm(self) -> float:
        """Distance between its ends."""
        return float(np.linalg.norm(self.end_mm - self.start_mm))


@dataclass(frozen=True)
class Measurement:
    """What one mask measures.

    Attributes
    ----------
    num_vox : voxels of the mask.
    volume_mm3 : of all its voxels.
    centre_mm : (3,) mean place of its voxels, world mm RAS+.
    longest : longest axial diameter.
    short : longest line at a right angle to it, in the same plane.
    plane : number of that plane along the array axis that runs along the body.
    mean, standard_deviation : of the scan's intensities in the mask (of all its voxels, divided by their number).
    is_cut : whether the mask reaches an end of the scan, beyond which nobody sees it.
    parts : longest diameter and short axis of each part, the longest first; empty for a mask that is one.
    """

    num_vox: int
    volume_mm3: float
    centre_mm: NDArray[np.float64]
    longest: Diameter
    short: Diameter
    plane: int
    mean: float
    standard_deviation: float
    is_cut: bool
    parts: tuple[tuple[Diameter, Diameter], ...]


def axial_axis(grid: Grid) -> int:
    """Return the array axis that runs most along the body, which the axial planes of a scan cut.

    Examples
    --------
    >>> axial_axis(Volume(np.zeros((2, 2, 2)), np.diag([-1.0, -1.0, 5.0, 1.0])))
    2
    """
    return next(axis for axis, code in enumerate(axis_codes(grid)) if code in {"S", "I"})


def measure_lesions(labels: Volume, scan: Volume) -> dict[int, Measurement]:
    """Return what each label of a map measures, by label.

    Parameters
    ----------
    labels : whole numbers, 0 is no lesion; on the grid of the scan.
    scan : intensities.

    Raises
    ------
    UserError
        if map and scan differ in shape.
    """
    _require_same_voxels(labels, scan)
    return {
        number: _measure(labels, scan, box, label=number)
        for number, box in enumerate(find_objects(labels.array), start=1)
        if box is not None
    }


def _require_same_voxels(mask: Volume, scan: Volume) -> None:
    if mask.shape != scan.shape:
        raise UserError(
            f"a mask has shape {mask.shape}, its scan {scan.shape}; expected the scan's own voxels"
        )


def _measure(labels: Volume, scan: Volume, box: tuple[slice, ...], *, label: int) -> Measurement:
    """Return what one label measures, which lies in a box of the map."""
    offset = np.array([part.start for part in box])
    array = labels.array[box] == label
    affine = labels.affine.copy()
    affine[:3, 3] = transform_points(labels.affine, offset)
    intensities = np.asarray(scan.array[box][array], dtype=np.float64)
    axis = axial_axis(labels)
    longest, short, plane = _diameters(array, affine, axis=axis)
    reaches = [part.start == 0 or part.stop == size for part, size in zip(box, labels.shape, strict=True)]
    return Measurement(
        num_vox=int(array.sum()),
        volume_mm3=float(array.sum() * abs(np.linalg.det(affine[:3, :3]))),
        centre_mm=transform_points(affine, np.argwhere(array)).mean(axis=0),
        longest=longest,
        short=short,
        plane=int(offset[axis]) + plane,
        mean=float(intensities.mean()),
        standard_deviation=float(intensities.std()),
        is_cut=any(reaches),
        parts=_parts(array, affine, axis=axis),
    )


def _parts(
    array: NDArray[np.bool_], affine: NDArray[np.float64], *, axis: int
) -> tuple[tuple[Diameter, Diameter], ...]:
    """Return the longest diameter and the short axis of each part of a mask, the longest first; none of a whole one."""
    parts, num_parts = connected_parts(array, structure=TOUCHING)
    if num_parts == 1:
        return ()
    measured = []
    for part, box in enumerate(find_objects(parts), start=1):
        corner = affine.copy()
        corner[:3, 3] = transform_points(affine, np.array([side.start for side in box]))
        measured.append(_diameters(parts[box] == part, corner, axis=axis)[:2])
    return tuple(sorted(measured, key=lambda lines: -lines[0].length_mm))


def _diameters(
    array: NDArray[np.bool_], affine: NDArray[np.float64], *, axis: int
) -> tuple[Diameter, Diameter, int]:
    """Return the longest diameter in any plane, its short axis, and the plane."""
    across, down = (other for other in range(3) if other != axis)
    steps = affine[:3, [across, down]]
    directions, in_plane = np.linalg.qr(steps)  # (3, 2) orthonormal, and the steps in their mm
    best: tuple[float, NDArray, int] = (-1.0, np.empty((0, 2)), 0)
    for shown in map(int, np.flatnonzero(array.any(axis=(across, down)))):
        parts, num_parts = connected_parts(np.take(array, shown, axis=axis), structure=TOUCHING_IN_PLANE)
        for part in range(1, num_parts + 1):
            corners = convex_corners(outline_of(parts == part) @ in_plane.T)
            length_mm = float(pdist(corners).max())
            if length_mm > best[0]:
                best = (length_mm, corners, shown)
    _, corners, plane = best
    corner_of_plane = affine[:3, 3] + plane * affine[:3, axis]
    lines = (longest_line(corners), perpendicular_line(corners))
    longest, short = (Diameter(*(corner_of_plane + line @ directions.T)) for line in lines)
    return longest, short, plane


def outline_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (N, 2) pixel coordinates half way between the pixels of a mask and their neighbours that are none.

    Examples
    --------
    >>> outline_of(np.ones((1, 1), dtype=bool)).tolist()
    [[-0.5, 0.0], [0.5, 0.0], [0.0, -0.5], [0.0, 0.5]]
    """
    padded = np.pad(mask, 1)
    points = []
    for step in NEIGHBOURS:
        is_edge = padded & ~np.roll(padded, (-step[0], -step[1]), axis=(0, 1))
        points.append(np.argwhere(is_edge) - 1 + np.array(step) / 2.0)
    return np.concatenate(points)


def convex_corners(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (M, 2) corners of the convex hull of (N, 2) points, one round."""
    return points_mm[ConvexHull(points_mm).vertices]


def longest_line(corners_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (2, 2) ends of the longest line between corners of a convex outline."""
    distances = squareform(pdist(corners_mm))
    return corners_mm[list(np.unravel_index(int(distances.argmax()), distances.shape))]


def perpendicular_line(corners_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (2, 2) ends of the longest chord of a convex outline at a right angle to its longest line.

    Notes
    -----
    The length of the chord is a concave and piecewise linear function of the place along the longest line, whose bends
    are at the corners: so its largest value is at one of them.
    """
    start, end = longest_line(corners_mm)
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]])
    places = (corners_mm - start) @ np.stack([along, across]).T
    ends = np.array([_chord(places, at) for at in places[:, 0]])
    lengths = ends[:, 1] - ends[:, 0]
    at, (low, high) = places[int(lengths.argmax()), 0], ends[int(lengths.argmax())]
    return np.array([start + at * along + low * across, start + at * along + high * across])


def _chord(places: NDArray[np.float64], at: float) -> tuple[float, float]:
    """Return where the line at a place along the first axis enters and leaves a convex outline."""
    following = np.roll(places, -1, axis=0)
    left, right = np.minimum(places[:, 0], following[:, 0]), np.maximum(places[:, 0], following[:, 0])
    is_crossed = (left <= at) & (at <= right)
    first, second = places[is_crossed], following[is_crossed]
    run = second[:, 0] - first[:, 0]
    is_upright = run == 0.0
    share = np.where(is_upright, 0.0, (at - first[:, 0]) / np.where(is_upright, 1.0, run))
    heights = first[:, 1] + share * (second[:, 1] - first[:, 1])
    heights = np.concatenate([heights, second[is_upright, 1]])
    return float(heights.min()), float(heights.max())


def measurement_row(lesion: int, visit: str, found: Measurement) -> MeasurementRow:
    """Return a measurement as a row of `measurements.csv`."""
    ends = (found.longest.start_mm, found.longest.end_mm, found.short.start_mm, found.short.end_mm)
    long_start, long_end, short_start, short_end = ((float(x), float(y), float(z)) for x, y, z in ends)
    return MeasurementRow(
        lesion=lesion,
        visit=visit,
        volume_ml=found.volume_mm3 / MM3_PER_ML,
        long_axis_mm=found.longest.length_mm,
        short_axis_mm=found.short.length_mm,
        long_start_mm=long_start,
        long_end_mm=long_end,
        short_start_mm=short_start,
        short_end_mm=short_end,
        mean=found.mean,
        sd=found.standard_deviation,
        part_long_axes_mm=tuple(longest.length_mm for longest, _ in found.parts),
        part_short_axes_mm=tuple(short.length_mm for _, short in found.parts),
    )
