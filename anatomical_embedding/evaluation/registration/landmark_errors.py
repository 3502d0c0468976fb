"""How far off landmarks are before and after a registration, whether its map folds, and the file that holds it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import write_json
from anatomical_embedding.landmark_file import Landmark
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.volumes.affine import Points, spacing_from_affine, transform_points
from anatomical_embedding.volumes.volume import Volume

BODY_BOXES, AFFINE, DEFORMABLE, START = "body_boxes", "affine", "deformable", "start"
"""Maps that are compared: body boxes centred on one another, the guided start, the whole map; without a guide the
place where the volumes lay instead of the first two."""
PLANES_AT_ONCE = 4
"""Of a Jacobian's determinants: the derivatives of a whole field would not stay in the processor's cache."""


@dataclass(frozen=True)
class PointErrors:
    """Distances in mm of mapped landmarks from where they belong."""

    median_mm: float
    mean_mm: float
    max_mm: float


@dataclass(frozen=True)
class RegistrationErrors:
    """Errors of one registered pair.

    Attributes
    ----------
    num_landmarks : landmarks that both volumes show inside the registered field of view.
    points : map -> errors, in the order of the stages; empty without landmarks.
    num_headline, headline : the same of the landmarks that the run file calls the headline.
    folding_share : share of the voxels whose Jacobian determinant is not positive.
    jacobian_range : 1st and 99th percentile of the determinant; 1 keeps the volume.
    """

    num_landmarks: int
    points: dict[str, PointErrors]
    num_headline: int
    headline: dict[str, PointErrors]
    folding_share: float
    jacobian_range: tuple[float, float]

    @property
    def shown(self) -> dict[str, PointErrors]:
        """The errors of the headline where there is one, else those of all landmarks."""
        return self.headline or self.points


def common_landmarks(
    landmarks: Sequence[Landmark], names: tuple[str, str], volumes: tuple[Volume, Volume]
) -> tuple[NDArray[np.str_], Points, Points]:
    """Return the landmarks that both volumes of a pair show.

    Parameters
    ----------
    landmarks : of the data set.
    names, volumes : ids of the two and what they show; only the grids of the latter count.

    Returns
    -------
    names, points_mm, other_points_mm
        (N,) names and (N, 3) places in the world of each volume, mm RAS+.
    """
    known: tuple[dict[str, tuple[float, float, float]], dict[str, tuple[float, float, float]]] = ({}, {})
    for landmark in landmarks:
        for places, name in zip(known, names, strict=True):
            if landmark.volume_id == name:
                places[landmark.landmark] = (landmark.x_mm, landmark.y_mm, landmark.z_mm)
    common = np.array(sorted(known[0].keys() & known[1].keys()), dtype=str)
    fixed, moving = (np.array([places[landmark] for landmark in common]).reshape(-1, 3) for places in known)
    is_seen = volumes[0].contains(fixed) & volumes[1].contains(moving)
    return common[is_seen], fixed[is_seen], moving[is_seen]


def measure_errors(
    field: DisplacementField,
    *,
    before: Mapping[str, NDArray[np.float64]],
    fixed_mm: Points,
    moving_mm: Points,
    is_headline: NDArray[np.bool_],
) -> RegistrationErrors:
    """Return the errors of a map and of those before it.

    Parameters
    ----------
    field : the whole map.
    before : name -> (4, 4) map from fixed to moving world, such as the start.
    fixed_mm, moving_mm : (N, 3) landmarks that both volumes show.
    is_headline : (N,) those that are the headline.
    """
    errors_mm: dict[str, NDArray[np.float64]] = {}
    if len(fixed_mm):
        mapped = {name: transform_points(matrix, fixed_mm) for name, matrix in before.items()}
        mapped[DEFORMABLE] = field.moving_points(fixed_mm)
        errors_mm = {name: np.linalg.norm(places - moving_mm, axis=1) for name, places in mapped.items()}
    determinant = jacobian_determinant(field)
    low, high = np.percentile(determinant, [1, 99])
    return RegistrationErrors(
        num_landmarks=len(fixed_mm),
        points={name: _summed_up(errors) for name, errors in errors_mm.items()},
        num_headline=int(is_headline.sum()),
        headline={
            name: _summed_up(errors[is_headline]) for name, errors in errors_mm.items() if is_headline.any()
        },
        folding_share=float((determinant <= 0.0).mean()),
        jacobian_range=(float(low), float(high)),
    )


def _summed_up(errors_mm: NDArray[np.float64]) -> PointErrors:
    return PointErrors(float(np.median(errors_mm)), float(errors_mm.mean()), float(errors_mm.max()))


def jacobian_determinant(field: DisplacementField) -> NDArray[np.float64]:
    """Return the (X, Y, Z) determinant of the derivative of x + u(x): how much volume grows, at or below 0 it folds.

    Differences are central, one-sided at the border; an axis of one voxel counts as constant. Displacements and
    derivatives are both taken along the array axes, which leaves the determinant as it is.
    """
    spacing = spacing_from_affine(field.affine)
    directions = field.affine[:3, :3] / spacing  # columns, orthonormal, of the array axes
    num_planes = len(field.displacements_mm)
    determinant = np.empty(field.displacements_mm.shape[:3])
    for first in range(0, num_planes, PLANES_AT_ONCE):
        beside = max(first - 1, 0)  # the difference at a plane looks one to each side
        slab = field.displacements_mm[beside : first + PLANES_AT_ONCE + 1]
        along_axes = (slab.reshape(-1, 3).astype(np.float64) @ directions).reshape(slab.shape)
        inner = slice(first - beside, first - beside + PLANES_AT_ONCE)
        rows = [
            [_derivative(along_axes[..., component], axis, spacing)[inner] for axis in range(3)]
            for component in range(3)
        ]
        for axis in range(3):
            rows[axis][axis] += 1.0
        (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rows
        determinant[first : first + PLANES_AT_ONCE] = (
            xx * (yy * zz - yz * zy) - xy * (yx * zz - yz * zx) + xz * (yx * zy - yy * zx)
        )
    return determinant


def _derivative(
    values: NDArray[np.float64], axis: int, spacing_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the derivative of (X, Y, Z) values along an array axis, zero where it has one voxel."""
    if values.shape[axis] == 1:
        return np.zeros(values.shape)
    return np.asarray(np.gradient(values, spacing_mm[axis], axis=axis))


def write_registration_errors(errors: RegistrationErrors, path: Path) -> None:
    """Write the errors of a pair as JSON, atomically."""
    write_json(path, asdict(errors))


def read_registration_errors(path: Path) -> RegistrationErrors:
    """Return the errors of a pair.

    Raises
    ------
    InputFileError
        if the file is not one that `write_registration_errors` wrote.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        points, headline = (
            {name: PointErrors(**errors) for name, errors in content.pop(key).items()}
            for key in ("points", "headline")
        )
        low, high = content.pop("jacobian_range")
        return RegistrationErrors(**content, points=points, headline=headline, jacobian_range=(low, high))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputFileError(
            path, f"holds no errors of a registered pair ({error}); score it again"
        ) from error
