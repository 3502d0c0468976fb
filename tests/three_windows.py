"""Three prepared windows on one anatomy, a model of random weights, and their export."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from anatomical_embedding.embedding.store_manifest import read_store_manifest
from anatomical_embedding.networks.checkpoint import save_checkpoint
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine, write_prepared, write_prepared_index
from workflow_scripts import export_embeddings

NETWORK = NetworkSettings(
    stem_channels=4,
    stem_kernel_zyx=(3, 3, 3),
    stem_stride_zyx=(2, 2, 2),
    stage_channels=(4, 6, 8, 8),
    stage_kernels_zyx=((3, 3, 3),) * 4,
    stage_strides_zyx=((1, 1, 1), (1, 2, 2), (2, 2, 2), (1, 1, 1)),
    pool_zyx=(1, 1, 1),
    embedding_channels=16,
    coarse_channels=8,
    has_semantic_head=True,
)
EXPORT = {
    "embedding": {"precision": "fp32", "device": "cpu", "memory_limit_mb": 500, "with_semantic_map": True},
    "store": {"format": "fp16"},
    "intensity": {
        "ct_low_hu": -500,
        "ct_high_hu": 700,
        "mr_low_percentile": 0.2,
        "mr_high_percentile": 99.8,
        "mr_smallest_high": 1,
        "output_span": 255,
        "output_offset": -50,
    },
}
SHIFTS = {"a": (0, 0, 0), "b": (2, 4, 4), "c": (4, 2, 2)}


@pytest.fixture(name="dataset")
def fixture_dataset(tmp_path):
    """Write three windows on one anatomy whose world origins say nothing about each other, and a model."""
    random = np.random.default_rng(0)
    anatomy = (gaussian_filter(random.normal(size=(45, 44, 40)), 1.5) * 4000).astype(np.int16)
    rows = []
    for volume_id, (x, y, z) in SHIFTS.items():
        image = Volume(
            anatomy[x : x + 37, y : y + 36, z : z + 34], lps_affine(origin_mm=random.uniform(-99, 99, 3))
        )
        body = Volume(np.ones(image.shape, np.uint8), image.affine)
        rows.append(write_prepared(tmp_path, volume_id, image, body, patient_id=volume_id))
    rows[0] = replace(rows[0], split="train")
    write_prepared_index(tmp_path, rows)
    write_model(tmp_path, seed=0)
    return tmp_path


def write_model(folder, *, seed):
    torch.manual_seed(seed)
    save_checkpoint(folder / "model.safetensors", EmbeddingNetwork(NETWORK), metadata={})


def export_arguments(folder, settings=None, splits=("train", "test")):
    return [
        *("--settings", json.dumps(settings or EXPORT), "--index", f"{folder}/index.csv"),
        *("--checkpoint", f"{folder}/model.safetensors", "--splits", *splits),
        *("--store-folder", f"{folder}/stores", "--output", f"{folder}/stores.csv"),
    ]


def export(folder, settings=None, splits=("train", "test")):
    export_embeddings.main(export_arguments(folder, settings, splits))
    return read_store_manifest(folder / "stores.csv")
