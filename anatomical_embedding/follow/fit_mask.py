"""The mask of a lesion carried to another visit, and fitted to what the scan shows there.

The carried mask says where the lesion is for certain (its core) and where it cannot be (outside a shell); between the
two a watershed of the gradient finds its edge (SimpleITK). The fit is not trusted, and the carried mask stands, where
the volume would change too much, lesion and surroundings hardly differ, or a fit at the visit that the mask comes from
finds another one there: then the scan has no edge where the mask ends.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter, label, map_coordinates

from anatomical_embedding.follow.look import Patch, cube_offsets, take_patch
from anatomical_embedding.settings.follow import MaskSettings
from anatomical_embedding.volumes.volume import Volume

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
LESION, SURROUNDINGS = 1, 2
HARDLY_DIFFER = "lesion and surroundings hardly differ"
NO_EDGE = "the scan that it was given on shows no edge where it ends"
EDGE_STEPS, BESIDE_STEPS = 1, 4
"""What lies beside a lesion, in samples from it."""
SMOOTHING_STEPS = 0.8
"""Of the noise, before the edge is taken by values."""
MARGIN_STEPS = 2
"""Of a patch beyond the shell."""


@dataclass(frozen=True)
class FittedMask:
    """The mask of one lesion at one visit.

    Attributes
    ----------
    patch : samples of the scan round the lesion, on which the mask lies.
    mask : (S, S, S) what the lesion covers.
    is_fitted : whether it was fitted to the scan; otherwise it is the carried one.
    note : why the fit is not trusted; empty where it is.
    is_grown : whether its size is what the scan tells, where no fit is trusted.
    """

    patch: Patch
    mask: Mask
    is_fitted: bool
    note: str
    is_grown: bool = False

    @property
    def centre_mm(self) -> FloatArray:
        """(3,) middle of the mask, mm RAS+."""
        return self.patch.centre_mm + self.patch.offsets_mm[self.mask].mean(axis=0)

    @property
    def radius_mm(self) -> float:
        """Radius of a ball of the same volume."""
        return ball_radius_mm(float(self.mask.sum()) * self.patch.step_mm**3)

    def voxels_on(self, grid: Volume) -> NDArray[np.int64]:
        """Return (N, 3) voxels of a grid whose centres lie in the mask; at least the nearest to its middle."""
        half = len(self.mask) // 2
        reach = (half * self.patch.step_mm) / grid.spacing_mm
        middle = grid.voxel_from_world(self.patch.centre_mm)
        low = np.clip(np.floor(middle - reach), 0, grid.shape).astype(int)
        high = np.clip(np.ceil(middle + reach) + 1, 0, grid.shape).astype(int)
        axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
        voxels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        if not len(voxels):
            return voxels
        steps = (grid.world_from_voxel(voxels) - self.patch.centre_mm) / self.patch.step_mm + half
        share = map_coordinates(self.mask.astype(np.float64), steps.T, order=1, cval=0.0)
        inside = voxels[share >= 0.5]  # noqa: PLR2004
        if len(inside):
            return inside
        nearest = np.rint(grid.voxel_from_world(self.centre_mm)).astype(np.int64)
        return nearest[np.newaxis] if grid.holds(nearest) else voxels[:0]


def ball_radius_mm(volume_mm3: float) -> float:
    """Return the radius of a ball of a volume.

    Examples
    --------
    >>> round(ball_radius_mm(4 / 3 * np.pi * 8.0), 9)
    2.0
    """
    return float((3.0 * volume_mm3 / (4.0 * np.pi)) ** (1 / 3))


def fit_mask(
    scan: Volume,
    place_mm: FloatArray,
    source: Volume,
    source_centre_mm: FloatArray,
    matrix: FloatArray,
    *,
    radius_mm: float,
    doubt: str = "",
    settings: MaskSettings,
) -> FittedMask:
    """Return the mask of a lesion carried to a place, and fitted to the scan.

    Parameters
    ----------
    scan : of the visit.
    place_mm : (3,) where the middle of the lesion lies in it.
    source : mask of the lesion at the visit that it is carried from, true inside.
    source_centre_mm : (3,) its middle there.
    matrix : (3, 3) how offsets from the middle are turned and stretched from there to here.
    radius_mm : of a ball of the volume of the source.
    doubt : why no fit would be trusted, so that the carried mask stands; empty where nothing is known against one.
    """
    patch = take_patch(
        scan,
        place_mm,
        half_size_mm=_reach_mm(source, source_centre_mm, matrix)
        + (settings.shell - 1.0) * radius_mm
        + MARGIN_STEPS * settings.step_mm,
        step_mm=settings.step_mm,
    )
    carried = _carried(patch, source, source_centre_mm, matrix)
    if not carried.any():
        return FittedMask(
            patch, patch.distances_mm <= max(radius_mm, settings.step_mm), False, "it is too small"
        )
    if doubt:
        return FittedMask(patch, carried, False, doubt)
    fitted = _watershed(patch, carried, radius_mm=radius_mm, settings=settings)
    note = _why_not_trusted(patch, carried, fitted, settings)
    return FittedMask(patch, carried if note else fitted, not note, note)


def likeness_of_fit(
    scan: Volume, mask: Volume, centre_mm: FloatArray, *, radius_mm: float, settings: MaskSettings
) -> float:
    """Return the Dice coefficient of a mask and what is fitted from it in the scan that it was given on."""
    known, fitted = (
        fit_mask(
            scan, centre_mm, mask, centre_mm, np.eye(3), radius_mm=radius_mm, doubt=doubt, settings=settings
        ).mask
        for doubt in (NO_EDGE, "")
    )
    return float(2.0 * (known & fitted).sum() / (known.sum() + fitted.sum()))


def _reach_mm(source: Volume, centre_mm: FloatArray, matrix: FloatArray) -> float:
    """Return how far a carried mask reaches from its middle along the axes of the world."""
    offsets = source.world_from_voxel(np.argwhere(source.array)) - centre_mm
    if not len(offsets):
        return 0.0
    return float(np.abs(offsets @ matrix.T).max() + source.spacing_mm.max())


def _carried(patch: Patch, source: Volume, centre_mm: FloatArray, matrix: FloatArray) -> Mask:
    """Return the mask of the source on a patch."""
    offsets = cube_offsets(len(patch.values) // 2, patch.step_mm)
    places_mm = offsets @ np.linalg.inv(matrix).T + centre_mm
    voxels = source.voxel_from_world(places_mm)
    low = np.clip(np.floor(voxels.min(axis=(0, 1, 2))) - 1, 0, np.array(source.shape) - 1).astype(int)
    high = np.clip(np.ceil(voxels.max(axis=(0, 1, 2))) + 2, low + 1, source.shape).astype(int)
    box = source.array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.float64)
    share = map_coordinates(box, np.moveaxis(voxels - low, -1, 0), order=1, cval=0.0)
    return np.asarray((share >= 0.5) & np.isfinite(patch.values))  # noqa: PLR2004


def _watershed(patch: Patch, carried: Mask, *, radius_mm: float, settings: MaskSettings) -> Mask:
    """Return where the watershed of the gradient ends that begins in the core of a carried mask.

    The blur of a scan moves the steepest edge of a ball inwards, by the square of its deviation over the radius, and
    noise roughens it: the mask is rounded, and grows a little by it.
    """
    depth_mm = patch.step_mm * distance_transform_edt(carried)
    outside_mm = patch.step_mm * distance_transform_edt(~carried)
    markers = np.zeros(carried.shape, dtype=np.uint8)
    markers[depth_mm >= (1.0 - settings.core) * depth_mm.max()] = LESION
    markers[(outside_mm > (settings.shell - 1.0) * radius_mm) | ~np.isfinite(patch.values)] = SURROUNDINGS
    known = np.where(np.isfinite(patch.values), patch.values, np.nanmean(patch.values))
    image = SimpleITK.GetImageFromArray(known)
    gradient = SimpleITK.GradientMagnitudeRecursiveGaussian(image, sigma=settings.blur_steps)
    found = SimpleITK.MorphologicalWatershedFromMarkers(
        gradient, SimpleITK.GetImageFromArray(markers), markWatershedLine=False, fullyConnected=False
    )
    lesion = SimpleITK.GetArrayFromImage(found) == LESION
    lesion &= _looks_like_core(known, lesion, core=markers == LESION, share=settings.edge_share) | (
        markers == LESION
    )
    whole = binary_fill_holes(_part_with(lesion, markers == LESION))
    return np.asarray(gaussian_filter(whole.astype(np.float64), settings.round_steps) >= settings.round_share)


def _looks_like_core(values: FloatArray, lesion: Mask, *, core: Mask, share: float) -> Mask:
    """Return where values have at least a share of the difference of the core from what lies beside a lesion."""
    away = distance_transform_edt(~lesion)
    beside = values[(away > EDGE_STEPS) & (away <= BESIDE_STEPS)]
    if not len(beside):
        return np.ones(values.shape, dtype=bool)
    inner, around = np.median(values[core]), np.median(beside)
    smooth = gaussian_filter(values, SMOOTHING_STEPS)
    return np.asarray((smooth - around - share * (inner - around)) * (inner - around) >= 0.0)


def _part_with(mask: Mask, core: Mask) -> Mask:
    """Return the connected part of a mask that holds most of a core."""
    parts, _ = label(mask)
    inside = parts[core & mask]
    return np.asarray(parts == np.bincount(inside).argmax()) if len(inside) else mask


def _why_not_trusted(patch: Patch, carried: Mask, fitted: Mask, settings: MaskSettings) -> str:
    """Return why the carried mask stands; empty where the fit is taken."""
    change = fitted.sum() / carried.sum()
    low, high = settings.volume_change
    if not low <= change <= high:
        return f"its volume would change {change:.1f} times"
    inside = patch.values[fitted & np.isfinite(patch.values)]
    shell_mm = patch.step_mm * distance_transform_edt(~fitted)
    around = patch.values[
        (shell_mm > patch.step_mm) & (shell_mm <= 4 * patch.step_mm) & np.isfinite(patch.values)
    ]
    if not len(inside) or not len(around):
        return "it lies at the edge of the scan"
    contrast = abs(inside.mean() - around.mean()) / max(inside.std(), np.finfo(float).tiny)
    if contrast < settings.smallest_contrast:
        return HARDLY_DIFFER
    return ""
