"""Baselines that know a scan only by the box round its body.

Both work along the axes of the arrays, which prepared volumes order right to left, front to back, bottom to
top of the patient; so they do not depend on where the patient lay in the world.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import UserError
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.body_mask import body_box
from anatomical_embedding.volumes.volume import Volume


class EmptyBodyMaskError(UserError):
    """A body mask marks no voxel."""


@dataclass(frozen=True)
class BodyBox:
    """The smallest box of voxels round a body mask, with its place in the world.

    Attributes
    ----------
    mask : the body mask.
    lower_vox, upper_vox : (3,) outer faces of the box in voxel coordinates (first index - 0.5, last + 0.5).
    """

    mask: Volume
    lower_vox: NDArray[np.float64]
    upper_vox: NDArray[np.float64]

    @classmethod
    def of(cls, mask: Volume) -> Self:
        """Return the box round the non-zero voxels of a body mask.

        Raises
        ------
        EmptyBodyMaskError
            if no voxel is marked.
        """
        is_body = np.asarray(mask.array) != 0
        if not is_body.any():
            raise EmptyBodyMaskError("the body mask is empty")
        box = body_box(is_body, margin_vox=np.zeros(3, dtype=int))
        return cls(
            mask, np.array([part.start - 0.5 for part in box]), np.array([part.stop - 0.5 for part in box])
        )


def same_coordinate(points_mm: Points, template: BodyBox, target: BodyBox) -> Points:
    """Return the points as many mm from the centre of the target's box as the queries from the template's.

    Parameters
    ----------
    points_mm : (N, 3) world mm RAS+ of the template.
    template, target : body boxes.

    Returns
    -------
    (N, 3) world mm RAS+ of the target, moved onto its grid where they fall outside: every
    other method answers inside the target too.
    """
    offset_vox = template.mask.voxel_from_world(points_mm) - (template.lower_vox + template.upper_vox) / 2.0
    offset_mm = offset_vox * template.mask.spacing_mm
    answer_vox = (target.lower_vox + target.upper_vox) / 2.0 + offset_mm / target.mask.spacing_mm
    return _inside_world(answer_vox, target.mask)


def body_affine(points_mm: Points, template: BodyBox, target: BodyBox) -> Points:
    """Return the points at the same relative position in the body box, each axis scaled on its own.

    Parameters
    ----------
    points_mm : (N, 3) world mm RAS+ of the template.
    template, target : body boxes.

    Returns
    -------
    (N, 3) world mm RAS+ of the target, moved onto its grid where they fall outside.
    """
    size_vox = template.upper_vox - template.lower_vox
    relative = (template.mask.voxel_from_world(points_mm) - template.lower_vox) / size_vox
    answer_vox = target.lower_vox + relative * (target.upper_vox - target.lower_vox)
    return _inside_world(answer_vox, target.mask)


def _inside_world(points_vox: Points, volume: Volume) -> Points:
    return volume.world_from_voxel(np.clip(points_vox, 0.0, np.array(volume.shape) - 1.0))
