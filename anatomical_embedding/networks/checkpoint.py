"""Checkpoints of this project: one safetensors file with the weights and all that describes them.

`checkpoint_header` describes and reads the header. Nothing is pickled.
"""

from pathlib import Path
from typing import Any

import pydantic
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from anatomical_embedding.canonical_text import canonical_json
from anatomical_embedding.checkpoint_header import FORMAT, HEADER_KEY, read_checkpoint_header
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.networks.weights import SEMANTIC_PREFIX, check_names, copy_weights
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.weights_checksum import require_stated_weights


def save_checkpoint(path: Path | str, network: EmbeddingNetwork, *, metadata: dict[str, Any]) -> None:
    """Write a network's weights and settings atomically; equal content gives an equal file.

    Parameters
    ----------
    path : of the file, by custom `<name>.safetensors`.
    network : on any device.
    metadata : JSON-able; given back by `load_checkpoint`.
    """
    header = {
        "format": FORMAT,
        "network": network.settings.model_dump(mode="json"),
        "metadata": metadata,
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with written_atomically(path) as temporary:
        save_file(weights, temporary, metadata={HEADER_KEY: canonical_json(header)})


def load_checkpoint(path: Path | str) -> tuple[EmbeddingNetwork, dict[str, Any]]:
    """Return the network of a checkpoint, in evaluation mode on the CPU, and the metadata.

    Raises
    ------
    InputFileError
        if the file is missing, damaged, no checkpoint or of another format, or naming the tensor at fault.
    """
    settings, metadata = read_checkpoint_settings(path)
    weights = _read_weights(path, metadata)
    network = EmbeddingNetwork(settings)
    check_names(path, weights, expected=network.state_dict())
    copy_weights(network, weights, path=path)
    return network.eval(), metadata


def read_checkpoint_settings(path: Path | str) -> tuple[NetworkSettings, dict[str, Any]]:
    """Return a checkpoint's network settings and metadata; the weights are not read.

    Raises
    ------
    InputFileError
        if the file is missing, damaged, no checkpoint or of another format.
    """
    header = read_checkpoint_header(path)
    try:
        return NetworkSettings.model_validate(header["network"]), header.get("metadata", {})
    except (KeyError, pydantic.ValidationError) as error:
        raise InputFileError(path, f"has no valid network settings in its header: {error}") from error


def initialise_from_file(network: EmbeddingNetwork, path: Path | str) -> None:
    """Copy a checkpoint's weights into a network, to train on from there.

    The semantic head may be missing in the file (SAM++ that starts from SAM keeps its fresh one) or in the
    network (it is ignored then). Everything else must be there and of the same shape.

    Parameters
    ----------
    network : changed in place.
    path : a checkpoint of this project; `anatomical-embedding import` makes one of a published file.

    Raises
    ------
    InputFileError
        if the weights are damaged, or naming the first tensor that is missing, unexpected or of another shape.
    """
    weights = _read_weights(path, read_checkpoint_header(path).get("metadata", {}))
    expected = list(network.state_dict())
    if network.semantic_head is None:
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith(SEMANTIC_PREFIX)}
    elif not any(name.startswith(SEMANTIC_PREFIX) for name in weights):
        expected = [name for name in expected if not name.startswith(SEMANTIC_PREFIX)]
    check_names(path, weights, expected=expected)
    copy_weights(network, weights, path=path)


def _read_weights(path: Path | str, metadata: dict[str, Any]) -> dict[str, Tensor]:
    """Return the named tensors of a checkpoint whose header has been read, held against their stated checksum."""
    with safe_open(path, framework="pt") as stream:
        weights = {name: stream.get_tensor(name) for name in stream.keys()}
    require_stated_weights(path, weights, metadata=metadata)
    return weights
