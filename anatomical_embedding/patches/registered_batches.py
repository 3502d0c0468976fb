"""Batches for a training across modalities: views of registered pairs, beside views of single volumes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch.utils.data import Dataset

from anatomical_embedding.errors import SettingsError
from anatomical_embedding.patches.batch_mix import BatchMix
from anatomical_embedding.patches.pair_batches import (
    HeadGeometry,
    PairBatch,
    PairBatches,
    TrainingVolume,
    join_pairs,
    make_pair,
)
from anatomical_embedding.processes import ALONE, Processes
from anatomical_embedding.settings.model import RegisteredPairsSettings
from anatomical_embedding.settings.training import TrainingSettings

PAIRS = "registered pairs"
STREAM = 1_000_003
"""Keeps the random numbers of registered pairs apart from those of single volumes at the same step."""


@dataclass(frozen=True)
class RegisteredVolumes:
    """Two volumes in one world.

    Attributes
    ----------
    fixed : the volume that stayed.
    moving : the volume brought onto it; its body mask tells where both show the body.
    weight : of the pair in the loss.
    """

    fixed: TrainingVolume
    moving: TrainingVolume
    weight: float


@dataclass(frozen=True)
class RegisteredBatch:
    """View pairs of single volumes and of registered pairs.

    Attributes
    ----------
    intra : None where single volumes are left out.
    inter : view 1 shows the fixed and view 2 the moving volume of each pair.
    """

    intra: PairBatch | None
    inter: PairBatch

    @property
    def share(self) -> float:
        """Share of the whole batch's registered pairs."""
        return self.inter.share

    def pin_memory(self) -> "RegisteredBatch":
        """Return the batch with patches in memory from which a GPU copies while the program goes on."""
        return RegisteredBatch(self.intra and self.intra.pin_memory(), self.inter.pin_memory())


class RegisteredBatches(Dataset):
    """Item number `step` is the batch of that step, from seed and step alone.

    Parameters
    ----------
    volumes : data set name -> its training volumes.
    pairs : registered pairs.
    settings : the training.
    registered : how many pairs a batch holds, and whether single volumes take part.
    fine, coarse : geometry of the heads.
    processes : that divide every batch among them; an item is this process's part.

    Raises
    ------
    SettingsError
        if there are more processes than registered pairs in a batch.
    """

    def __init__(
        self,
        volumes: Mapping[str, Sequence[TrainingVolume]],
        pairs: Sequence[RegisteredVolumes],
        *,
        settings: TrainingSettings,
        registered: RegisteredPairsSettings,
        fine: HeadGeometry,
        coarse: HeadGeometry,
        processes: Processes = ALONE,
    ):
        if processes.total > registered.num_slots:
            raise SettingsError(
                f"registered.num_slots: a batch of {registered.num_slots} registered pairs cannot be divided among "
                f"{processes.total} processes; take fewer GPUs or a larger batch"
            )
        self._processes = processes
        self._intra = None
        if registered.intra_weight > 0.0:
            self._intra = PairBatches(
                volumes, settings=settings, fine=fine, coarse=coarse, processes=processes
            )
        self._pairs = pairs
        self._settings = settings
        self._make_pair = partial(make_pair, settings=settings, fine=fine, coarse=coarse)
        self._mix = BatchMix({PAIRS: len(pairs)}, mix={PAIRS: registered.num_slots}, seed=settings.seed)

    def __len__(self) -> int:
        return self._settings.num_steps * self._settings.accumulation_steps

    def __getitem__(self, step: int) -> RegisteredBatch:
        slots = self._mix.batch(step)
        places = self._processes.places(len(slots))
        drawn = []
        for number in places:
            pair = self._pairs[slots[number].volume_index]
            generator = np.random.default_rng([self._settings.seed, step, STREAM, number])
            drawn.append(
                self._make_pair(pair.fixed, registered=pair.moving, weight=pair.weight, generator=generator)
            )
        intra = None if self._intra is None else self._intra[step]
        return RegisteredBatch(intra, join_pairs(drawn, places=places, num_places=len(slots)))
