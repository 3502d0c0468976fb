"""Which volumes a batch holds: a pure function of seed and step, so that nothing has to be restored on resume."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Slot:
    """One place of a batch: which volume of which data set."""

    dataset: str
    volume_index: int


class BatchMix:
    """Serves one or several data sets in fixed proportions.

    Every data set is gone through in a new random order an epoch, and each batch takes the next `mix[name]` volumes
    of it. The published sampler fills the last slot from the last data set only and is edited by hand between
    stages; here the slots are a setting.

    Parameters
    ----------
    num_volumes : data set name -> number of its training volumes.
    mix : data set name -> slots a batch.
    seed : start of all orders.

    Examples
    --------
    >>> mix = BatchMix({"a": 2, "b": 1}, mix={"a": 1, "b": 1}, seed=0)
    >>> sorted(slot.volume_index for step in range(2) for slot in mix.batch(step) if slot.dataset == "a")
    [0, 1]
    """

    def __init__(self, num_volumes: Mapping[str, int], *, mix: Mapping[str, int], seed: int):
        self._num_volumes = dict(num_volumes)
        self._mix = dict(mix)
        self._seed = seed

    def batch(self, step: int) -> Sequence[Slot]:
        """Return the slots of batch number `step`, counted from 0."""
        return [
            Slot(dataset=name, volume_index=self._volume_at(name, step * slots + slot))
            for name, slots in sorted(self._mix.items())
            for slot in range(slots)
        ]

    def _volume_at(self, name: str, position: int) -> int:
        """Return the volume at a position of the endless sequence of a data set's shuffled epochs."""
        epoch, place = divmod(position, self._num_volumes[name])
        name_number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        order = np.random.default_rng([self._seed, name_number, epoch]).permutation(self._num_volumes[name])
        return int(order[place])
