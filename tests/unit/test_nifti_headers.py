"""Random NIfTI headers against a reader of raw bytes: the right place and values, or one line that names the file."""

import gzip
import math
import random
import struct
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.nifti import read_nifti
from tests.reference.raw_nifti import DATA_START, HEADER_BYTES, LETTERS, RawFile, place, read_raw

NUM_FILES, FEWEST_READ = 600, 220
SHAPE = (4, 3, 2)
SAME_PLACE_MM, SLIGHT_VOX = 0.05, 0.1
UNITS_A_MM = {1: 0.001, 3: 1000.0}
USUAL = 0.75
"""How often a field is as it should be: most files have one or two oddities, some have none."""


def _one_of(rng, usual, *odd):
    return usual if rng.random() < USUAL else rng.choice(odd)


def _stored_values(rng, letter, slope, intercept):
    """Return numbers that fit the type, whose scaled values look like a scan's."""
    count = math.prod(SHAPE)
    if letter in "fd":
        return [rng.uniform(-1000, 2000) for _ in range(count)]
    bits = 8 * struct.calcsize(f"={letter}")
    low, high = (0, 2**bits - 1) if letter.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if bits == 8:
        return [rng.randint(low, high) for _ in range(count)]
    base = 0
    if math.isfinite(slope) and math.isfinite(intercept) and abs(intercept) > 1e6:
        base = int(-intercept / slope)
    return [min(max(base + rng.randint(-1000, 3000), low), high) for _ in range(count)]


@dataclass
class _Statements:
    """What a header says about the place, mm; numbers of a sound one until an oddity spoils them."""

    pixdim: list[float]
    quaternion: list[float]
    origin: list[float]
    sform: NDArray[np.float64]
    sform_origin: list[float]


def _random_place(rng: random.Random) -> _Statements:
    spacing = [rng.uniform(5, 40) for _ in range(3)]
    rotation = Rotation.from_rotvec([rng.uniform(-2, 2) for _ in range(3)])
    handedness = rng.choice([1, -1])
    qfac = _one_of(rng, handedness, handedness * 3, 0 if handedness > 0 else -0.5)
    origin = [rng.uniform(-300, 300) for _ in range(3)]
    place = _Statements(
        pixdim=[qfac, *spacing, 1, 1, 1, 1],
        quaternion=rotation.as_quat(canonical=True)[:3].tolist(),  # x, y, z beside w >= 0
        origin=origin,
        sform=rotation.as_matrix() * spacing * [1, 1, handedness],
        sform_origin=list(origin),
    )
    oddity = _one_of(
        rng, None, *(_near, _moved, _sheared, _other_spacing, _singular, _no_number, _no_rotation)
    )
    if oddity:
        oddity(rng, place)
    return place


def _near(rng, place):
    place.sform_origin[0] += 0.2


def _moved(rng, place):
    place.sform_origin[0] += rng.uniform(20, 90)


def _sheared(rng, place):
    place.sform[1, 2] += 0.3 * place.pixdim[3]


def _other_spacing(rng, place):
    axis = rng.randint(1, 3)
    place.pixdim[axis] = rng.choice([2 * place.pixdim[axis], 1.0, 0.0, -place.pixdim[axis], math.nan])


def _singular(rng, place):
    place.sform[:, 1] = place.sform[:, 0]


def _no_number(rng, place):
    place.sform_origin[1] = math.nan


def _no_rotation(rng, place):
    place.quaternion = rng.choice([[1.0, 0.8, 0.2], [math.nan, 0, 0]])


def _random_file(rng: random.Random, path):
    """Write a file with random header fields."""
    order = rng.choice("<>")
    code = rng.choice(list(LETTERS)) if rng.random() < 0.95 else rng.choice([1, 32, 128, 1792, 0])
    letter = LETTERS.get(code, "h")
    slope = _one_of(rng, 1.0, 0.0, math.nan, 0.5, -1.0, 0.01, math.inf)
    intercept = _one_of(rng, 0.0, -1024.0, -1000.5, math.nan, 0.001)
    if letter in "Iq" and rng.random() < 0.5:
        slope, intercept = 1.0, -(2.0**31)
    dims = _one_of(rng, [3], [4, 1], [5, 1, 1], [7, 1, 1, 1, 1], [4, 2], [2], [8], [0], [-1])
    dim = [dims[0], *SHAPE, *dims[1:], *[rng.choice([0, 1, 5])] * 4][:8]
    unit_code = _one_of(rng, rng.choice([0, 2]), 1, 3, 5)
    per_mm = UNITS_A_MM.get(unit_code, 1.0)
    place = _random_place(rng)
    offset = _one_of(rng, DATA_START, 368, 0, 100, 348, 350, -1, math.nan, 352.5, 1e9)
    start = int(offset) if DATA_START <= offset < 1e6 else DATA_START
    if offset == HEADER_BYTES and rng.random() < 0.5:
        start = HEADER_BYTES
    header = bytearray(start)

    def put(kind, byte, *values):
        struct.pack_into(f"{order}{len(values)}{kind}", header, byte, *values)

    put("i", 0, HEADER_BYTES)
    put("h", 40, *dim)
    put("h", 70, code, 8 * struct.calcsize(f"={letter}"))
    put("f", 76, place.pixdim[0], *[value * per_mm for value in place.pixdim[1:4]], *place.pixdim[4:])
    put("f", 108, offset, slope, intercept)
    header[123] = unit_code | 8
    put("h", 252, _one_of(rng, 1, 0, 2, -1), _one_of(rng, 1, 0, 2, 4, -1))
    put("f", 256, *place.quaternion, *[value * per_mm for value in place.origin])
    for row in range(3):
        put("f", 280 + 16 * row, *(place.sform[row] * per_mm), place.sform_origin[row] * per_mm)
    header[344:348] = _one_of(rng, b"n+1\0", b"n+1\0", b"n+1\0", b"ni1\0", b"\0\0\0\0")
    voxels = struct.pack(f"{order}{math.prod(SHAPE)}{letter}", *_stored_values(rng, letter, slope, intercept))
    content = bytes(header) + voxels
    if rng.random() < 0.03:
        content = content[: rng.randrange(len(content))]
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def _chosen_form(raw: RawFile, geometry):
    """Return the form that documentation and option choose, and whether the statements of place are one."""
    forms = {"sform": raw.sform, "qform": raw.qform}
    name = geometry if geometry and forms[geometry] else next((key for key in forms if forms[key]), None)
    if name is None:
        return None, False
    others = [form for form in forms.values() if form]
    others += [raw.sform_with_pixdim()] if name == "sform" and math.isfinite(sum(map(sum, raw.sform))) else []
    return forms[name], max(raw.apart_mm(forms[name], other) for other in others)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_a_random_header_is_read_as_its_bytes_say_or_refused_in_one_line(tmp_path, part):
    rng = random.Random(part)  # noqa: S311, a test's dice
    num_read = 0
    for number in range(NUM_FILES // 4):
        path = tmp_path / f"scan_{number}.nii{rng.choice(['', '.gz'])}"
        geometry = rng.choice([None, None, "sform", "qform"])
        _random_file(rng, path)
        what = f"part {part}, file {number}, geometry {geometry}"
        raw = read_raw(path) if path.stat().st_size else None
        try:
            found = read_nifti(path, geometry=geometry)
        except InputFileError as error:
            assert str(error).startswith(f"{path}: "), what
            assert "\n" not in str(error), what
            if raw is not None:
                form, apart_mm = _chosen_form(raw, geometry)
                assert form is None or not apart_mm <= SAME_PLACE_MM, (
                    f"{what}: refused without a cause: {error}"
                )
            continue
        num_read += 1
        assert raw is not None, f"{what}: read, though the bytes give it no meaning"
        form, apart_mm = _chosen_form(raw, geometry)
        assert found.volume.shape == raw.shape
        assert np.allclose(found.volume.array.ravel(order="F"), raw.voxels, rtol=0, atol=0.5), what
        for corner in ((0, 0, 0), (3, 2, 1), (3, 0, 1)):
            assert math.dist(found.volume.world_from_voxel([corner])[0], place(form, corner)) < 0.01, what
        assert len(found.remarks) >= len(raw.to_say) + (apart_mm > SAME_PLACE_MM), f"{what}: {found.remarks}"
        assert bool(found.remarks) == bool(raw.to_say or apart_mm > SAME_PLACE_MM or _is_skewed(raw)), what
        is_slight = apart_mm <= SLIGHT_VOX * min(raw.spacing_mm)
        assert is_slight or geometry == ("sform" if form is raw.sform else "qform"), (
            f"{what}: nothing decided"
        )
    assert num_read >= FEWEST_READ / 4


def _is_skewed(raw: RawFile) -> bool:
    if raw.qform or not raw.sform:
        return False
    directions = np.array(raw.sform)[:, :3] / np.linalg.norm(np.array(raw.sform)[:, :3], axis=0)
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() > 1e-4)
