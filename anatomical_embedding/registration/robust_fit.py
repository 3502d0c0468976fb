"""The rigid, similarity or affine map that carries points onto their partners, though many partners are false.

Sources: Kabsch (1976) and Umeyama (1991) for the closed forms; Fischler and Bolles (1981) for sampling, with the
score of Torr and Zisserman (2000), in which an inlier counts by its residual; Rousseeuw (1984) for trimming; Stone
(1974) for choosing the kind of map by what was left out.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.settings.registration import AffineFitSettings, MapKind
from anatomical_embedding.volumes.affine import Points, transform_points

SAMPLE_SIZE: dict[MapKind, int] = {"rigid": 3, "similarity": 3, "affine": 4}
"""Points that determine a map."""
RICHER_KINDS: tuple[MapKind, ...] = ("similarity", "affine")
"""What `auto` tries after rigid."""
MOST_SCORED = 400
"""Matches that random samples are drawn from and scored by: the share of true ones among them is that among all."""
NUM_REFINED = 8
"""Best samples that are refined by all matches: where bodies differ by more than a map says, the best one need not lead
to the best map."""
MAX_REFINEMENTS = 20
"""Rounds of fitting to the inliers; it settles after a few."""
RIGID_TOLERANCE = 1e-6
"""Of the products of the columns of a rotation."""
BLOCKS_PER_AXIS = 4
"""Parts of the matches along each principal axis, 64 in all, that are left out by turns."""
LEAST_GAIN_IN_STANDARD_ERRORS = 2.0
"""Over these blocks, by which a richer map must predict left-out matches better."""


@dataclass(frozen=True)
class FittedMap:
    """A map and the points that agree with it.

    Attributes
    ----------
    kind : which maps were allowed.
    matrix : (4, 4) fixed to moving, world mm RAS+.
    is_inlier : (N,) whose residual is at most the inlier distance.
    residual_mm : (N,) distance of the mapped fixed points to their partners.
    """

    kind: MapKind
    matrix: NDArray[np.float64]
    is_inlier: NDArray[np.bool_]
    residual_mm: NDArray[np.float64]


def fit_map(fixed_mm: Points, moving_mm: Points, *, settings: AffineFitSettings) -> FittedMap:
    """Return the map of the settings' kind that most correspondences agree with.

    Parameters
    ----------
    fixed_mm, moving_mm : (N, 3); N is at least the number of points that determine the map.
    settings : kind and estimator. `least_squares` uses all points alike (published), `trimmed` the half with the
        smaller residuals, `ransac` the largest set that one map explains.

    Notes
    -----
    Deterministic: samples are drawn by a seed. Tens of milliseconds for a thousand points, three times that for `auto`.
    """
    if settings.kind != "auto":
        return _map_of_kind(settings.kind, fixed_mm, moving_mm, settings=settings)
    chosen = _map_of_kind("rigid", fixed_mm, moving_mm, settings=settings)
    for kind in RICHER_KINDS:
        richer = _map_of_kind(kind, fixed_mm, moving_mm, settings=settings)
        is_determined = not lies_flat(richer, fixed_mm, settings=settings)
        if (
            has_plausible_scales(richer.matrix, settings=settings)
            and is_determined
            and _predicts_better(richer, chosen, fixed_mm, moving_mm, settings=settings)
        ):
            chosen = richer
    return chosen


def has_plausible_scales(matrix: NDArray[np.float64], *, settings: AffineFitSettings) -> bool:
    """Tell whether a (4, 4) map mirrors nothing, and scales no direction by more than the settings allow."""
    scales = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    most = 1.0 + settings.max_scale_change
    return bool(np.linalg.det(matrix[:3, :3]) > 0.0 and scales.max() <= most and scales.min() >= 1.0 / most)


def lies_flat(fitted: FittedMap, fixed_mm: Points, *, settings: AffineFitSettings) -> bool:
    """Tell whether the points that agree with a map leave it open: on a plane an affine one, on a line any other."""
    if not fitted.is_inlier.any():
        return True
    spread = spread_mm(fixed_mm[fitted.is_inlier])[2 if fitted.kind == "affine" else 1]
    return bool(spread < settings.min_spread_mm)


def _map_of_kind(
    kind: MapKind, fixed_mm: Points, moving_mm: Points, *, settings: AffineFitSettings
) -> FittedMap:
    """Return the map of one kind that most correspondences agree with."""
    match settings.estimator:
        case "ransac":
            matrix = _sampled_map(kind, fixed_mm, moving_mm, settings=settings)
        case "trimmed":
            matrix = closed_form_maps(fixed_mm, moving_mm, kind=kind)
            matrix = _refined(matrix, kind, fixed_mm, moving_mm, settings=settings, by="median")
        case "least_squares":
            matrix = closed_form_maps(fixed_mm, moving_mm, kind=kind)
    if settings.max_rotation_component_rad is not None:
        matrix = _with_clipped_rotation(
            matrix, fixed_mm, moving_mm, limit_rad=settings.max_rotation_component_rad
        )
    residual = _residuals(matrix, fixed_mm, moving_mm)
    return FittedMap(kind, matrix, residual <= settings.inlier_distance_mm, residual)


def _predicts_better(
    richer: FittedMap,
    poorer: FittedMap,
    fixed_mm: Points,
    moving_mm: Points,
    *,
    settings: AffineFitSettings,
) -> bool:
    """Tell whether a richer map predicts the matches of blocks that it was not fitted to better, beyond chance."""
    block = blocks(fixed_mm, per_axis=BLOCKS_PER_AXIS)
    gain_mm2 = _left_out_costs(poorer, block, fixed_mm, moving_mm, settings=settings) - _left_out_costs(
        richer, block, fixed_mm, moving_mm, settings=settings
    )
    gains = np.array([gain_mm2[block == number].mean() for number in np.unique(block)])
    if len(gains) == 1:
        return False
    standard_error = gains.std(ddof=1) / math.sqrt(len(gains))
    return bool(gains.mean() > LEAST_GAIN_IN_STANDARD_ERRORS * standard_error)


def _left_out_costs(
    fitted: FittedMap,
    block: NDArray[np.int64],
    fixed_mm: Points,
    moving_mm: Points,
    *,
    settings: AffineFitSettings,
) -> NDArray[np.float64]:
    """Return the (N,) squared residuals, at most the inlier distance's, under maps fitted to the other blocks."""
    costs = np.full(len(fixed_mm), settings.inlier_distance_mm**2)
    for number in np.unique(block):
        left_out = block == number
        used = fitted.is_inlier & ~left_out
        if used.sum() >= SAMPLE_SIZE[fitted.kind]:
            matrix = closed_form_maps(fixed_mm[used], moving_mm[used], kind=fitted.kind)
            residual = _residuals(matrix, fixed_mm[left_out], moving_mm[left_out])
            costs[left_out] = _costs(residual**2, settings)
    return costs


def blocks(points_mm: Points, *, per_axis: int) -> NDArray[np.int64]:
    """Return the (N,) block, from 0, of points in equally many parts along each of their principal axes.

    Parameters
    ----------
    points_mm : (N, 3).
    per_axis : parts of an axis, each with as many points as the others.
    """
    _, _, axes = np.linalg.svd(points_mm - points_mm.mean(axis=0), full_matrices=False)
    block = np.zeros(len(points_mm), dtype=np.int64)
    for along_axis in (points_mm @ axes.T).T:
        edges = np.quantile(along_axis, np.arange(1, per_axis) / per_axis)
        block = block * per_axis + np.searchsorted(edges, along_axis)
    return block


def closed_form_maps(fixed_mm: NDArray, moving_mm: NDArray, *, kind: MapKind) -> NDArray[np.float64]:
    """Return the (..., 4, 4) least-squares maps of (..., N, 3) points.

    Parameters
    ----------
    fixed_mm, moving_mm : points and their partners.
    kind : `rigid` has rotation and shift, `similarity` one scale more, `affine` any linear part.

    Notes
    -----
    Points that do not determine a map give some map of the kind for rigid and similarity, the one of smallest change
    of the linear part for affine.
    """
    fixed_centre = fixed_mm.mean(axis=-2, keepdims=True)
    moving_centre = moving_mm.mean(axis=-2, keepdims=True)
    fixed, moving = fixed_mm - fixed_centre, moving_mm - moving_centre
    if kind == "affine":
        linear = np.swapaxes(np.linalg.pinv(fixed) @ moving, -1, -2)
    else:
        linear = _rotations(fixed, moving)
        if kind == "similarity":
            rotated = fixed @ np.swapaxes(linear, -1, -2)
            scale = (rotated * moving).sum(axis=(-2, -1)) / np.maximum((fixed**2).sum(axis=(-2, -1)), 1e-12)
            linear = linear * scale[..., None, None]
    maps = np.zeros((*fixed_mm.shape[:-2], 4, 4))
    maps[..., :3, :3] = linear
    maps[..., :3, 3] = (moving_centre - fixed_centre @ np.swapaxes(linear, -1, -2))[..., 0, :]
    maps[..., 3, 3] = 1.0
    return maps


def spread_mm(points_mm: Points) -> NDArray[np.float64]:
    """Return (3,) standard deviations along the principal axes, largest first; small ones tell a line or a plane."""
    centred = points_mm - points_mm.mean(axis=0)
    deviations = np.linalg.svd(centred, compute_uv=False) / np.sqrt(len(points_mm))
    return np.pad(deviations, (0, 3 - len(deviations)))


def _rotations(fixed: NDArray, moving: NDArray) -> NDArray[np.float64]:
    """Return the (..., 3, 3) proper rotations of centred points (Kabsch)."""
    left, _, right = np.linalg.svd(np.swapaxes(moving, -1, -2) @ fixed)
    signs = np.ones(left.shape[:-1])
    signs[..., 2] = np.sign(np.linalg.det(left @ right))
    return (left * signs[..., None, :]) @ right


def _sampled_map(
    kind: MapKind, fixed_mm: Points, moving_mm: Points, *, settings: AffineFitSettings
) -> NDArray[np.float64]:
    """Return the map that explains the points best, of those that the best random samples lead to."""
    generator = np.random.default_rng(settings.seed)
    scored = generator.permutation(len(fixed_mm))[:MOST_SCORED]
    fixed, moving = fixed_mm[scored], moving_mm[scored]
    size = SAMPLE_SIZE[kind]
    order = generator.random((settings.num_samples, len(fixed))).argpartition(size - 1, axis=1)[:, :size]
    maps = closed_form_maps(fixed[order], moving[order], kind=kind)
    mapped = fixed @ np.swapaxes(maps[:, :3, :3], 1, 2) + maps[:, None, :3, 3]  # (samples, N, 3)
    costs = _costs(((mapped - moving) ** 2).sum(axis=2), settings).sum(axis=1)
    refined = [
        _refined(maps[number], kind, fixed_mm, moving_mm, settings=settings, by="distance")
        for number in np.argsort(costs, kind="stable")[:NUM_REFINED]
    ]
    return min(
        refined,
        key=lambda matrix: _costs(_residuals(matrix, fixed_mm, moving_mm) ** 2, settings).sum(),
    )


def _costs(squared_mm2: NDArray[np.float64], settings: AffineFitSettings) -> NDArray[np.float64]:
    """Return squared residuals, at most the inlier distance's."""
    return np.minimum(squared_mm2, settings.inlier_distance_mm**2)


def _refined(
    matrix: NDArray[np.float64],
    kind: MapKind,
    fixed_mm: Points,
    moving_mm: Points,
    *,
    settings: AffineFitSettings,
    by: Literal["distance", "median"],
) -> NDArray[np.float64]:
    """Return the map fitted again and again to the points that agree with it, until these stay the same."""
    chosen = np.zeros(len(fixed_mm), dtype=bool)
    for _ in range(MAX_REFINEMENTS):
        residual = _residuals(matrix, fixed_mm, moving_mm)
        limit = settings.inlier_distance_mm if by == "distance" else float(np.median(residual))
        before, chosen = chosen, residual <= limit
        if (chosen == before).all() or chosen.sum() < SAMPLE_SIZE[kind]:
            break
        matrix = closed_form_maps(fixed_mm[chosen], moving_mm[chosen], kind=kind)
    return matrix


def _with_clipped_rotation(
    matrix: NDArray[np.float64], fixed_mm: Points, moving_mm: Points, *, limit_rad: float
) -> NDArray[np.float64]:
    """Return a rigid map whose rotation vector stays within limits, its shift computed again (published rule)."""
    # Loaded where it is needed: few registrations limit the rotation, and all would wait for it.
    from scipy.spatial.transform import Rotation  # noqa: PLC0415

    vector = Rotation.from_matrix(matrix[:3, :3]).as_rotvec().clip(-limit_rad, limit_rad)
    clipped = np.eye(4)
    clipped[:3, :3] = Rotation.from_rotvec(vector).as_matrix()
    clipped[:3, 3] = moving_mm.mean(axis=0) - clipped[:3, :3] @ fixed_mm.mean(axis=0)
    return clipped


def is_rigid(matrix: NDArray[np.float64]) -> bool:
    """Tell whether a (4, 4) map keeps all distances, to a millionth.

    Examples
    --------
    >>> is_rigid(np.diag([-1.0, -1.0, 1.0, 1.0])), is_rigid(np.diag([1.0, 1.0, 1.1, 1.0]))
    (True, False)
    """
    linear = matrix[:3, :3]
    return bool(np.abs(linear.T @ linear - np.eye(3)).max() <= RIGID_TOLERANCE)


def rotation_angle_rad(rotation: NDArray[np.float64]) -> float:
    """Return the angle in 0 to pi by which a (3, 3) rotation matrix turns.

    Notes
    -----
    A rotation differs from the identity by 2 sqrt(2) sin(angle / 2) in the Frobenius norm.

    Examples
    --------
    >>> rotation_angle_rad(np.diag([-1.0, -1.0, 1.0])) == np.pi
    True
    """
    sine = np.linalg.norm(rotation - np.eye(3)) / math.sqrt(8.0)
    return 2.0 * math.asin(min(1.0, float(sine)))


def _residuals(matrix: NDArray[np.float64], fixed_mm: Points, moving_mm: Points) -> NDArray[np.float64]:
    return np.linalg.norm(transform_points(matrix, fixed_mm) - moving_mm, axis=1)
