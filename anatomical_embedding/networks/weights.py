"""Named weights to a network, with errors that name the tensor at fault."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from anatomical_embedding.errors import InputFileError

SEMANTIC_PREFIX = "semantic_head."
"""What the names of the semantic head's weights begin with."""


def check_names(path: Path | str, names: Iterable[str], *, expected: Iterable[str]) -> None:
    """Refuse a file whose tensors are not just the expected ones.

    Raises
    ------
    InputFileError
        naming the first missing and the first unexpected tensor.
    """
    found, wanted = list(names), list(expected)
    found_set, wanted_set = set(found), set(wanted)
    missing = [name for name in wanted if name not in found_set]
    unexpected = [name for name in found if name not in wanted_set]
    if missing or unexpected:
        parts = [
            f"{len(group)} tensors are {word}, the first is {group[0]}"
            for word, group in (("missing", missing), ("unexpected", unexpected))
            if group
        ]
        raise InputFileError(
            path, f"does not hold the weights of this network: {'; '.join(parts)}; choose the file that fits"
        )


def copy_weights(network: nn.Module, weights: Mapping[str, Tensor], *, path: Path | str) -> None:
    """Copy tensors by name into a network; tensors of the network that are not named stay as they are.

    Parameters
    ----------
    network : changed in place.
    weights : name to tensor; every name exists in the network.
    path : where the weights come from, for error messages.

    Raises
    ------
    InputFileError
        naming the first tensor whose shape differs from the network's; nothing is copied then.
    """
    state = network.state_dict()
    for name in (name for name in state if name in weights):
        tensor = weights[name]
        if tensor.shape != state[name].shape:
            raise InputFileError(
                path,
                f"{name} has shape {list(tensor.shape)}, the network expects {list(state[name].shape)}; "
                "the file is of a network of another width: use the network settings it was trained with",
            )
    network.load_state_dict(dict(state) | dict(weights))
