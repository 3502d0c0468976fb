"""The checksum of a model's weights, in its metadata: a byte that a copy or a disk changed is seen by it alone."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from safetensors import safe_open

from anatomical_embedding.errors import InputFileError

CHECKSUM_KEY = "weights_sha256"
"""Beside the model card in the metadata; models packed before have none."""


def weights_sha256(weights: Mapping[str, ArrayLike]) -> str:
    """Return the SHA-256 of the bytes of arrays in the order of their names, as 64 hexadecimal digits."""
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(np.ascontiguousarray(weights[name]).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def weights_sha256_of_file(path: Path | str) -> str:
    """Return the checksum of the weights in a checkpoint."""
    with safe_open(path, framework="numpy") as stream:
        return weights_sha256({name: stream.get_tensor(name) for name in stream.keys()})


def require_stated_weights(
    path: Path | str, weights: Mapping[str, ArrayLike], *, metadata: Mapping[str, Any]
) -> None:
    """Refuse weights that are not those that a model was packed with; one that states no checksum is accepted.

    Parameters
    ----------
    path : of the model, for the error.
    weights : by name, as they lie in the file.
    metadata : of the model's header.

    Raises
    ------
    InputFileError
        if the weights are damaged.
    """
    stated = metadata.get(CHECKSUM_KEY)
    if stated is not None and stated != weights_sha256(weights):
        raise InputFileError(
            path, "is damaged: its weights are not those that it was packed with; copy it again"
        )
