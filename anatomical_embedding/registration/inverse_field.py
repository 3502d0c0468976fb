"""The inverse of a deformation, by fixed-point steps.

Source: Chen, Lu, Chen, Ruchala and Olivera, "A simple fixed-point approach to invert a deformation field" (2008). Whole
steps go astray where the deformation stretches to more than twice the size; half a step converges up to four times.
"""

from typing import TYPE_CHECKING

import numpy as np

from anatomical_embedding.registration.displacement_field import DisplacementField

if TYPE_CHECKING:
    from torch import Tensor

WHOLE_STEPS, HALF_STEPS = 15, 35
TOLERANCE_MM = 0.001
"""A place that a step moves by less is left where it is."""


def inverse_deformation(deformation: DisplacementField) -> DisplacementField:
    """Return the inverse v of a deformation u, on its grid: u(y + v(y)) = -v(y).

    Parameters
    ----------
    deformation : zero at its border and beyond, and without folds; linear between its vectors.
    """
    import torch  # noqa: PLC0415  (takes a second to load, and stages of registration need no other part of it)

    vectors_mm = deformation.displacements_mm.astype(np.float32)
    shift_mm = torch.from_numpy(vectors_mm).permute(2, 1, 0, 3)  # (Z, Y, X, 3)
    shape = shift_mm.shape[:3]
    last = torch.tensor(shape[::-1]) - 1.0
    axes = torch.from_numpy(deformation.affine[:3, :3].astype(np.float32))
    # Places and shifts are in units of the grid, which lies between -1 and 1 along its axes.
    to_unit = torch.linalg.inv(axes).T * (2.0 / last)
    to_mm = torch.linalg.inv(to_unit)
    lengths_mm = torch.linalg.vector_norm(to_mm, dim=1)
    shift = shift_mm @ to_unit
    field = shift.permute(3, 0, 1, 2).contiguous()[None]
    z, y, x = torch.meshgrid(*(torch.linspace(-1.0, 1.0, size) for size in shape), indexing="ij")
    places = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    inverse = -shift.reshape(-1, 3)
    going, found = torch.arange(len(places)), inverse
    for step in range(WHOLE_STEPS + HALF_STEPS):
        wanted = -_sampled(field, places + found)
        if step >= WHOLE_STEPS:
            wanted = (wanted + found) / 2.0
        has_moved = ((wanted - found) * lengths_mm).square().sum(dim=1) > TOLERANCE_MM**2
        inverse[going] = wanted
        going, places, found = going[has_moved], places[has_moved], wanted[has_moved]
        if len(going) == 0:
            break
    inverse_mm = (inverse @ to_mm).reshape(*shape, 3).permute(2, 1, 0, 3)
    return DisplacementField(inverse_mm.numpy(), deformation.affine)


def _sampled(field: "Tensor", places: "Tensor") -> "Tensor":
    """Return (N, 3) vectors of a (1, 3, Z, Y, X) field between its own, zero beyond it."""
    import torch  # noqa: PLC0415

    at = places[None, None, None]
    sampled = torch.nn.functional.grid_sample(field, at, padding_mode="zeros", align_corners=True)
    return sampled[0, :, 0, 0].T
