"""Where in the body a point lies, by the outline of its slice: how exactly a place is found differs over the body."""

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

NAMES = ("body_off_middle", "body_behind_front", "body_width_mm", "body_thickness_mm")


def place_in_body(body: Volume | None, points_mm: Points) -> dict[str, NDArray[np.float64]]:
    """Return feature -> (N,) numbers; NaN where no body or point is known, or its slice shows none.

    Parameters
    ----------
    body : mask whose axes run across, from front to back, and along the body, as those of every prepared volume.
    points_mm : (N, 3) mm RAS+; beyond the ends of the mask its last slice counts.

    Returns
    -------
    `body_off_middle`, distance from the middle of the body's width as a share of it; `body_behind_front`, likewise the
    distance behind its front; and the width and thickness of the body in the slice of the point, mm.
    """
    places = np.full((len(points_mm), len(NAMES)), np.nan)
    if body is not None:
        finite = np.flatnonzero(np.isfinite(points_mm).all(axis=1))
        positions = body.voxel_from_world(points_mm[finite])
        slices = np.clip(np.rint(positions[:, 2]), 0, body.shape[2] - 1).astype(int)
        for number in np.unique(slices):
            rows = slices == number
            places[finite[rows]] = _in_slice(body, int(number), positions[rows])
    return dict(zip(NAMES, places.T, strict=True))


def _in_slice(body: Volume, number: int, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    mask = np.asarray(body.array[:, :, number]) != 0
    if not mask.any():
        return np.full((len(positions), len(NAMES)), np.nan)
    lows, sizes = zip(*(_extent(mask.any(axis=axis)) for axis in (1, 0)), strict=True)
    across, behind = ((positions[:, :2] + 0.5 - lows) / sizes).T
    width_mm, thickness_mm = sizes * body.spacing_mm[:2]
    off_middle = np.abs(across - 0.5)
    return np.column_stack(np.broadcast_arrays(off_middle, behind, width_mm, thickness_mm))


def _extent(is_body: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first voxel of the body along an axis, and how many there are to the last."""
    inside = np.flatnonzero(is_body)
    return int(inside[0]), int(inside[-1] - inside[0] + 1)
