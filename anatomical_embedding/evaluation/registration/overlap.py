"""How well two label maps agree: Dice and surface distance.

Distances are in mm between centres of surface voxels: voxels of a label of which a face neighbour is not of it, those
at the border of the volume among them. A label that one map lacks is a row with a reason and a Dice of 0; it is never
left out.

Sources: Dice 1945; symmetric surface distances as in Heimann et al., "Comparison and evaluation of methods for liver
segmentation", TMI 2009.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, find_objects

from anatomical_embedding.errors import UserError
from anatomical_embedding.volumes.volume import Volume

Slices = tuple[slice, slice, slice]

AFFINE_TOLERANCE_MM = 1e-3
"""Two grids are one if their affines differ by no more; float32 headers differ by less."""


@dataclass(frozen=True)
class LabelOverlap:
    """Agreement of one label in two maps; distances are NaN if either map lacks the label.

    Attributes
    ----------
    label : its value.
    dice : 0 to 1; NaN if both maps lack the label.
    mean_distance_mm : mean of the distances from either surface to the other, all voxels alike.
    p95_distance_mm : their 95th percentile.
    reason : why there is no distance; empty if there is one.
    """

    label: int
    dice: float
    mean_distance_mm: float
    p95_distance_mm: float
    reason: str


def measure_overlap(predicted: Volume, truth: Volume, *, labels: Sequence[int]) -> list[LabelOverlap]:
    """Return the agreement of every label, in the order asked for.

    Parameters
    ----------
    predicted, truth : label maps, integers, on one grid whose axes are at right angles.
    labels : values to measure, above zero.

    Raises
    ------
    UserError
        if the maps do not share a grid or do not hold integers.

    Notes
    -----
    Each label is measured in the box around its voxels in both maps, so the time grows with the labels' boxes.
    """
    _check_one_grid(predicted, truth)
    boxes = [_boxes_of_labels(volume.array) for volume in (predicted, truth)]
    overlaps = []
    for label in labels:
        box_predicted, box_truth = (of_label.get(label) for of_label in boxes)
        if box_predicted is None or box_truth is None:
            overlaps.append(_overlap_of_missing(label, box_predicted is None, box_truth is None))
            continue
        box = _union(box_predicted, box_truth)
        masks = (predicted.array[box] == label, truth.array[box] == label)
        distances = surface_distances_mm(*masks, spacing_mm=truth.spacing_mm)
        overlaps.append(
            LabelOverlap(
                label,
                dice_of_masks(*masks),
                float(distances.mean()),
                float(np.quantile(distances, 0.95)),
                "",
            )
        )
    return overlaps


def dice_of_masks(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return twice the common voxels over the voxels of both masks; NaN if both are empty.

    Examples
    --------
    >>> dice_of_masks(np.array([True, True, False]), np.array([False, True, False]))
    0.6666666666666666
    """
    total = int(first.sum()) + int(second.sum())
    return 2.0 * int((first & second).sum()) / total if total else float("nan")


def surface_distances_mm(
    first: NDArray[np.bool_], second: NDArray[np.bool_], *, spacing_mm: ArrayLike
) -> NDArray[np.float64]:
    """Return the distance from every surface voxel of either mask to the nearest one of the other, in mm.

    Parameters
    ----------
    first, second : (X, Y, Z) masks, neither empty, which hold their objects whole.
    spacing_mm : (3,) voxel spacing.

    Returns
    -------
    (number of surface voxels of both masks,) float64: those of the first, then those of the second.
    """
    surfaces = [mask & ~binary_erosion(mask) for mask in (first, second)]
    sampling = np.asarray(spacing_mm, dtype=np.float64)
    to_first, to_second = (distance_transform_edt(~surface, sampling=sampling) for surface in surfaces)
    return np.concatenate([to_second[surfaces[0]], to_first[surfaces[1]]])


def _check_one_grid(predicted: Volume, truth: Volume) -> None:
    """Refuse label maps of different grids, or of other values than integers."""
    if predicted.shape != truth.shape:
        raise UserError(
            f"label maps have the shapes {predicted.shape} and {truth.shape}; resample one to the other"
        )
    if np.abs(predicted.affine - truth.affine).max() > AFFINE_TOLERANCE_MM:
        raise UserError("label maps have different affines; resample one to the grid of the other")
    for volume in (predicted, truth):
        if not np.issubdtype(volume.array.dtype, np.integer):
            raise UserError(f"label map holds {volume.array.dtype}, expected integers")


def _boxes_of_labels(array: NDArray) -> dict[int, Slices]:
    """Return label -> the box around its voxels, of the labels that occur."""
    boxes = find_objects(array)
    return {label: box for label, box in enumerate(boxes, start=1) if box is not None}


def _union(first: Slices, second: Slices) -> Slices:
    """Return the box around two boxes."""
    x, y, z = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return x, y, z


def _overlap_of_missing(
    label: int, is_missing_in_prediction: bool, is_missing_in_truth: bool
) -> LabelOverlap:
    """Return the row of a label that at least one map lacks."""
    nan = float("nan")
    if is_missing_in_prediction and is_missing_in_truth:
        return LabelOverlap(label, nan, nan, nan, "missing in both maps")
    reason = "missing in the prediction" if is_missing_in_prediction else "missing in the truth"
    return LabelOverlap(label, 0.0, nan, nan, reason)
