"""The one training loop: what a training minimises is a function that it is given.

Everything random follows from the seed and the step, never from a generator that lives on; so a training that was
killed and resumed ends with the same weights, bit for bit on a CPU with the same number of threads.

Several processes divide every batch: each computes the losses of its part, weighted by its share, and the gradients
are added up, so the batch does not depend on how many there are. The first one validates, logs and writes.
"""

import csv
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from anatomical_embedding.errors import SettingsError, UserError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.networks.full_float32 import full_float32
from anatomical_embedding.networks.number_formats import FORMATS, computed_precision, notes_on_precision
from anatomical_embedding.networks.synchronised_batch_norm import synchronise_batch_norm
from anatomical_embedding.processes import ALONE, Processes
from anatomical_embedding.progress import log
from anatomical_embedding.provenance import note_remarks
from anatomical_embedding.settings.training import SgdSettings, TrainingSettings
from anatomical_embedding.training.resume_state import (
    TrainingProgress,
    load_state,
    remove_state,
    save_state,
)
from anatomical_embedding.training.schedule import learning_rate_factor
from anatomical_embedding.training.state_owner import StateOwner

Losses = dict[str, torch.Tensor]
ComputeLosses = Callable[[torch.nn.Module, Any, torch.Generator], Losses]
Validate = Callable[[torch.nn.Module], dict[str, float]]

SECONDS_BETWEEN_LOG_LINES = 10.0
VALIDATION_ERROR = "median_mm"
"""The validation figure that chooses the best weights; smaller is better."""
TOO_FAST = "lower the learning rate, or use precision bf16 or fp32"
"""What to do where numbers become too large."""


class Training:
    """A training that can be run, stopped and resumed.

    Parameters
    ----------
    network : trained in place.
    batches : item `k` is batch number `k`; a pure function of `k`.
    compute_losses : network, batch and generator -> named losses; their sum is minimised.
    validate : network -> named figures, `median_mm` among them; None for no validation.
    settings : steps, optimiser, schedule, precision.
    state_folder : where the resume state lies.
    fingerprint : of all that decides the result; a state of another fingerprint is not used.
    device : where to compute.
    num_workers : processes that prepare batches; 0 prepares them between the steps.
    processes : that train together. With more than one, `batches` gives this process's part of a batch, and a batch
        tells its `share` of the whole.
    """

    def __init__(
        self,
        network: EmbeddingNetwork,
        batches: Dataset,
        *,
        compute_losses: ComputeLosses,
        validate: Validate | None,
        settings: TrainingSettings,
        state_folder: Path,
        fingerprint: str,
        device: torch.device,
        num_workers: int,
        processes: Processes = ALONE,
    ):
        if settings.precision == "fp16" and device.type == "cpu":
            raise SettingsError("training.precision: fp16 needs a GPU; use bf16 or fp32 on a CPU")
        if processes.total > 1 and settings.processes.synchronised_batch_norm:
            synchronise_batch_norm(network, processes=processes)
        self.network = network.to(device)
        if device.type == "cuda":  # a processor's convolutions bring weights into a layout of their own
            self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.progress = TrainingProgress()
        self._batches = batches
        self._compute_losses = compute_losses
        self._validate = validate
        self._settings = settings
        self._state_folder = state_folder
        self._fingerprint = fingerprint
        self._device = device
        self._precision = computed_precision(settings.precision, device=device)
        self._num_workers = num_workers
        self._processes = processes
        self._owner: StateOwner | None = None
        self._optimizer = _make_optimizer(self.network, settings)
        self._scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        self._best_weights: dict[str, torch.Tensor] | None = None
        self._last_log_line = time.monotonic()

    @full_float32()
    def run(self) -> None:
        """Train to the last step, from the newest state if there is one; the network then holds the kept weights.

        Raises
        ------
        UserError
            if the loss stops being a number, or another training takes the resume state over.
        """
        if self._processes.is_first:
            self._owner = StateOwner(self._state_folder)
        self.progress, self._best_weights = load_state(
            self._state_folder,
            fingerprint=self._fingerprint,
            network=self.network,
            optimizer=self._optimizer,
            scaler=self._scaler,
        )
        note_remarks(notes_on_precision(self._settings.precision, self._precision, key="training.precision"))
        if not self._processes.agree_on(self.progress.step, device=self._device):
            raise UserError(f"{self._state_folder}: the processes see different states there; start again")
        accumulation = self._settings.accumulation_steps
        first_batch = self.progress.step * accumulation
        loader = iter(
            DataLoader(
                self._batches,
                batch_size=None,
                sampler=range(first_batch, self._settings.num_steps * accumulation),
                num_workers=self._num_workers,
                pin_memory=self._device.type == "cuda",
            )
        )
        self.network.train()
        clock = time.monotonic()
        while self.progress.step < self._settings.num_steps:
            row = self._take_step([next(loader) for _ in range(accumulation)])
            now = time.monotonic()
            self.progress.seconds, clock = self.progress.seconds + now - clock, now
            self.progress.training_rows.append(row | {"seconds": round(self.progress.seconds, 2)})
            self._log_step(row)
            is_last = self.progress.step == self._settings.num_steps
            if not self._processes.is_first:
                continue
            if self._validate and (
                is_last or self.progress.step % self._settings.validation.interval_steps == 0
            ):
                self._run_validation()
            if is_last or self.progress.step % self._settings.state_interval_steps == 0:
                self._save()
        if self._settings.keep == "best" and self._best_weights is not None:
            self.network.load_state_dict(self._best_weights)

    def finish(self) -> None:
        """Remove the resume state; to be called once the results are safely written."""
        remove_state(self._state_folder)
        if self._owner:
            self._owner.give_up()

    def _take_step(self, batches: list[Any]) -> dict[str, float]:
        """Do one optimiser step and return its log line."""
        step = self.progress.step
        factor = learning_rate_factor(
            step, num_steps=self._settings.num_steps, settings=self._settings.schedule
        )
        learning_rate = self._settings.optimizer.learning_rate * factor
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.zero_grad(set_to_none=True)
        sums: Losses = {}
        for number, batch in enumerate(batches):
            generator = _generator_of_step(self._settings.seed, step * len(batches) + number)
            with self._autocast():
                losses = self._compute_losses(self.network, batch, generator)
            share = 1.0 if self._processes.total == 1 else batch.share
            total = torch.stack(list(losses.values())).sum() * share / len(batches)
            self._scaler.scale(total).backward()
            # Read once the step is done: reading makes a GPU finish what it was given.
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + loss.detach() * share / len(batches)
        self._processes.sum_gradients(self.network.parameters())
        self._scaler.unscale_(self._optimizer)
        if self._settings.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._settings.max_gradient_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self.progress.step += 1
        totals = self._summed(sums)
        total_loss = sum(totals.values())
        if not math.isfinite(total_loss):
            raise UserError(
                f"the loss became {total_loss} at step {self.progress.step} ({totals}); {TOO_FAST}"
            )
        return {"step": self.progress.step, "loss": total_loss, **totals, "learning_rate": learning_rate}

    def _summed(self, losses: Losses) -> dict[str, float]:
        """Return the losses of the whole batch, from those of the processes' parts."""
        values = self._processes.sum(torch.stack(list(losses.values())))
        return dict(zip(losses, values.tolist(), strict=True))

    def _run_validation(self) -> None:
        """Measure on the held-out volumes, log it and keep the best weights."""
        assert self._validate is not None  # noqa: S101
        self.network.eval()
        with torch.no_grad(), self._autocast():
            figures = self._validate(self.network)
        self.network.train()
        self.progress.validation_rows.append(
            {"step": self.progress.step, "seconds": round(self.progress.seconds, 2), **figures}
        )
        log(f"validation at step {self.progress.step}: " + _describe(figures))
        error = figures[VALIDATION_ERROR]
        if self.progress.best_error is None or error < self.progress.best_error:
            self.progress.best_error = error
            self._best_weights = {
                name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()
            }

    def _save(self) -> None:
        """Keep where the training is; weights that are no numbers are no place to go on from, or to end with."""
        assert self._owner is not None  # noqa: S101
        if not all(torch.isfinite(parameter).all() for parameter in self.network.parameters()):
            raise UserError(f"weights are no finite numbers after step {self.progress.step}; {TOO_FAST}")
        self._owner.check()
        save_state(
            self._state_folder,
            fingerprint=self._fingerprint,
            progress=self.progress,
            network=self.network,
            optimizer=self._optimizer,
            scaler=self._scaler,
            best_weights=self._best_weights,
        )

    def _autocast(self) -> AbstractContextManager:
        """Return the context in which the network computes in the training's number format."""
        if self._precision == "fp32":
            return nullcontext()
        return torch.autocast(self._device.type, dtype=FORMATS[self._precision])

    def _log_step(self, row: Mapping[str, float]) -> None:
        now = time.monotonic()
        if not self._processes.is_first:
            return
        if now - self._last_log_line >= SECONDS_BETWEEN_LOG_LINES or row["step"] == self._settings.num_steps:
            self._last_log_line = now
            losses = {name: value for name, value in row.items() if name != "step"}
            log(f"step {row['step']} of {self._settings.num_steps}: " + _describe(losses))


def write_log(rows: list[dict[str, float]], path: Path) -> None:
    """Write log lines as CSV, atomically; a line has no value where it lacks a column of another."""
    with written_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        if rows:
            writer = csv.DictWriter(
                stream, fieldnames=list(dict.fromkeys(name for row in rows for name in row))
            )
            writer.writeheader()
            writer.writerows(rows)


def _make_optimizer(network: torch.nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    choice = settings.optimizer
    if isinstance(choice, SgdSettings):
        return torch.optim.SGD(
            network.parameters(),
            lr=choice.learning_rate,
            momentum=choice.momentum,
            weight_decay=choice.weight_decay,
            fused=True,
        )
    return torch.optim.AdamW(
        network.parameters(), lr=choice.learning_rate, weight_decay=choice.weight_decay, fused=True
    )


def _generator_of_step(seed: int, batch: int) -> torch.Generator:
    """Return a generator that depends on the seed and the number of the batch alone."""
    state = np.random.SeedSequence([seed, batch]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def _describe(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
