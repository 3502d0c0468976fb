"""Checkpoints in the layout of the published system (SAM, SAM++ and Cross-SAM, `.pth` files)."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.networks.weights import check_names, copy_weights
from anatomical_embedding.settings.network import NetworkSettings

PARALLEL_PREFIX = "module."
SEMANTIC_PREFIX = "semantic_head."

PUBLISHED_PREPROCESSING: dict[str, Any] = {
    "spacing_mm": [2.0, 2.0, 2.0],
    "orientation": "LPS",
    "ct_clip_hu": [-1024.0, 3071.0],
    "mr_clip_percentiles": [0.2, 99.8],
    "scaled_to": [0.0, 255.0],
    "offset": -50.0,
}
"""What the published networks were trained on (functional specification, sections 1.1 and 1.5)."""


def published_settings(*, has_semantic_head: bool) -> NetworkSettings:
    """Return the settings of the published network: SAM has no semantic head, SAM++ and Cross-SAM do."""
    return NetworkSettings(
        stem_channels=64,
        stem_kernel_zyx=(3, 7, 7),
        stem_stride_zyx=(1, 1, 1),
        stage_channels=(64, 128, 256, 512),
        stage_kernels_zyx=((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3)),
        stage_strides_zyx=((1, 2, 2), (1, 2, 2), (1, 2, 2), (2, 2, 2)),
        pool_zyx=(2, 1, 1),
        embedding_channels=128,
        coarse_channels=128,
        has_semantic_head=has_semantic_head,
    )


def load_published(path: Path | str) -> EmbeddingNetwork:
    """Return the network of a checkpoint in the published layout, in evaluation mode.

    Parameters
    ----------
    path : a `.pth` file: a dictionary whose `state_dict` holds the weights, or the weights alone, their names
        with or without the prefix `module.`, with or without a semantic head. Only tensors and plain values
        are read; a file that would run code is refused.

    Raises
    ------
    InputFileError
        if the file cannot be read safely, or names the first missing and unexpected tensors, or a tensor of
        another shape.
    """
    weights = _read_weights(Path(path))
    if all(name.startswith(PARALLEL_PREFIX) for name in weights):
        weights = {name.removeprefix(PARALLEL_PREFIX): tensor for name, tensor in weights.items()}
    has_semantic_head = any(name.startswith(SEMANTIC_PREFIX) for name in weights)
    network = EmbeddingNetwork(published_settings(has_semantic_head=has_semantic_head))
    check_names(path, weights, expected=network.state_dict())
    copy_weights(network, weights, path=path)
    return network.eval()


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a `.pth` file."""
    if not path.is_file():
        raise InputFileError(path, "no such file; give the path of a published checkpoint (.pth)")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, OSError) as error:
        raise InputFileError(
            path,
            "is not a checkpoint that can be read without running code from it (damaged, of another kind, or "
            f"with more than tensors and plain values in it): {str(error).splitlines()[0]}",
        ) from error
    weights = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(weights, Mapping) or not weights:
        raise InputFileError(path, "has no weights: expected a dictionary with the key state_dict")
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise InputFileError(
                path,
                f"has no state_dict, and its entry {name!r} is not a tensor; expected a published checkpoint",
            )
    return dict(weights)
