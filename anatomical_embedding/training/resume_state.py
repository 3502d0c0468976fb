"""The state of a training on disk: enough to go on as if it had never stopped.

One safetensors file holds weights, optimiser moments and best weights, with the counters as JSON in its header. It
appears by renaming, so it is whole or absent, and the last but one is kept. A checksum before the counters tells bytes
that a disk or a copy changed. It is no declared output of the workflow, because Snakemake deletes the outputs of a job
that failed.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from anatomical_embedding.files import written_atomically
from anatomical_embedding.progress import log

CURRENT_NAME = "state.safetensors"
PREVIOUS_NAME = "state.previous.safetensors"
HEADER_KEY = "training_state"
"""One key alone, since safetensors writes several in any order."""


@dataclass
class TrainingProgress:
    """Counters and logs of a training.

    Attributes
    ----------
    step : optimiser steps done.
    best_error : lowest validation error so far; None before the first validation.
    training_rows, validation_rows : log lines so far, as name -> value.
    seconds : run time so far, over all restarts.
    """

    step: int = 0
    best_error: float | None = None
    training_rows: list[dict[str, float]] = field(default_factory=list)
    validation_rows: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def save_state(
    folder: Path,
    *,
    fingerprint: str,
    progress: TrainingProgress,
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    best_weights: Mapping[str, torch.Tensor] | None,
) -> None:
    """Write the state into a folder and keep the one before."""
    optimizer_state = optimizer.state_dict()["state"]
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {
        f"optimizer.{number}.{name}": torch.as_tensor(value)
        for number, entries in optimizer_state.items()
        for name, value in entries.items()
        if value is not None
    }
    tensors |= {f"best.{name}": tensor for name, tensor in (best_weights or {}).items()}
    header = json.dumps(
        {"fingerprint": fingerprint, "progress": vars(progress), "scaler": scaler.state_dict()}
    )
    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {HEADER_KEY: f"{_checksum(header, stored)} {header}"}
    current = folder / CURRENT_NAME
    with written_atomically(current) as temporary:
        save_file(stored, temporary, metadata=metadata)
        if current.exists():
            current.replace(folder / PREVIOUS_NAME)


def load_state(
    folder: Path,
    *,
    fingerprint: str,
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> tuple[TrainingProgress, dict[str, torch.Tensor] | None]:
    """Bring network, optimiser and scaler to the newest readable state of the same training.

    A state of other settings, data or code (another fingerprint) is left aside, and the training starts again.

    Returns
    -------
    progress : where to go on; step 0 without a usable state.
    best_weights : weights of the best validation so far, or None.
    """
    for name in (CURRENT_NAME, PREVIOUS_NAME):
        loaded = _read_state(folder / name)
        if loaded is None:
            continue
        header, tensors = loaded
        if header["fingerprint"] != fingerprint:
            log(f"{folder / name}: belongs to other settings, data or code; starting again")
            continue
        network.load_state_dict(_with_prefix(tensors, "network."))
        optimizer.load_state_dict(_optimizer_state(optimizer, _with_prefix(tensors, "optimizer.")))
        scaler.load_state_dict(header["scaler"])
        progress = TrainingProgress(**header["progress"])
        log(f"resuming at step {progress.step} from {folder / name}")
        return progress, _with_prefix(tensors, "best.") or None
    return TrainingProgress(), None


def remove_state(folder: Path) -> None:
    """Remove the states of a finished training, so that a rerun starts again."""
    for name in (CURRENT_NAME, PREVIOUS_NAME):
        (folder / name).unlink(missing_ok=True)


def _read_state(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]] | None:
    """Return header and tensors, or None where the file is absent or damaged, which is said."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as store:
            stated, _, header = store.metadata()[HEADER_KEY].partition(" ")
            tensors = {name: store.get_tensor(name) for name in store.keys()}
        parsed = json.loads(header)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        log(f"{path}: not a readable training state ({error}); ignored")
        return None
    if stated != _checksum(header, tensors):
        log(f"{path}: is damaged, it is not what the training saved; ignored")
        return None
    return parsed, tensors


def _checksum(header: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the CRC-32 of a header and of contiguous tensors by name, as eight hexadecimal digits.

    It tells any change of up to 32 bits in a row and all but one of 4 billion others, for 0.15 CPU s a GB; a state is
    written every few minutes.
    """
    found = zlib.crc32(header.encode())
    for name, tensor in sorted(tensors.items()):
        found = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), found)
        found = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"


def _with_prefix(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the tensors whose name begins with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _optimizer_state(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Return what `load_state_dict` takes: today's parameter groups with the stored moments."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split(".", maxsplit=1)
        state.setdefault(int(number), {})[name] = tensor
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
