"""Stored voxels made into the values of a volume, and what is refused whatever the format of the file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError

SMALL_TYPE_BYTES = 2  # int16 and uint16 hold stored HU; wider integers keep their type


def require_one_volume(shape: Sequence[int], *, path: Path) -> tuple[int, int, int]:
    """Return the three axes of a shape; further axes have to be of length one.

    Raises
    ------
    InputFileError
        if the shape is no volume of two or more voxels along three axes.
    """
    spatial, others = tuple(shape[:3]), shape[3:]
    if any(length != 1 for length in others):
        raise InputFileError(
            path,
            f"has shape {tuple(shape)}, expected one volume of 3 axes; split the series into volumes first",
        )
    if len(spatial) != len("XYZ") or min(spatial) <= 1:
        raise InputFileError(
            path,
            f"has shape {tuple(shape)}, expected 3 axes of 2 or more voxels; a single slice is not a volume",
        )
    size_x, size_y, size_z = spatial
    return size_x, size_y, size_z


def scaled_values(stored: NDArray, *, slope: float, intercept: float) -> NDArray:
    """Return `slope * stored + intercept`, as integers where that loses nothing, else as float32."""
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if native.dtype.kind in "iu" and slope == 1.0 and intercept.is_integer():
        shifted = native if intercept == 0.0 else _shift_integers(native, int(intercept))
        if shifted is not None:
            return shifted
    if (slope, intercept) == (1.0, 0.0):
        return native.astype(np.float32)
    # Wide numbers may be large where their scaled values are not, so they are scaled in double precision.
    wide = np.float32 if native.dtype.itemsize <= SMALL_TYPE_BYTES else np.float64
    scaled: NDArray = np.multiply(native, slope, dtype=wide)
    np.add(scaled, intercept, out=scaled)
    return scaled.astype(np.float32, copy=False)


def _shift_integers(stored: NDArray, intercept: int) -> NDArray | None:
    """Return the sum in int16 where every value fits, else in int64; None beyond that."""
    lowest, highest = int(stored.min()) + intercept, int(stored.max()) + intercept
    limits = np.iinfo(np.int16)
    fits = limits.min <= lowest and highest <= limits.max
    if fits and stored.dtype.itemsize <= SMALL_TYPE_BYTES:
        # Wraps in uint16, which is the right sum modulo 2**16 and so the right int16.
        return (stored.astype(np.uint16) + np.uint16(intercept % 2**16)).astype(np.int16)
    largest = np.iinfo(np.int64).max
    if (
        max(abs(lowest - intercept), abs(highest - intercept), abs(intercept), abs(lowest), abs(highest))
        > largest
    ):
        return None
    return stored.astype(np.int64) + intercept


def require_finite(array: NDArray, *, path: Path) -> None:
    """Refuse voxels that are NaN or infinite.

    Raises
    ------
    InputFileError
        with their number.
    """
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    count = int(array.size - np.isfinite(array).sum())
    raise InputFileError(
        path,
        f"has {count} of {array.size} voxels that are NaN or infinite; replace them by air or background",
    )


def require_contrast(array: NDArray, *, path: Path) -> None:
    """Refuse voxels of one value.

    Raises
    ------
    InputFileError
        with the value.
    """
    if array.min() == array.max():
        raise InputFileError(
            path, f"every voxel has the value {array.flat[0]}, expected an image; check how it was exported"
        )


def require_no_more(num_behind: int, *, num_stated: int, path: Path, counted: str = "bytes") -> None:
    """Refuse a file that goes on behind its voxels for as long as these: its header states another size or type.

    Parameters
    ----------
    num_behind, num_stated : bytes, unpacked, behind the voxels and of them. A few more are no sign of anything.
    counted : what else these are: the numbers of a text.

    Raises
    ------
    InputFileError
        naming the file.
    """
    if num_behind >= num_stated:
        raise InputFileError(
            path,
            f"holds {1 + num_behind / num_stated:.3g} times the {num_stated} {counted} of the voxels that its header "
            "states, whose size or type must be wrong; export it again",
        )
