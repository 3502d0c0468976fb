"""The processes that work together: which part of the work is this one's, and sums over all of them.

`torchrun` starts the processes and tells each its number by environment variables; a program that was started alone
is the only process, and then nothing here touches a tensor.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

LONGEST_WAIT = timedelta(hours=2)
"""A process waits this long for the others: the first one validates and writes while they wait."""


@dataclass(frozen=True)
class Processes:
    """The processes that work together.

    Attributes
    ----------
    number : of this process, from 0.
    total : of all processes.
    """

    number: int
    total: int

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that validates, logs and writes."""
        return self.number == 0

    def places(self, count: int) -> range:
        """Return the places of a batch of `count` that are this process's.

        Examples
        --------
        >>> [list(Processes(number, 2).places(5)) for number in (0, 1)]
        [[0, 2, 4], [1, 3]]
        """
        return range(self.number, count, self.total)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes; gradients flow back into every process's part."""
        return tensor if self.total == 1 else _SumOverProcesses.apply(tensor)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its sum over all processes, in one message."""
        if self.total == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        joint = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(joint)
        for gradient, part in zip(
            gradients, joint.split([gradient.numel() for gradient in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))

    def gather(self, own: Tensor, places: range, *, count: int) -> Tensor:
        """Return the (count, ...) rows of all processes, each at its place of the batch.

        Parameters
        ----------
        own : (len(places), ...) rows of this process.
        places : where they belong.
        count : rows of all processes.
        """
        if self.total == 1:
            return own
        everything = own.new_zeros(count, *own.shape[1:])
        index = torch.tensor(places, device=own.device)
        return self.sum(everything.index_copy(0, index, own))

    def first_says(self, flags: Sequence[bool]) -> list[bool]:
        """Return the flags of the first process; all processes give equally many, and meet here."""
        if self.total == 1:
            return list(flags)
        votes = torch.tensor([flag and self.is_first for flag in flags], dtype=torch.int32)
        distributed.all_reduce(votes)
        return [bool(flag) for flag in votes.tolist()]

    def count(self, number: int) -> int:
        """Return the sum of the processes' numbers; they meet here."""
        if self.total == 1:
            return number
        total = torch.tensor(number)
        distributed.all_reduce(total)
        return int(total)

    def largest(self, number: int, *, device: torch.device) -> int:
        """Return the largest of the processes' numbers."""
        if self.total == 1:
            return number
        largest = torch.tensor(number, device=device)
        distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
        return int(largest)

    def agree_on(self, number: int, *, device: torch.device) -> bool:
        """Return whether all processes have the same number."""
        if self.total == 1:
            return True
        both = torch.tensor([number, -number], device=device)
        distributed.all_reduce(both, op=distributed.ReduceOp.MAX)
        return int(both[0]) == -int(both[1])


ALONE = Processes(number=0, total=1)


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes. What is minimised is the sum of the processes' losses."""

    @staticmethod
    def forward(_context: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started with this one; without torchrun, be alone.

    Parameters
    ----------
    device : where this process computes. GPUs talk by NCCL, processors by gloo.
    """
    total = int(os.environ.get("WORLD_SIZE", "1"))
    if total == 1:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield Processes(number=distributed.get_rank(), total=total)
    finally:
        distributed.destroy_process_group()


def processes_of_this_machine() -> int:
    """Return how many processes share the cores of this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def gpu_of_this_process() -> int:
    """Return the number of this process's GPU on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))
