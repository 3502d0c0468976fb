"""Whole volumes in pieces: the same maps as one pass, in every size, memory limit and precision."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from anatomical_embedding.embedding.embed_volume import VolumeEmbedder
from anatomical_embedding.embedding.memory_model import bytes_per_voxel
from anatomical_embedding.embedding.needed_cells import blocks_of, everything, needed_cells
from anatomical_embedding.embedding.row_streaming import head_in_blocks, levels_in_rows
from anatomical_embedding.errors import SettingsError, UserError
from anatomical_embedding.networks.folding import folded_copy
from anatomical_embedding.settings.embedding import EmbeddingSettings
from anatomical_embedding.volumes.cell_centres import affine_of_cells
from tests.reference.small_networks import (
    isotropic_settings,
    network_with_statistics,
    random_volume,
    short_sighted_settings,
    small_published_settings,
)

PUBLISHED_SHAPED = network_with_statistics(small_published_settings(width=8))
ISOTROPIC = network_with_statistics(isotropic_settings(width=8))
SHORT_SIGHTED = network_with_statistics(short_sighted_settings())
TOLERANCE = 1e-4  # of fp32, in pieces against one pass
NETWORKS = pytest.mark.parametrize("network", [PUBLISHED_SHAPED, ISOTROPIC], ids=["published", "isotropic"])


def settings(**changes):
    values = {"precision": "fp32", "device": "cpu", "memory_limit_mb": 1000, "with_semantic_map": True}
    return EmbeddingSettings.model_validate(values | changes)


def dense(network, volume):
    with torch.no_grad():
        return network(volume[None, None])


def largest_difference(got, expected):
    pairs = [(a, b) for a, b in zip(got, expected, strict=True) if b is not None]
    assert all(a.shape == b.shape for a, b in pairs)
    return max(float((a - b).abs().max()) for a, b in pairs)


@pytest.mark.slow
@NETWORKS
@pytest.mark.parametrize("shape", [(32, 48, 64), (37, 77, 59), (11, 5, 3), (2, 2, 2), (3, 33, 2)])
def test_one_tile_equals_one_pass(network, shape):
    volume = random_volume(*shape)
    assert (
        largest_difference(
            VolumeEmbedder(network, settings=settings()).embed(volume.numpy()), dense(network, volume)
        )
        < TOLERANCE
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "shape", "limit_mb"),
    [
        (PUBLISHED_SHAPED, (131, 67, 59), 8),
        (PUBLISHED_SHAPED, (13, 30, 421), 4),
        (ISOTROPIC, (231, 21, 29), 3),
        (ISOTROPIC, (21, 231, 29), 3),
        (SHORT_SIGHTED, (77, 91, 83), 6),
        (SHORT_SIGHTED, (77, 91, 83), 9),
    ],
)
def test_tiles_leave_no_seam(network, shape, limit_mb):
    volume = random_volume(*shape)
    embedder = VolumeEmbedder(network, settings=settings(memory_limit_mb=limit_mb))
    assert len(embedder._tiles(shape)) > 1
    assert largest_difference(embedder.embed(volume.numpy()), dense(network, volume)) < TOLERANCE


@NETWORKS
@pytest.mark.parametrize("thickness", [1, 2, 3, 5, 100])
def test_any_number_of_rows_at_a_time_gives_the_same(network, thickness):
    volume = random_volume(23, 20, 18)[None, None]
    folded = folded_copy(network)
    with torch.no_grad():
        expected = network.backbone(volume)
        levels = levels_in_rows(folded, volume, dtype=torch.float32, thickness=thickness)
        for got, wanted in zip(levels, expected, strict=True):
            torch.testing.assert_close(got, wanted, atol=1e-3, rtol=1e-5)


@NETWORKS
@pytest.mark.parametrize("size_zy", [(1, 1), (2, 3), (3, 2), (5, 7), (100, 100)])
def test_any_blocks_of_a_head_give_the_same(network, size_zy):
    volume = random_volume(23, 39, 34)[None, None]
    with torch.no_grad():
        levels = network.backbone(volume)
        fine = network.neck(levels[:3])
        z, y, x = fine.shape[2:]
        part = range(2, z - 1), range(1, y), range(x - 1)
        blocks = list(blocks_of(everything((z, y, x)), cells=part, size_zy=size_zy))
        got = torch.full_like(fine, torch.nan)
        for block in head_in_blocks(network.neck, levels, settings=network.settings, blocks=blocks):
            place = tuple(slice(cells.start, cells.stop) for cells in block.cells)
            assert got[(..., *place)].isnan().all()  # each cell once
            got[(..., *place)] = block.vectors
    wanted = torch.full_like(fine, torch.nan)
    place = (..., *(slice(cells.start, cells.stop) for cells in part))
    wanted[place] = fine[place]
    torch.testing.assert_close(got, wanted, atol=1e-3, rtol=1e-5, equal_nan=True)


def ball(shape):
    """Return a mask of an ellipsoid off the centre of a volume."""
    grid = np.indices(shape, dtype=float)
    scaled = [(axis - 0.4 * size) / (0.35 * size) for axis, size in zip(grid, shape, strict=True)]
    return sum(axis**2 for axis in scaled) < 1


@pytest.mark.slow
@NETWORKS
@pytest.mark.parametrize("limit_mb", [1000, 4])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_region_gives_the_same_vectors_in_it_and_none_outside(network, limit_mb, precision):
    volume = random_volume(61, 45, 50).numpy()
    region = ball(volume.shape)
    embedder = VolumeEmbedder(network, settings=settings(memory_limit_mb=limit_mb, precision=precision))
    everywhere, within = embedder.embed(volume), embedder.embed(volume, region=region)
    stride = network.settings.fine_stride_zyx
    is_needed = np.zeros(everywhere.fine.shape[2:], dtype=bool)
    for voxel in np.argwhere(region):
        cell = tuple(voxel // stride)
        if all(index < size for index, size in zip(cell, is_needed.shape, strict=True)):
            is_needed[cell] = True
    assert 0.1 < is_needed.mean() < 0.5
    for name in ("fine", "semantic"):
        whole, part = getattr(everywhere, name), getattr(within, name)
        if whole is not None:
            torch.testing.assert_close(
                part[0][:, is_needed],
                whole[0][:, is_needed],
                atol=1e-5 if precision == "fp32" else 1e-2,
                rtol=0.0,
            )
            assert not part[0][:, ~is_needed].any()
    assert torch.equal(everywhere.coarse, within.coarse)


def test_a_region_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"region has the shape \(20, 20, 21\), the volume \(20, 20, 20\)"):
        VolumeEmbedder(ISOTROPIC, settings=settings()).embed(
            np.zeros((20, 20, 20), np.float32), region=np.zeros((20, 20, 21), bool)
        )


@pytest.mark.parametrize(
    ("region", "stride", "shape", "expected"),
    [
        ([0, 0, 0, 1, 0], 2, 3, [False, True, False]),
        ([0, 0, 0, 0, 1], 2, 3, [False, False, True]),  # the last cell reaches over the end
        ([0, 0, 1, 0, 1], 2, 2, [False, True]),  # the last voxel has no cell
    ],
)
def test_cells_that_touch_a_region_are_needed(region, stride, shape, expected):
    along_x = np.array(region, bool)[None, None]
    got = needed_cells(along_x, stride_zyx=(1, 1, stride), shape_zyx=(1, 1, shape))
    assert got[0, 0].tolist() == expected
    got = needed_cells(along_x.transpose(2, 0, 1), stride_zyx=(stride, 1, 1), shape_zyx=(shape, 1, 1))
    assert got[:, 0, 0].tolist() == expected


@NETWORKS
def test_bf16_is_close_of_unit_length_and_stored_as_float16(network):
    volume = random_volume(41, 50, 66)
    got = VolumeEmbedder(network, settings=settings(precision="bf16", memory_limit_mb=4)).embed(
        volume.numpy()
    )
    for values, expected in zip(got, dense(network, volume), strict=True):
        if expected is None:
            assert values is None
            continue
        assert values.dtype == torch.float16
        assert values[0].permute(1, 2, 3, 0).is_contiguous()
        lengths = values.float().norm(dim=1)
        assert float((lengths - 1.0).abs().max()) <= 1e-3
        assert float((1.0 - (values.float() * expected).sum(dim=1) / lengths).mean()) <= 2e-3


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_embedding_twice_gives_the_same_bits_and_leaves_the_network_alone(precision):
    before = {name: tensor.clone() for name, tensor in ISOTROPIC.state_dict().items()}
    embedder = VolumeEmbedder(ISOTROPIC, settings=settings(precision=precision, memory_limit_mb=3))
    volume = random_volume(60, 40, 50).numpy()
    first, second = embedder.embed(volume), embedder.embed(volume)
    assert torch.equal(first.fine, second.fine)
    assert torch.equal(first.coarse, second.coarse)
    assert all(torch.equal(tensor, before[name]) for name, tensor in ISOTROPIC.state_dict().items())


def test_cells_lie_where_their_affine_says():
    shift_vox = np.array(ISOTROPIC.settings.coarse_stride_zyx)
    whole = random_volume(144, 32, 32).numpy()
    part = whole[shift_vox[0] :]
    maps_of_whole, maps_of_part = (
        VolumeEmbedder(ISOTROPIC, settings=settings()).embed(array) for array in (whole, part)
    )
    part_affine = np.eye(4)
    part_affine[2, 3] = shift_vox[0]
    for name, stride in (("fine", 2), ("coarse", 8)):
        in_whole, in_part = getattr(maps_of_whole, name)[0], getattr(maps_of_part, name)[0]
        cell_of_part = np.array([0, 0, in_part.shape[1] - 1 - 4 // stride, 1.0])
        world = affine_of_cells(part_affine, stride_vox=(stride,) * 3) @ cell_of_part
        cell_of_whole = np.linalg.inv(affine_of_cells(np.eye(4), stride_vox=(stride,) * 3)) @ world
        torch.testing.assert_close(
            in_part[:, int(cell_of_part[2])], in_whole[:, round(cell_of_whole[2])], atol=1e-5, rtol=0.0
        )


def test_semantic_map_is_made_on_request_only():
    volume = random_volume(8, 32, 32)
    maps = VolumeEmbedder(PUBLISHED_SHAPED, settings=settings(with_semantic_map=False)).embed(volume.numpy())
    assert maps.semantic is None
    assert largest_difference(maps[:2], dense(PUBLISHED_SHAPED, volume)[:2]) < TOLERANCE


@pytest.mark.parametrize("dtype", [np.int16, np.float64, ">f4"])
def test_any_number_format_and_memory_order_is_read(dtype):
    volume = random_volume(16, 20, 24).round()
    array = np.asfortranarray(volume.numpy().astype(dtype))[::-1]
    got = VolumeEmbedder(ISOTROPIC, settings=settings()).embed(array)
    assert largest_difference(got, dense(ISOTROPIC, volume.flip(0))) < TOLERANCE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "fp16"}, r"embedding\.precision: fp16 has no fast arithmetic on a CPU"),
        ({"device": "cuda"}, r"embedding\.device: is cuda, but no GPU is available"),
    ],
)
def test_settings_that_this_machine_cannot_serve_are_refused(changes, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match=message):
        VolumeEmbedder(ISOTROPIC, settings=settings(**changes))


@pytest.mark.parametrize(
    ("shape", "limit_mb", "message"),
    [
        ((1, 20, 20), 1000, r"a volume of \(1, 20, 20\) voxels \(z, y, x\) is smaller than one cell"),
        ((20, 20), 1000, "cannot embed an array of 2 axes"),
        ((300, 300, 300), 1, "memory_limit_mb is too small"),
    ],
)
def test_volumes_that_cannot_be_embedded_are_refused(shape, limit_mb, message):
    with pytest.raises(UserError, match=message):
        VolumeEmbedder(ISOTROPIC, settings=settings(memory_limit_mb=limit_mb)).embed(
            np.zeros(shape, np.float32)
        )


MEASURE_WORKING_MEMORY = """
from pathlib import Path
import numpy as np, torch
from anatomical_embedding.embedding.embed_volume import VolumeEmbedder
from tests.unit.test_embed_volume import PUBLISHED_SHAPED, settings

def megabytes(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024

torch.set_num_threads(1)
embedder = VolumeEmbedder(PUBLISHED_SHAPED, settings=settings(memory_limit_mb=100))
embedder.embed(np.zeros((16, 16, 16), np.float32))
volume = np.ones((800, 128, 128), np.float32)
before = megabytes("VmRSS")
maps = embedder.embed(volume)
print(megabytes("VmHWM") - before - sum(values.nbytes for values in maps) / 2**20)
"""


@pytest.mark.slow
def test_working_memory_stays_near_the_limit_for_a_volume_that_needs_much_more():
    needed = bytes_per_voxel(PUBLISHED_SHAPED.settings, bytes_per_value=4) * 800 * 128 * 128 / 1e6
    assert needed > 240.0
    command = [sys.executable, "-c", MEASURE_WORKING_MEMORY]
    finished = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    assert float(finished.stdout) < 100.0 + 100.0  # the limit, and what the libraries take
