"""The baseline `ncc`: the place of the target whose surroundings look most like those of the query point.

Two cubes are compared by normalised cross-correlation, the cosine of their voxels after each cube's mean is
taken off. Beyond the borders of a volume its outermost voxels are repeated.

Notes
-----
The correlation with every place of the target costs one inverse Fourier transform of the target's
size: the transform of the target is kept between queries, that of the cube is built axis by axis from its few
non-zero lines, and the deviations of all target cubes come from running sums (J. P. Lewis, Fast normalized
cross-correlation, Vision Interface 1995).
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from anatomical_embedding.errors import UserError
from anatomical_embedding.volumes.body_mask import body_box
from anatomical_embedding.volumes.volume import Volume

FLAT_SHARE_OF_VARIANCE = 1e-6
"""A cube whose variance is below this share of the volume's is flat: its correlation would be noise."""


class NoCorrelationError(UserError):
    """A query for which no place of the target can be ranked."""


@dataclass(frozen=True)
class BestPlace:
    """Where the correlation is highest.

    Attributes
    ----------
    voxel : (3,) index in the target's grid.
    correlation : in [-1, 1].
    """

    voxel: NDArray[np.int64]
    correlation: float


def odd_cube_size(cube_mm: float, *, spacing_mm: float) -> int:
    """Return the odd number of voxels whose length is nearest to `cube_mm`; at least 3.

    Examples
    --------
    >>> odd_cube_size(44.0, spacing_mm=4.0), odd_cube_size(45.0, spacing_mm=2.0)
    (11, 23)
    """
    return max(1, round((cube_mm / spacing_mm - 1.0) / 2.0)) * 2 + 1


def cube_round(array: NDArray, voxel: NDArray[np.integer], *, size: int) -> NDArray[np.float32]:
    """Return the (size, size, size) cube centred on a voxel, outermost voxels repeated beyond the border."""
    steps = np.arange(size) - size // 2
    indices = [
        np.clip(index + steps, 0, length - 1) for index, length in zip(voxel, array.shape, strict=True)
    ]
    return array[np.ix_(*indices)].astype(np.float32)


class CorrelationTarget:
    """A target volume made ready for many queries.

    Parameters
    ----------
    target : isotropic volume.
    is_body : (X, Y, Z) bool; only these voxels are answers.
    cube_size : edge of the cubes in voxels, odd.
    """

    def __init__(self, target: Volume, is_body: NDArray[np.bool_], *, cube_size: int):
        self.target = target
        self.cube_size = cube_size
        array = np.asarray(target.array, dtype=np.float32)
        array = array - array.mean(dtype=np.float64).astype(np.float32)  # small numbers keep float32 exact
        # Only the body and what cubes round it reach are transformed.
        whole = tuple(slice(0, size) for size in array.shape)
        self._box = body_box(is_body, margin_vox=np.zeros(3, dtype=int)) if is_body.any() else whole
        read = tuple(slice(part.start, part.stop + 2 * (cube_size // 2)) for part in self._box)
        padded = np.pad(array, cube_size // 2, mode="edge")[read]
        self._shape = tuple(scipy.fft.next_fast_len(length, real=True) for length in padded.shape)
        self._spectrum = scipy.fft.rfftn(padded, s=self._shape)
        variance = _sum_over_cubes(array.astype(np.float64) ** 2, cube_size)
        variance -= _sum_over_cubes(array.astype(np.float64), cube_size) ** 2 / cube_size**3
        is_flat = variance <= FLAT_SHARE_OF_VARIANCE * float(np.var(array)) * cube_size**3
        deviation = np.sqrt(np.where(is_flat, 1.0, variance))
        self._inverse_deviation = np.where(is_flat, 0.0, 1.0 / deviation).astype(np.float32)[self._box]
        self._candidates = np.flatnonzero(is_body[self._box])

    def correlation_map(self, cube: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the correlation of a cube with the cube round every voxel of the body's box; 0 where it is flat.

        Raises
        ------
        NoCorrelationError
            if all voxels of the cube are equal.
        """
        kernel = cube.astype(np.float64) - cube.mean(dtype=np.float64)
        norm = np.linalg.norm(kernel)
        if norm <= np.sqrt(FLAT_SHARE_OF_VARIANCE) * max(1.0, float(np.abs(cube).max())):
            raise NoCorrelationError("all voxels around the query point are equal")
        spectrum = scipy.fft.rfft((kernel / norm).astype(np.float32), n=self._shape[2], axis=2)
        for axis in (1, 0):
            spectrum = scipy.fft.fft(spectrum, n=self._shape[axis], axis=axis, overwrite_x=True)
        product = np.multiply(self._spectrum, np.conj(spectrum, out=spectrum), out=spectrum)
        size_x, size_y, size_z = self._inverse_deviation.shape
        # One axis after the other: what lies beyond the box is dropped before the next.
        partly = scipy.fft.ifft(product, axis=0, overwrite_x=True)[:size_x]
        partly = scipy.fft.ifft(partly, axis=1, overwrite_x=True)[:, :size_y]
        scores = scipy.fft.irfft(partly, n=self._shape[2], axis=2)[:, :, :size_z]
        return np.asarray(scores * self._inverse_deviation)

    def best_place(
        self, cube: NDArray[np.floating], *, centre_mm: NDArray[np.float64], radius_mm: float | None
    ) -> BestPlace:
        """Return the body voxel with the highest correlation.

        Parameters
        ----------
        cube : (cube_size, cube_size, cube_size) voxels round the query.
        centre_mm : (3,) world mm RAS+ of the target; without effect when `radius_mm` is None.
        radius_mm : largest distance of an answer from `centre_mm`; None allows the whole body.

        Raises
        ------
        NoCorrelationError
            if the cube is flat or no body voxel lies within the radius.
        """
        candidates = self._candidates
        if radius_mm is not None:
            is_near = self._is_near(centre_mm, radius_mm)[self._box]
            candidates = candidates[is_near.ravel()[candidates]]
        if candidates.size == 0:
            where = (
                "in the target" if radius_mm is None else f"within {radius_mm:g} mm of the body_affine answer"
            )
            raise NoCorrelationError(f"there is no body voxel {where}")
        scores = self.correlation_map(cube).ravel()[candidates]
        best = int(np.argmax(scores))
        in_box = np.unravel_index(candidates[best], self._inverse_deviation.shape)
        voxel = np.array([part.start + step for part, step in zip(self._box, in_box, strict=True)])
        return BestPlace(voxel, float(np.clip(scores[best], -1.0, 1.0)))

    def _is_near(self, centre_mm: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
        """Return the (X, Y, Z) voxels within a radius; the grid's axes are taken as perpendicular."""
        centre_vox = self.target.voxel_from_world(centre_mm)
        squares = [
            ((np.arange(length) - centre) * spacing_mm) ** 2
            for length, centre, spacing_mm in zip(
                self.target.shape, centre_vox, self.target.spacing_mm, strict=True
            )
        ]
        return np.add.outer(np.add.outer(squares[0], squares[1]), squares[2]) <= radius_mm**2


def _sum_over_cubes(array: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    for axis in range(3):
        array = uniform_filter1d(array, size, axis=axis, mode="nearest")
    return array * size**3
