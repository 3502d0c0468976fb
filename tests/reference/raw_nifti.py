"""What a NIfTI-1 file holds, read from its bytes with `struct` by the text of nifti1.h, to judge a reader by.

No array library and no NIfTI library is asked for a number of the header. Beside voxels and place it tells which of the
statements of the header no careful reader takes as they stand, so that a reader who is silent about them is found out.
"""

import gzip
import itertools
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path

HEADER_BYTES, DATA_START = 348, 352
LETTERS = {2: "B", 4: "h", 8: "i", 16: "f", 64: "d", 256: "b", 512: "H", 768: "I", 1024: "q", 1280: "Q"}
UNIT_MM = {1: 1000.0, 3: 0.001}
Matrix = list[list[float]]


@dataclass
class RawFile:
    """A file as its bytes say.

    Attributes
    ----------
    shape : of the first three axes.
    voxels : scaled values, x fastest.
    sform, qform : three rows of four numbers, mm, perhaps NaN; None where the code is not positive.
    spacing_mm : of `pixdim`.
    to_say : what differs from a header that says all as it should.
    """

    shape: tuple[int, int, int]
    voxels: list[float]
    sform: Matrix | None
    qform: Matrix | None
    spacing_mm: list[float]
    to_say: list[str] = field(default_factory=list)

    def apart_mm(self, first: Matrix, second: Matrix) -> float:
        """Return the largest distance between equal corner voxels of two placements, infinite for a broken one."""
        if not math.isfinite(sum(map(sum, first)) + sum(map(sum, second))):
            return math.inf
        corners = itertools.product(*[(0, size - 1) for size in self.shape])
        return max(math.dist(place(first, corner), place(second, corner)) for corner in corners)

    def sform_with_pixdim(self) -> Matrix:
        """Return the sform's directions with the spacings of `pixdim`."""
        assert self.sform is not None
        columns = [math.hypot(*(row[axis] for row in self.sform)) for axis in range(3)]
        return [
            [*(row[axis] / columns[axis] * self.spacing_mm[axis] for axis in range(3)), row[3]]
            for row in self.sform
        ]


def place(matrix: Matrix, voxel: tuple[float, ...]) -> list[float]:
    """Return the world mm of a voxel."""
    return [sum(a * b for a, b in zip(row, (*voxel, 1.0), strict=True)) for row in matrix]


def read_raw(path: Path) -> RawFile | None:
    """Return what a file holds; None where nifti1.h gives it no meaning, or it is no volume of plain numbers."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    order = next(
        (sign for sign in "<>" if struct.unpack_from(f"{sign}i", content, 0)[0] == HEADER_BYTES), None
    )
    if order is None or content[344:347] != b"n+1":
        return None

    def numbers(kind: str, byte: int, count: int = 1) -> tuple:
        return struct.unpack_from(f"{order}{count}{kind}", content, byte)

    dim, pixdim = numbers("h", 40, 8), numbers("f", 76, 8)
    letter = LETTERS.get(numbers("h", 70)[0])
    if (
        letter is None
        or not 3 <= dim[0] <= 7
        or min(dim[1:4]) < 2
        or any(n != 1 for n in dim[4 : dim[0] + 1])
    ):
        return None
    count = dim[1] * dim[2] * dim[3]
    num_bytes = count * struct.calcsize(f"={letter}")
    to_say: list[str] = []
    start = _data_start(numbers("f", 108)[0], content, num_bytes=num_bytes, to_say=to_say)
    unit_code = content[123] & 7
    unit = UNIT_MM.get(unit_code, 1.0)
    if unit_code not in (0, 2):
        to_say.append("unit")
    if (
        start is None
        or len(content) < start + num_bytes
        or not all(0 < value < math.inf for value in pixdim[1:4])
    ):
        return None
    spacing = [value * unit for value in pixdim[1:4]]
    slope, intercept = numbers("f", 112, 2)
    if math.isfinite(slope) and slope != 0 and not math.isfinite(intercept):
        return None
    if not math.isfinite(slope) or slope == 0:
        if math.isfinite(intercept) and intercept != 0:
            to_say.append("intercept")
        slope, intercept = 1.0, 0.0
    stored = struct.unpack_from(f"{order}{count}{letter}", content, start)
    qform_code, sform_code = numbers("h", 252, 2)
    srows = [numbers("f", 280 + 16 * row, 4) for row in range(3)]
    return RawFile(
        shape=dim[1:4],
        voxels=[value * slope + intercept for value in stored],
        sform=[[value * unit for value in row] for row in srows] if sform_code > 0 else None,
        qform=_qform(numbers("f", 256, 6), pixdim[0], spacing, unit) if qform_code > 0 else None,
        spacing_mm=spacing,
        to_say=to_say,
    )


def _data_start(stated: float, content: bytes, *, num_bytes: int, to_say: list[str]) -> int | None:
    """Return the first byte of the voxels: as stated, or behind the header where an offset within it is stated."""
    if not math.isfinite(stated) or stated < 0:
        return None
    if stated >= DATA_START:
        return int(stated) if stated == int(stated) else None
    to_say.append("offset")
    return HEADER_BYTES if len(content) == HEADER_BYTES + num_bytes else DATA_START


def _qform(numbers: tuple, qfac: float, spacing: list[float], unit: float) -> Matrix:
    """Return the affine of a quaternion, as in nifti1.h; NaN where it is no rotation."""
    b, c, d, *offset = numbers
    if not b * b + c * c + d * d < 1.0 + 1e-5:
        return [[math.nan] * 4] * 3
    a = math.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    rotation = [
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ]
    scale = [spacing[0], spacing[1], -spacing[2] if qfac < 0 else spacing[2]]
    return [
        [*(value * factor for value, factor in zip(row, scale, strict=True)), shift * unit]
        for row, shift in zip(rotation, offset, strict=True)
    ]
