"""Weights in the layouts of the published system (SAM, SAM++ and Cross-SAM, `.pth` files)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.networks.weights import SEMANTIC_PREFIX, check_names, copy_weights
from anatomical_embedding.settings.published_weights import (
    PublishedKind,
    published_network,
    published_weights,
)

Weights = dict[str, Tensor]

ENTRIES = ("state_dict", "model_state_dict", "model", "state_dict_ema", "ema_state_dict", "model_ema")
"""Under which names programs keep the weights in a checkpoint; of several the first counts."""
ANCHOR = "backbone.conv1.conv.weight"
"""What stands before this name stands before all names of the network, such as `module.`."""
PARTS = {"backbone.": "the ResNet", "neck.": "the fine head", "read_out_head.": "the coarse head"}
AVERAGE_PREFIX = "ema_"
AVERAGE_COUNTER = "n_averaged"
SCALAR, ARRAY = np.float64(0.0).__reduce__()[0], np.zeros(1).__reduce__()[0]
PLAIN_NUMPY: list[Any] = [
    *(np.dtype, *(type(np.dtype(name)) for name in ("f8", "f4", "f2", "i8", "i4", "u1", "?")), np.ndarray),
    *((SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((ARRAY, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
]
"""What numbers of numpy beside the weights, such as a learning rate, are read with; nothing of it runs code."""


@dataclass(frozen=True)
class PublishedNetwork:
    """A published network.

    Attributes
    ----------
    network : in evaluation mode, on the CPU, float32.
    kind : which published model.
    remarks : what it was taken for and what was left out, a sentence each.
    """

    network: EmbeddingNetwork
    kind: PublishedKind
    remarks: tuple[str, ...]


def load_published(path: Path | str, *, kind: PublishedKind | None = None) -> PublishedNetwork:
    """Return the network of a checkpoint in one of the published layouts.

    Parameters
    ----------
    path : a `.pth` file: the weights alone, or a dictionary that holds them as `state_dict` beside an optimizer and
        anything else that is plain. Prefixes such as `module.`, averaged copies and half precision do not matter. Only
        tensors and plain values are read; a file that would run code is refused.
    kind : which model it is; None to tell by the names of its tensors. SAM has two heads. SAM++ and Cross-SAM have
        three; the semantic one is never trained in Cross-SAM, so its biases are the zeros it began with.

    Raises
    ------
    InputFileError
        if the file cannot be read safely, or naming what is missing, unexpected or of another shape.
    """
    path = Path(path)
    weights, remarks = _weights_of_network(path, _read_weights(path))
    is_recognised = kind is None
    kind = kind or _kind_of(weights)
    network = EmbeddingNetwork(published_network(kind))
    if network.semantic_head is None and _has_semantic_head(weights):
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith(SEMANTIC_PREFIX)}
        remarks.append(
            f"{path}: its semantic head is left out: {published_weights(kind).title} does not use one"
        )
    if is_recognised:
        title = published_weights(kind).title
        remarks.append(f"{path}: it is recognised as {title}; --kind overrides that")
    check_names(path, weights, expected=network.state_dict())
    _require_finite(path, weights)
    copy_weights(network, weights, path=path)
    return PublishedNetwork(network.eval(), kind, tuple(remarks))


def _kind_of(weights: Weights) -> PublishedKind:
    """Return which published model has such weights."""
    if not _has_semantic_head(weights):
        return "sam"
    biases = [
        tensor
        for name, tensor in weights.items()
        if name.startswith(SEMANTIC_PREFIX) and name.endswith(".bias")
    ]
    return "sampp" if any(bool(bias.any()) for bias in biases) else "cross_sam"


def _has_semantic_head(weights: Weights) -> bool:
    return any(name.startswith(SEMANTIC_PREFIX) for name in weights)


def _weights_of_network(path: Path, found: Weights) -> tuple[Weights, list[str]]:
    """Return the weights by the names that the network gives them, and remarks on averaged copies beside them."""
    before = [name.removesuffix(ANCHOR) for name in found if name.endswith(ANCHOR)]
    prefixes = sorted((prefix for prefix in before if not prefix or prefix.endswith(".")), key=len)
    if not prefixes:
        raise InputFileError(
            path,
            f"is not in a published layout: there is no tensor {ANCHOR}, with or without a prefix; its first is "
            f"{next(iter(found))}",
        )
    prefix, *others = prefixes
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in found.items()
        if name.startswith(prefix) and not any(name.startswith(other) for other in others)
    }
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith(AVERAGE_PREFIX)}
    num_copies = sum(name != AVERAGE_COUNTER for name in found) - len(weights)
    missing = [
        f"{part} ({what})"
        for part, what in PARTS.items()
        if not any(name.startswith(part) for name in weights)
    ]
    if missing:
        raise InputFileError(path, f"is not in a published layout: it has no tensors {', '.join(missing)}")
    remarks = [f"{path}: {num_copies} averaged copies of weights are left out"] if num_copies else []
    return weights, remarks


def _require_finite(path: Path, weights: Weights) -> None:
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise InputFileError(path, f"{name} holds values that are no finite numbers; the file is damaged")


def _read_weights(path: Path) -> Weights:
    """Return the named tensors of a `.pth` file."""
    if not path.is_file():
        raise InputFileError(path, "no such file; give the path of a published checkpoint (.pth)")
    try:
        with torch.serialization.safe_globals(PLAIN_NUMPY):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file it may be anything
        raise InputFileError(path, _why_unreadable(path)) from error
    weights = _entry_of_weights(content)
    if not isinstance(weights, Mapping) or not weights:
        raise InputFileError(path, "has no weights: expected a dictionary with the key state_dict")
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise InputFileError(
                path,
                f"has no state_dict, and its entry {name!r} is not a tensor; expected a published checkpoint",
            )
    return dict(weights)


def _entry_of_weights(content: Any) -> Any:
    """Return what holds the weights in the content of a file."""
    if not isinstance(content, Mapping):
        return None
    return next((content[entry] for entry in ENTRIES if isinstance(content.get(entry), Mapping)), content)


def _why_unreadable(path: Path) -> str:
    """Return what a file holds beside tensors and plain values, else that it is damaged.

    What torch says is left out: it advises to load such a file in the way that runs code from it.
    """
    try:
        with torch.serialization.safe_globals(PLAIN_NUMPY):
            foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # of a damaged file it may be anything
        foreign = []
    if foreign:
        return (
            f"cannot be read without running code from it: it holds {', '.join(foreign)} beside tensors and plain "
            "values; where you trust it, save its entry state_dict alone with torch.save"
        )
    return "is not a PyTorch checkpoint, or is damaged; give a published checkpoint (.pth), or copy it again"
