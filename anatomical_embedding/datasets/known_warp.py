"""Real CTs warped by fields that are known everywhere: where a point lies in the target is then known exactly.

A place y of the target shows what lies at `phi(y)` in the scan. Points are drawn in the target and their partners in
the template are their images under `phi`, so no inverse is ever taken. The displacement is a cubic B-spline, so `phi`
is the same function wherever it is evaluated; sliding moves everything inside an elliptic cylinder along its axis,
which maps the cylinder onto itself, so that nothing opens or overlaps at its wall.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter

from anatomical_embedding.canonical_text import sha256_of_text
from anatomical_embedding.settings.known_warps import KnownWarpsSettings, WarpSettings
from anatomical_embedding.volumes.affine import Points, transform_points
from anatomical_embedding.volumes.resample import resample_to_spacing
from anatomical_embedding.volumes.volume import Volume, VolumeHeader

KNOTS_PER_SMOOTH = 4
"""Knots of the spline per standard deviation of the smoothing."""
MARGIN_KNOTS = 3
SHRINK = 0.95
SLIDING_SHARE = 0.6
"""Half axes of the sliding cylinder, in units of those of the scan."""
ENHANCED_AT_HU, ENHANCED_WIDTH_HU = 60.0, 40.0
LESION_EDGE_MM = 2.0
BODY_GRID_MM = 4.0
NUM_DRAWS = 20000

BodyOf = Callable[[Volume], NDArray[np.bool_]]
"""Gives the (X, Y, Z) mask of the body in a CT."""


@dataclass(frozen=True)
class KnownWarp:
    """A map from places of the target to those of the template.

    Attributes
    ----------
    knots_mm : (3, A, B, C) coefficients of the cubic B-spline, mm.
    origin_mm : (3,) place of the first knot in the world.
    step_mm : distance of the knots.
    axis_mm, half_axes_mm : (2,) middle of the sliding cylinder in x and y, and its half axes.
    slide_mm : by how far its inside moved along z.
    """

    knots_mm: NDArray[np.float64]
    origin_mm: NDArray[np.float64]
    step_mm: float
    axis_mm: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    half_axes_mm: NDArray[np.float64] = field(default_factory=lambda: np.ones(2))
    slide_mm: float = 0.0

    def displacement_mm(self, points_mm: Points) -> Points:
        """Return the (..., 3) smooth displacement at (..., 3) places of the target."""
        places = np.moveaxis((points_mm - self.origin_mm) / self.step_mm, -1, 0)
        parts = [
            map_coordinates(part, places, order=3, prefilter=False, mode="nearest") for part in self.knots_mm
        ]
        return np.stack(parts, axis=-1)

    def displacement_on_slice_mm(self, x_mm: NDArray, y_mm: NDArray, z_mm: float) -> Points:
        """Return the (X, Y, 3) displacement where lines of (X,) and (Y,) coordinates cross at a height, much faster."""
        along = [
            _cubic_basis((places - origin) / self.step_mm, count)
            for places, origin, count in zip(
                (x_mm, y_mm, np.array([z_mm])), self.origin_mm, self.knots_mm.shape[1:], strict=True
            )
        ]
        at_height = self.knots_mm @ along[2][0]
        return np.moveaxis(along[0] @ at_height @ along[1].T, 0, -1)

    def to_template(self, points_mm: Points, displacement_mm: Points | None = None) -> Points:
        """Return the (..., 3) places of the template that lie at (..., 3) places of the target.

        The displacement there is worked out where it is not known.
        """
        moved = points_mm + (self.displacement_mm(points_mm) if displacement_mm is None else displacement_mm)
        outside = (moved[..., :2] - self.axis_mm) / self.half_axes_mm
        moved[..., 2] += self.slide_mm * (np.sum(outside**2, axis=-1) < 1.0)
        return moved


@dataclass(frozen=True)
class WarpedPair:
    """Two scans of a patient and points that correspond.

    Attributes
    ----------
    template, target : CTs, int16.
    template_mm, target_mm : (N, 3) corresponding points, each in the world of its scan.
    growth : (N,) radius of the lesion around a point in the target over that in the template; NaN without a lesion.
    """

    template: Volume
    target: Volume
    template_mm: Points
    target_mm: Points
    growth: NDArray[np.float64]


def draw_pair(
    scan: Volume, name: str, *, warp_name: str, body_of: BodyOf, settings: KnownWarpsSettings
) -> WarpedPair:
    """Return a scan, the same patient after a warp, and corresponding points, from names and the seed alone.

    Parameters
    ----------
    scan : CT in HU whose axes run along the world's x, y and z, either way.
    name : of the scan.
    warp_name : one of `settings.warps`.
    body_of : where points may lie.
    settings : the yardstick.
    """
    asked = settings.warps[warp_name]
    generator = _generator_of(name, warp_name, settings=settings)
    warp = draw_warp(scan, asked, generator=generator, settings=settings)
    grid = _grid_of_target(scan, warp, asked, generator=generator)
    target = _seen_through(scan, warp, grid)
    template_mm, target_mm = _draw_points(
        scan, target, warp, asked, body=body_of, generator=generator, settings=settings
    )
    growth = np.full(len(target_mm), np.nan)
    template = scan.array.astype(np.float32)
    array = target.array
    if asked.growth:
        radii = generator.uniform(*settings.lesion_radius_mm, len(target_mm))
        growth = np.resize(asked.growth, len(target_mm))
        template = _with_lesions(template, scan, template_mm, radii, intensity=settings.lesion_hu)
        array = _with_lesions(array, target, target_mm, growth * radii, intensity=settings.lesion_hu)
    array = array + asked.enhanced_hu * np.exp(-0.5 * ((array - ENHANCED_AT_HU) / ENHANCED_WIDTH_HU) ** 2)
    array = array + asked.noise_hu * generator.standard_normal(array.shape, dtype=np.float32)
    return WarpedPair(
        Volume(_as_hu(template), scan.affine),
        Volume(_as_hu(array), target.affine),
        template_mm,
        target_mm,
        growth,
    )


def warp_of_pair(scan: Volume, name: str, *, warp_name: str, settings: KnownWarpsSettings) -> KnownWarp:
    """Return the warp of the pair that `draw_pair` draws."""
    generator = _generator_of(name, warp_name, settings=settings)
    return draw_warp(scan, settings.warps[warp_name], generator=generator, settings=settings)


def warped_labels(labels: Volume, warp: KnownWarp, *, grid: VolumeHeader, reach_mm: float) -> Volume:
    """Return the nearest labels of a scan, seen through a warp.

    Parameters
    ----------
    labels : not all zero, on a grid whose axes run along the world's x, y and z, either way.
    warp : from the target's world.
    grid : of the target or finer, with such axes as well.
    reach_mm : the warp moves nothing farther along an axis.

    Returns
    -------
    Volume
        on the grid, of the labels' type; 0 beyond the labels' grid.
    """
    found = Volume(np.zeros(grid.shape, labels.array.dtype), grid.affine)
    ends_mm = labels.world_from_voxel(np.argwhere(labels.array))
    ends_mm = np.array([ends_mm.min(axis=0) - reach_mm, ends_mm.max(axis=0) + reach_mm])
    ends = np.sort(found.voxel_from_world(ends_mm), axis=0)
    first = np.clip(np.floor(ends[0]).astype(int), 0, grid.shape)
    last = np.clip(np.ceil(ends[1]).astype(int) + 1, 0, grid.shape)
    x, y = np.meshgrid(*(np.arange(first[axis], last[axis]) for axis in (0, 1)), indexing="ij")
    for z in range(first[2], last[2]):
        seen_vox = np.rint(
            _seen_vox(labels, warp, found, np.stack([x, y, np.full(x.shape, z)], axis=-1))
        ).astype(int)
        inside = np.all((seen_vox >= 0) & (seen_vox < labels.shape), axis=-1)
        found.array[x[inside], y[inside], z] = labels.array[tuple(seen_vox[inside].T)]
    return found


def _generator_of(name: str, warp_name: str, *, settings: KnownWarpsSettings) -> np.random.Generator:
    key = int(sha256_of_text(f"{name}:{warp_name}")[:15], 16)
    return np.random.default_rng([settings.seed, key])


def draw_warp(
    scan: Volume, asked: WarpSettings, *, generator: np.random.Generator, settings: KnownWarpsSettings
) -> KnownWarp:
    """Return a random smooth map of the box of a scan that folds nothing."""
    corners = scan.world_from_voxel(
        np.stack(np.meshgrid(*[(0, size - 1) for size in scan.shape], indexing="ij"), axis=-1).reshape(-1, 3)
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    step_mm = asked.smooth_mm / KNOTS_PER_SMOOTH
    size = np.ceil((high - low) / step_mm).astype(int) + 1 + 2 * MARGIN_KNOTS
    noise = [
        gaussian_filter(generator.standard_normal(size), KNOTS_PER_SMOOTH, mode="wrap") for _ in range(3)
    ]
    knots = np.stack(noise)
    origin_mm = low - MARGIN_KNOTS * step_mm
    at_knots = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), axis=-1) * step_mm + origin_mm
    lengths = np.linalg.norm(KnownWarp(knots, origin_mm, step_mm).displacement_mm(at_knots), axis=-1)
    knots *= min(asked.mean_mm / lengths.mean(), settings.largest_mm / lengths.max())
    while smallest_volume(KnownWarp(knots, origin_mm, step_mm), at_knots) < settings.smallest_volume:
        knots *= SHRINK
    middle, half = (low + high)[:2] / 2, (high - low)[:2] / 2
    return KnownWarp(
        knots, origin_mm, step_mm, axis_mm=middle, half_axes_mm=SLIDING_SHARE * half, slide_mm=asked.slide_mm
    )


def smallest_volume(warp: KnownWarp, grid_mm: NDArray[np.float64]) -> float:
    """Return the smallest share of its volume that a piece of tissue keeps, seen on an (A, B, C, 3) grid of places."""
    field_mm = warp.displacement_mm(grid_mm)
    slopes = np.stack([np.gradient(field_mm, warp.step_mm, axis=axis) for axis in range(3)], axis=-1)
    return float(np.linalg.det(np.eye(3) + slopes).min())


def _grid_of_target(
    scan: Volume, warp: KnownWarp, asked: WarpSettings, *, generator: np.random.Generator
) -> Volume:
    """Return an empty target: no voxel looks beyond the scan, and slices are as thick as asked for."""
    corners = np.stack(np.meshgrid(*[np.arange(length) for length in scan.shape], indexing="ij"), axis=-1)
    coarse = corners[::4, ::4, ::2].reshape(-1, 3)
    moved = scan.voxel_from_world(warp.to_template(scan.world_from_voxel(coarse))) - coarse
    margin = np.ceil(np.abs(moved).max(axis=0)).astype(int)
    size = np.array(scan.shape) - 2 * margin
    stride = 1.0 if asked.slice_mm is None else asked.slice_mm / scan.spacing_mm[2]
    num_slices = int(size[2] // stride)
    kept = max(2, round(asked.kept_share * num_slices))
    first = (num_slices - kept) * generator.integers(0, 2)
    affine = scan.affine @ np.diag([1.0, 1.0, stride, 1.0])
    start = margin + np.array([0.0, 0.0, (stride - 1) / 2 + first * stride])
    affine[:3, 3] = scan.world_from_voxel(start)
    return Volume(np.zeros((size[0], size[1], kept), np.float32), affine)


def _seen_through(scan: Volume, warp: KnownWarp, grid: Volume) -> Volume:
    """Return the scan seen through a warp: each slice is the mean over its thickness of the cubic interpolant."""
    coefficients = spline_filter(scan.array.astype(np.float32), order=3, output=np.float32)
    low, high = float(scan.array.min()), float(scan.array.max())
    num_parts = max(1, round(grid.spacing_mm[2] / scan.spacing_mm[2]))
    across = np.stack(np.meshgrid(*map(np.arange, grid.shape[:2]), indexing="ij"), axis=-1).astype(np.float64)
    array = np.empty(grid.shape, np.float32)
    for index in range(grid.shape[2]):
        total = np.zeros(grid.shape[:2])
        for part in range(num_parts):
            height = index + (part + 0.5) / num_parts - 0.5
            places = np.concatenate([across, np.full((*across.shape[:2], 1), height)], axis=-1)
            seen_vox = _seen_vox(scan, warp, grid, places)
            total += map_coordinates(
                coefficients, np.moveaxis(seen_vox, -1, 0), order=3, prefilter=False, mode="nearest"
            )
        array[..., index] = np.clip(total / num_parts, low, high)
    return Volume(array, grid.affine)


def _seen_vox(
    scan: Volume, warp: KnownWarp, grid: Volume, places: NDArray[np.floating] | NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return the (X, Y, 3) voxels of a scan that (X, Y, 3) places on one slice of a grid show through a warp."""
    places_mm = grid.world_from_voxel(places)
    displacement_mm = warp.displacement_on_slice_mm(
        places_mm[:, 0, 0], places_mm[0, :, 1], places_mm[0, 0, 2]
    )
    return scan.voxel_from_world(warp.to_template(places_mm, displacement_mm))


def _draw_points(
    scan: Volume,
    target: Volume,
    warp: KnownWarp,
    asked: WarpSettings,
    *,
    body: BodyOf,
    generator: np.random.Generator,
    settings: KnownWarpsSettings,
) -> tuple[Points, Points]:
    """Return (N, 3) points of the template and their (N, 3) partners in the body of the target."""
    coarse = resample_to_spacing(target, spacing_mm=[BODY_GRID_MM] * 3, is_label=False)
    inside = np.argwhere(body(coarse))
    drawn = inside[generator.integers(0, len(inside), NUM_DRAWS)]
    target_mm = coarse.world_from_voxel(drawn + generator.uniform(-0.5, 0.5, drawn.shape))
    template_mm = warp.to_template(target_mm)
    deep = (target.depth_mm(target_mm) >= settings.edge_mm) & (scan.depth_mm(template_mm) >= settings.edge_mm)
    template_mm, target_mm = template_mm[deep], target_mm[deep]
    if asked.growth:
        apart = _apart(target_mm, settings.lesion_distance_mm)
        template_mm, target_mm = template_mm[apart], target_mm[apart]
    return template_mm[: settings.num_points], target_mm[: settings.num_points]


def _apart(points_mm: Points, distance_mm: float) -> list[int]:
    """Return the rows of points that keep a distance from all rows taken before."""
    taken: list[int] = []
    for row, point_mm in enumerate(points_mm):
        if not taken or np.linalg.norm(points_mm[taken] - point_mm, axis=1).min() >= distance_mm:
            taken.append(row)
    return taken


def _with_lesions(
    array: NDArray[np.float32],
    grid: Volume,
    middles_mm: Points,
    radii_mm: NDArray[np.float64],
    *,
    intensity: float,
) -> NDArray[np.float32]:
    """Return intensities with balls of soft edge in place of the tissue."""
    array = array.copy()
    for middle_mm, radius_mm in zip(middles_mm, radii_mm, strict=True):
        if radius_mm == 0.0:
            continue
        reach = np.ceil((radius_mm + LESION_EDGE_MM) / grid.spacing_mm).astype(int) + 1
        middle = np.rint(grid.voxel_from_world(middle_mm)).astype(int)
        low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach + 1, grid.shape)
        part = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))
        places = np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in part], indexing="ij"), axis=-1)
        distance_mm = np.linalg.norm(transform_points(grid.affine, places) - middle_mm, axis=-1)
        share = np.clip((radius_mm - distance_mm) / LESION_EDGE_MM + 0.5, 0.0, 1.0)
        array[part] += (share * (intensity - array[part])).astype(np.float32)
    return array


def _as_hu(array: NDArray) -> NDArray[np.int16]:
    return np.rint(np.clip(array, np.iinfo(np.int16).min, np.iinfo(np.int16).max)).astype(np.int16)


def _cubic_basis(places: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the (P, count) weights of knots in a cubic B-spline at (P,) places, counted in knots."""
    distance = np.abs(places[:, np.newaxis] - np.arange(count))
    near = 2.0 / 3.0 - distance**2 * (1.0 - distance / 2.0)
    far = np.maximum(2.0 - distance, 0.0) ** 3 / 6.0
    return np.where(distance < 1.0, near, far)
