"""Tests of anatomical_embedding.embedding.store."""

import dataclasses
import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from anatomical_embedding.embedding.store import (
    METADATA_KEY,
    decode,
    embedded_volume,
    open_store,
    quantise,
    read_origin,
    write_store,
)
from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.settings.matching import StoreSettings
from tests.reference.synthetic_embeddings import ORIGIN, synthetic_volume

OBLIQUE = np.array([[-1.9, 0.3, 0, 80], [0.3, 1.9, 0, -60], [0, 0, 2.5, 4], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("store_format", ["fp16", "int8"])
@pytest.mark.parametrize("has_semantic", [False, True])
def test_store_returns_what_was_written(tmp_path, store_format, has_semantic):
    written = synthetic_volume(OBLIQUE, (33, 24, 10), has_semantic=has_semantic, store_format=store_format)
    write_store(tmp_path / "a.safetensors", written)
    read = open_store(tmp_path / "a.safetensors", checkpoint_sha256=ORIGIN.checkpoint_sha256)

    assert (read.volume_id, read.shape, read.origin) == (written.volume_id, (33, 24, 10), ORIGIN)
    np.testing.assert_array_equal(read.affine, OBLIQUE)
    np.testing.assert_array_equal(read.coarse_norm, written.coarse_norm)
    assert (read.semantic is not None) == has_semantic
    for name in ("fine", "coarse", "semantic")[: 2 + has_semantic]:
        before, after = getattr(written, name), getattr(read, name)
        np.testing.assert_array_equal(after.values, before.values)
        np.testing.assert_array_equal(after.cell_affine, before.cell_affine)
        assert after.stride_vox == before.stride_vox
        assert (after.scale is None) == (before.scale is None)
    assert read.fine.values.dtype == (np.int8 if store_format == "int8" else np.float16)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.safetensors"]


def test_cell_centres_follow_the_stride():
    volume = synthetic_volume(np.diag([2.0, 2.0, 5.0, 1.0]), (32, 32, 8))
    np.testing.assert_allclose(
        volume.fine.cell_affine @ [0, 0, 1, 1], [1, 1, 12.5, 1]
    )  # voxel (0.5, 0.5, 2.5)
    np.testing.assert_allclose(
        volume.coarse.cell_affine @ [1, 0, 0, 1], [47, 15, 7.5, 1]
    )  # voxel (23.5, 7.5, 1.5)


def test_opening_does_not_read_the_vectors(tmp_path):
    write_store(tmp_path / "a.safetensors", synthetic_volume(np.eye(4), (16, 16, 8)))
    opened = open_store(tmp_path / "a.safetensors")
    assert isinstance(opened.fine.values.base, np.memmap)


def test_quantised_vectors_by_hand():
    values, scale = quantise(np.array([[0.6, -0.8], [0.0, 0.0]]))
    np.testing.assert_array_equal(values, [[95, -127], [0, 0]])  # 0.6 * 127 / 0.8 = 95.25
    np.testing.assert_allclose(scale[0], 1 / np.hypot(95, 127), rtol=5e-4)
    np.testing.assert_array_equal(decode(values, scale=scale)[1], 0.0)


def test_quantised_vectors_keep_length_and_direction():
    vectors = np.random.default_rng(0).normal(size=(2000, 128))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    values, scale = quantise(vectors)
    restored = decode(values, scale=scale)
    np.testing.assert_allclose(np.linalg.norm(restored, axis=1), 1.0, atol=5e-4)
    cosine = (restored * vectors).sum(axis=1) / np.linalg.norm(restored, axis=1)
    assert (1 - cosine).mean() < 3e-5


def test_int8_store_is_at_most_027_of_float32(tmp_path):
    volume = synthetic_volume(np.eye(4), (64, 64, 48), num_channels=128, store_format="int8")
    write_store(tmp_path / "a.safetensors", volume)
    float32_bytes = 4 * (volume.fine.values.size + volume.coarse.values.size)
    assert (tmp_path / "a.safetensors").stat().st_size <= 0.27 * float32_bytes


def test_vectors_that_are_not_finite_are_refused():
    heads = np.ones((2, 2, 2, 4), dtype=np.float32)
    broken = heads.copy()
    broken[1, 0, 0, 0] = np.nan
    with pytest.raises(UserError, match="volume a: the fine embedding holds values that are not finite"):
        embedded_volume(
            broken,
            heads,
            None,
            fine_stride_vox=(2, 2, 2),
            coarse_stride_vox=(2, 2, 2),
            volume_id="a",
            shape=(4, 4, 4),
            affine=np.eye(4),
            origin=ORIGIN,
            settings=StoreSettings(format="fp16"),
        )


def test_store_of_another_model_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    write_store(path, synthetic_volume(np.eye(4), (16, 16, 8)))
    with pytest.raises(
        InputFileError, match=r"a\.safetensors: is a store of model c{12}, expected model d{12}; exp"
    ):
        open_store(path, checkpoint_sha256="d" * 64)


@pytest.mark.parametrize("size", [0, 4, 200, -1])
def test_truncated_store_is_refused(tmp_path, size):
    path = tmp_path / "a.safetensors"
    write_store(path, synthetic_volume(np.eye(4), (16, 16, 8)))
    path.write_bytes(path.read_bytes()[:size])
    for read in (open_store, read_origin):
        with pytest.raises(InputFileError, match=r"a\.safetensors: is cut off or not an embedding store"):
            read(path)


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(InputFileError, match="no such file"):
        open_store(tmp_path / "none.safetensors")
    save_file({"weight": np.zeros(3)}, tmp_path / "b.safetensors")
    with pytest.raises(InputFileError, match="not an embedding store"):
        read_origin(tmp_path / "b.safetensors")


def test_other_format_version_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"weight": np.zeros(3)}, path, metadata={METADATA_KEY: json.dumps({"format_version": 99})})
    with pytest.raises(InputFileError, match="has store format 99, expected 1"):
        open_store(path)


def test_the_origin_comes_from_the_header_alone(tmp_path):
    path = tmp_path / "a.safetensors"
    volume = synthetic_volume(np.eye(4), (16, 16, 8))
    other = dataclasses.replace(ORIGIN, volume_sha256="b" * 64)
    write_store(path, dataclasses.replace(volume, origin=other))
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    path.write_bytes(content[: 8 + length] + b"\xff" * (len(content) - 8 - length))
    assert read_origin(path) == other
