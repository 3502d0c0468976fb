"""Smooth invertible maps between the atlas and a body in a scanner.

A displacement is a sum of Gaussian bumps, each a shift and a growth around its centre. Such a sum has a
closed form everywhere, turns with the body, and on a grid of voxels it is three matrix products, because a
Gaussian is a product of one factor per axis.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.volumes.affine import Points

MAX_STRETCH = 0.6
"""Largest norm of the displacement's derivative; below 1 the map is invertible and fixed points converge."""

INVERSE_TOLERANCE_MM = 1e-4
MAX_INVERSE_STEPS = 200


@dataclass(frozen=True)
class BumpField:
    """A smooth displacement, the sum of K bumps.

    u(p) = sum over k of (shift_k + growth_k (p - c_k)) exp(-|p - c_k|^2 / (2 w_k^2))

    Attributes
    ----------
    centres_mm : (K, 3).
    widths_mm : (K,) standard deviations of the bumps.
    shifts_mm : (K, 3) displacement at each centre.
    growths : (K,) relative growth at each centre.
    """

    centres_mm: NDArray[np.float64]
    widths_mm: NDArray[np.float64]
    shifts_mm: NDArray[np.float64]
    growths: NDArray[np.float64]

    def at_points(self, points_mm: ArrayLike) -> Points:
        """Return the (N, 3) displacement in mm at (N, 3) points."""
        offsets, weights = self._offsets_and_weights(points_mm)
        moves = self.shifts_mm + self.growths[:, None] * offsets
        return np.einsum("nk,nkc->nc", weights, moves)

    def derivative_at(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Return the (N, 3, 3) derivative at (N, 3) points; row c holds the gradient of component c."""
        offsets, weights = self._offsets_and_weights(points_mm)
        moves = self.shifts_mm + self.growths[:, None] * offsets
        slopes = -offsets / self.widths_mm[:, None] ** 2
        growth = np.einsum("nk,k->n", weights, self.growths)
        return np.einsum("nk,nkc,nkd->ncd", weights, moves, slopes) + growth[:, None, None] * np.eye(3)

    def on_grid(
        self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64], z_mm: NDArray[np.float64]
    ) -> list[NDArray[np.float32]]:
        """Return the three components, each (X, Y, Z) float32, at all points of a grid along the axes."""
        axes = (x_mm, y_mm, z_mm)
        offsets = [axis[:, None] - self.centres_mm[:, c] for c, axis in enumerate(axes)]  # (length, K) each
        factors = [np.exp(-0.5 * (offset / self.widths_mm) ** 2) for offset in offsets]
        components = []
        for c in range(3):
            terms = [factor.astype(np.float32) for factor in factors]
            moves = self.shifts_mm[:, c] + self.growths * offsets[c]
            terms[c] = (factors[c] * moves).astype(np.float32)
            in_plane = (terms[1].T[:, :, None] * terms[2].T[:, None, :]).reshape(len(self.widths_mm), -1)
            components.append((terms[0] @ in_plane).reshape([len(axis) for axis in axes]))
        return components

    def turned(self, rotation: NDArray[np.float64]) -> "BumpField":
        """Return the same displacement of a body that is turned about the origin."""
        return BumpField(
            self.centres_mm @ rotation.T, self.widths_mm, self.shifts_mm @ rotation.T, self.growths
        )

    def plus(self, other: "BumpField") -> "BumpField":
        """Return the sum of two displacements."""
        return BumpField(
            np.vstack([self.centres_mm, other.centres_mm]),
            np.concatenate([self.widths_mm, other.widths_mm]),
            np.vstack([self.shifts_mm, other.shifts_mm]),
            np.concatenate([self.growths, other.growths]),
        )

    def limited(self, points_mm: Points) -> "BumpField":
        """Return the displacement, scaled down if its derivative at one of (N, 3) points is too strong."""
        strongest = np.linalg.norm(self.derivative_at(points_mm), ord=2, axis=(1, 2)).max()
        factor = min(1.0, MAX_STRETCH / max(float(strongest), 1e-12))
        return BumpField(self.centres_mm, self.widths_mm, self.shifts_mm * factor, self.growths * factor)

    def _offsets_and_weights(self, points_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (N, K, 3) offsets from the centres and (N, K) weights of the bumps."""
        offsets = np.asarray(points_mm, dtype=np.float64)[:, None, :] - self.centres_mm
        weights = np.exp(-0.5 * (offsets**2).sum(axis=2) / self.widths_mm**2)
        return offsets, weights


@dataclass(frozen=True)
class BodyMotion:
    """Where each point of the atlas lies in the world of one scan.

    A point `p` of the upright body lies at `rotation @ p + origin` in the world; it shows the atlas point
    `(p + u(p)) / scale`. So the way from the world to the atlas, which rendering needs for each voxel, has a
    closed form, and the way back is found by fixed point.

    Attributes
    ----------
    field : the displacement u, in the frame of the upright body.
    scale : (3,) size of the body relative to the atlas.
    rotation : (3, 3) pose of the body in the scanner.
    origin_mm : (3,) place of the atlas origin in the world.
    """

    field: BumpField
    scale: NDArray[np.float64]
    rotation: NDArray[np.float64]
    origin_mm: NDArray[np.float64]

    def atlas_from_world(self, points_mm: ArrayLike) -> Points:
        """Return the (N, 3) atlas points that (N, 3) world points show."""
        upright = (np.asarray(points_mm, dtype=np.float64) - self.origin_mm) @ self.rotation
        return (upright + self.field.at_points(upright)) / self.scale

    def world_from_atlas(self, points_mm: ArrayLike) -> Points:
        """Return the (N, 3) world points that show (N, 3) atlas points, to 0.001 mm."""
        goal = np.asarray(points_mm, dtype=np.float64) * self.scale
        upright = goal
        for _ in range(MAX_INVERSE_STEPS):
            improved = goal - self.field.at_points(upright)
            step_mm = np.abs(improved - upright).max(initial=0.0)
            upright = improved
            if step_mm < INVERSE_TOLERANCE_MM:
                break
        return upright @ self.rotation.T + self.origin_mm

    def atlas_on_grid(
        self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64], z_mm: NDArray[np.float64]
    ) -> list[NDArray[np.float32]]:
        """Return the atlas coordinates, three (X, Y, Z) float32 arrays, of a grid along the world's axes.

        Notes
        -----
        Same as `atlas_from_world`, at a small part of its cost: the displacement is turned into the world's
        frame, where it is separable.
        """
        axes = [
            np.asarray(axis) - origin for axis, origin in zip((x_mm, y_mm, z_mm), self.origin_mm, strict=True)
        ]
        moved = self.field.turned(self.rotation).on_grid(*axes)
        for c, shape in enumerate([(-1, 1, 1), (1, -1, 1), (1, 1, -1)]):
            moved[c] += axes[c].astype(np.float32).reshape(shape)
        to_atlas = (self.rotation.T / self.scale[:, None]).astype(np.float32)
        return [row[0] * moved[0] + row[1] * moved[1] + row[2] * moved[2] for row in to_atlas]


def random_lattice(
    random: np.random.Generator,
    *,
    lowest_mm: ArrayLike,
    highest_mm: ArrayLike,
    pitch_mm: float,
    size_mm: float,
) -> BumpField:
    """Return a random smooth displacement of a box.

    Parameters
    ----------
    random : source of the shifts.
    lowest_mm, highest_mm : (3,) corners of the box.
    pitch_mm : distance between the bumps.
    size_mm : standard deviation of the displacement along each axis, inside the box.
    """
    axes = [
        np.arange(low, high + pitch_mm, pitch_mm)
        for low, high in zip(np.asarray(lowest_mm, float), np.asarray(highest_mm, float), strict=True)
    ]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    width_mm = 0.75 * pitch_mm
    # the squared weights of all bumps sum up to about (pi w^2 / pitch^2)^(3/2) at every point of the box
    gain = (np.pi * (width_mm / pitch_mm) ** 2) ** 0.75
    shifts = random.standard_normal(centres.shape) * size_mm / gain
    return BumpField(centres, np.full(len(centres), width_mm), shifts, np.zeros(len(centres)))
