"""Lesions of synthetic bodies at two times, written as the public annotations of Deep Lesion Tracking.

Every lesion that one scan shows becomes a directed pair to the other scan of its body, and the other way round. Pairs
whose target scan does not show the lesion go into a list of their own: the public format knows no such pair. They have
the same fields, without those of the target's lesion.

As in the public files lengths are in voxels, the slice index runs from head to foot, centres and diameters have one
decimal, and `predict target center` is an affine start: the point at the same relative place in the box round the
body, which both scans show without knowing the lesion (`baselines.body_affine`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.evaluation.baselines.body_box import BodyBox, body_affine
from anatomical_embedding.evaluation.lesions.tracked_volumes import TrackedVolume

SUFFIX = ".nii.gz"


@dataclass(frozen=True)
class ScannedLesion:
    """A lesion in one scan.

    Attributes
    ----------
    name : the same in both scans of a body.
    centre_mm : (3,) world mm RAS+ of the scan.
    radius_mm : radius of the ball.
    is_inside : whether the scan shows its centre.
    """

    name: str
    centre_mm: NDArray[np.float64]
    radius_mm: float
    is_inside: bool


@dataclass(frozen=True)
class LesionScan:
    """A scan with all lesions of its body.

    Attributes
    ----------
    volume : the scan.
    box : box round the body in the prepared volume.
    lesions : by name.
    """

    volume: TrackedVolume
    box: BodyBox
    lesions: Mapping[str, ScannedLesion]


def annotate_pairs(
    bodies: Iterable[tuple[LesionScan, LesionScan]],
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the annotated pairs, and those whose target does not show the lesion; names are unique over both.

    Parameters
    ----------
    bodies : both scans of each body.
    """
    annotated: dict[str, dict[str, Any]] = {}
    out_of_view: dict[str, dict[str, Any]] = {}
    for first, second in bodies:
        for name in first.lesions:
            for source, target in ((first, second), (second, first)):
                if not source.lesions[name].is_inside:
                    continue
                is_seen = target.lesions[name].is_inside
                pairs = annotated if is_seen else out_of_view
                number = len(annotated) + len(out_of_view) + 1
                pairs[f"{number:04d}"] = _annotated_pair(source, target, name)
    return annotated, out_of_view


def _annotated_pair(source: LesionScan, target: LesionScan, name: str) -> dict[str, Any]:
    pair: dict[str, Any] = {}
    for role, scan in (("source", source), ("target", target)):
        pair[role] = f"{scan.volume.row.volume_id}{SUFFIX}"
        pair[f"{role} spacing"] = [round(float(step), 6) for step in _spacing(scan.volume)]
        if scan.lesions[name].is_inside:
            pair |= {f"{role} {key}": value for key, value in _lesion_fields(scan, name).items()}
    start_mm = body_affine(source.lesions[name].centre_mm[np.newaxis], source.box, target.box)
    start_vox = target.volume.voxel_from_world(start_mm)[0]
    radii_vox = source.lesions[name].radius_mm / _spacing(target.volume)
    pair["predict target center"] = _rounded(start_vox)
    pair["predict target box"] = _rounded([*(start_vox - radii_vox), *(2.0 * radii_vox)])
    return pair


def _lesion_fields(scan: LesionScan, name: str) -> dict[str, Any]:
    """Return what a radiologist would have marked: a box in 3D, and two diameters on the slice nearest the centre."""
    lesion = scan.lesions[name]
    centre = scan.volume.voxel_from_world(lesion.centre_mm[np.newaxis])[0]
    radii = lesion.radius_mm / _spacing(scan.volume)
    low = np.floor(centre - radii + 0.5)
    high = np.maximum(np.ceil(centre + radii + 0.5), low + 1)
    (x, y, z), across = centre, radii[0]
    return {
        "box": [float(value) for value in (*low, *(high - low))],
        "center": _rounded(centre),
        "recist slice": f"{scan.volume.row.volume_id}/{round(z):03d}.png",
        "recist coordinate": _rounded([x - across, y, x + across, y, x, y - across, x, y + across]),
        "recist diameter": _rounded([2.0 * across, 2.0 * across]),
        "recist box": _rounded([x - across, y - across, 2.0 * across, 2.0 * across]),
        "recist center": _rounded([x, y, round(z)]),
    }


def _spacing(volume: TrackedVolume) -> NDArray[np.float64]:
    return np.linalg.norm(volume.affine[:3, :3], axis=0)


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 1) for value in values]
