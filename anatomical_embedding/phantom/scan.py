"""Taking a CT or an MR of a body: field of view, voxels, labels, and the landmarks and lesions within."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.phantom.anatomy import paint_atlas
from anatomical_embedding.phantom.appearance import (
    ct_image,
    fill_bowel,
    mr_image,
    recorded_ct,
    recorded_mr,
)
from anatomical_embedding.phantom.body import AtlasLesion
from anatomical_embedding.phantom.landmarks import atlas_landmarks
from anatomical_embedding.phantom.motion import BodyMotion
from anatomical_embedding.phantom.shapes import Canvas
from anatomical_embedding.settings.phantom import CtSettings, FieldOfViewSettings, MrSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

BODY_MIDDLE_MM = np.array([0.0, -4.0, 6.0])
"""Atlas point around which the field of view is laid."""


@dataclass(frozen=True)
class Lesion:
    """A ball of abnormal tissue in the world of one scan.

    Attributes
    ----------
    name : the same in all scans of the subject.
    organ : where it grows.
    centre_mm : (3,) mm RAS+.
    radius_mm : radius of the ball.
    is_inside : whether the centre lies within the scan's field of view.
    """

    name: str
    organ: str
    centre_mm: NDArray[np.float64]
    radius_mm: float
    is_inside: bool


@dataclass(frozen=True)
class PhantomScan:
    """One scan of a subject with everything that is known about it.

    Attributes
    ----------
    volume : CT in int16 Hounsfield units, or MR in float32; array order LPS.
    labels : organ ids (see `tissues.ORGAN_NAMES`) as uint8, on the same grid.
    landmarks_mm : (3,) world mm RAS+ of each landmark within the field of view, by name.
    lesions : all lesions of the subject, also those outside of the field of view.
    motion : the map between this scan's world and the atlas.
    """

    volume: Volume
    labels: Volume
    landmarks_mm: dict[str, NDArray[np.float64]]
    lesions: tuple[Lesion, ...]
    motion: BodyMotion

    def atlas_from_world(self, points_mm: ArrayLike) -> Points:
        """Return the (N, 3) atlas points that (N, 3) world points show."""
        return self.motion.atlas_from_world(points_mm)

    def world_from_atlas(self, points_mm: ArrayLike) -> Points:
        """Return the (N, 3) world points that show (N, 3) atlas points."""
        return self.motion.world_from_atlas(points_mm)


def scan_body(
    body: BodyMotion,
    lesions: tuple[AtlasLesion, ...],
    *,
    settings: CtSettings | MrSettings,
    random: np.random.Generator,
) -> PhantomScan:
    """Return a CT or an MR of a body.

    Parameters
    ----------
    body : the body as it lies in the scanner's world.
    lesions : what grows in it.
    settings : how the CT or the MR is taken.
    random : source of field of view, contrast agent, bowel contents and noise.
    """
    affine = _draw_affine(body, settings.field_of_view, random)
    located = _located_lesions(body, lesions, Volume(np.empty(settings.field_of_view.size_vox, bool), affine))
    layers = _Layers.of(affine, settings.field_of_view)
    canvas = _painted(body, lesions, located, layers, random)
    image: NDArray
    if isinstance(settings, CtSettings):
        image = recorded_ct(layers.mean(ct_image(canvas, settings, random)), settings, random)
    else:
        image = recorded_mr(layers.mean(mr_image(canvas, settings, random)), settings, random)
    return _finished(body, located, Volume(image, affine), layers.middle(canvas.organ))


@dataclass(frozen=True)
class _Layers:
    """The grid of a scan with each slice split into an odd number of layers about as thin as voxels are wide.

    Attributes
    ----------
    axes_mm : world coordinates of the voxel centres along X, Y and the layers.
    num_per_slice : layers a slice.
    """

    axes_mm: list[NDArray[np.float64]]
    num_per_slice: int

    @classmethod
    def of(cls, affine: NDArray[np.float64], field_of_view: FieldOfViewSettings) -> "_Layers":
        """Return the layers of a volume with axes along the world's."""
        across_mm, slice_mm = min(field_of_view.spacing_mm[:2]), field_of_view.spacing_mm[2]
        num_per_slice = 1 + 2 * int(slice_mm / (2 * across_mm))
        counts = np.array(field_of_view.size_vox) * [1, 1, num_per_slice]
        steps = np.diag(affine)[:3] / [1, 1, num_per_slice]
        starts = affine[:3, 3] - [0, 0, steps[2] * (num_per_slice - 1) / 2]
        axes = [
            start + step * np.arange(count) for start, step, count in zip(starts, steps, counts, strict=True)
        ]
        return cls(axes, num_per_slice)

    def mean(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean over the layers of each slice."""
        if self.num_per_slice == 1:
            return image
        return image.reshape(*image.shape[:2], -1, self.num_per_slice).mean(axis=3)

    def middle(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the layer through the middle of each slice."""
        return labels[:, :, self.num_per_slice // 2 :: self.num_per_slice]


def _draw_affine(
    body: BodyMotion, field_of_view: FieldOfViewSettings, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return the (4, 4) voxel to world map of a box around the middle of the body, array order LPS."""
    reach_mm = [field_of_view.shift_across_mm, field_of_view.shift_across_mm, field_of_view.shift_along_mm]
    middle = body.rotation @ (BODY_MIDDLE_MM * body.scale) + body.origin_mm
    middle += random.uniform(-1, 1, 3) * reach_mm
    steps = np.array(field_of_view.spacing_mm) * [-1, -1, 1]
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = middle - steps * (np.array(field_of_view.size_vox) - 1) / 2
    return affine


def _located_lesions(body: BodyMotion, lesions: tuple[AtlasLesion, ...], grid: Volume) -> tuple[Lesion, ...]:
    """Return the lesions with their places in a scan's world."""
    if not lesions:
        return ()
    centres = body.world_from_atlas([lesion.centre_mm for lesion in lesions])
    are_inside = grid.spans(centres)
    return tuple(
        Lesion(lesion.name, lesion.site.organ, centre, lesion.radius_mm, bool(is_inside))
        for lesion, centre, is_inside in zip(lesions, centres, are_inside, strict=True)
    )


def _painted(
    body: BodyMotion,
    lesions: tuple[AtlasLesion, ...],
    located: tuple[Lesion, ...],
    layers: _Layers,
    random: np.random.Generator,
) -> Canvas:
    """Return the organs and tissues of a scan."""
    canvas = paint_atlas(*body.atlas_on_grid(*layers.axes_mm))
    fill_bowel(canvas, random)
    for lesion, place in zip(lesions, located, strict=True):
        offsets = [axis - centre for axis, centre in zip(layers.axes_mm, place.centre_mm, strict=True)]
        near = np.ix_(*(np.abs(offset) < place.radius_mm for offset in offsets))
        dx, dy, dz = np.meshgrid(
            *(offset[np.abs(offset) < place.radius_mm] for offset in offsets), indexing="ij", sparse=True
        )
        is_lesion = dx**2 + dy**2 + dz**2 < place.radius_mm**2
        canvas.tissue[near] = np.where(is_lesion, lesion.site.tissue, canvas.tissue[near])
    return canvas


def _finished(
    body: BodyMotion, lesions: tuple[Lesion, ...], volume: Volume, labels: NDArray[np.uint8]
) -> PhantomScan:
    """Return the scan with the landmarks that lie within its field of view."""
    names = list(atlas_landmarks())
    places = body.world_from_atlas([*atlas_landmarks().values()])
    landmarks = {
        name: place
        for name, place, is_inside in zip(names, places, volume.spans(places), strict=True)
        if is_inside
    }
    return PhantomScan(volume, Volume(np.ascontiguousarray(labels), volume.affine), landmarks, lesions, body)
