"""Batch normalisation over the batches of all processes, on any device (torch's own knows GPUs only)."""

import torch
from torch import Tensor, nn

from anatomical_embedding.processes import Processes


class SynchronisedBatchNorm3d(nn.BatchNorm3d):
    """A BatchNorm3d whose mean and variance in training are those of all processes together.

    Parameters
    ----------
    norm : whose parameters and running statistics are taken over, not copied.
    processes : that share their statistics.

    Notes
    -----
    Two passes, so that the variance does not suffer from cancellation; statistics in float32.
    """

    def __init__(self, norm: nn.BatchNorm3d, *, processes: Processes):
        super().__init__(norm.num_features, eps=norm.eps, momentum=norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self._processes = processes

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised (B, C, z, y, x) input."""
        if not self.training:
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            values = input.float()
            axes = (0, 2, 3, 4)
            own_count = values.new_tensor(values.numel() / values.shape[1])
            count = self._processes.sum(own_count)
            mean = self._processes.sum(values.sum(dim=axes)) / count
            centred = values - _along_channels(mean)
            variance = self._processes.sum(centred.square().sum(dim=axes)) / count
            self._track(mean.detach(), variance.detach(), count=count.detach())
            scale = self.weight * torch.rsqrt(variance + self.eps)
            result = centred * _along_channels(scale) + _along_channels(self.bias)
        return result.to(input.dtype)

    def _track(self, mean: Tensor, variance: Tensor, *, count: Tensor) -> None:
        """Move the running statistics towards those of this step; the variance is tracked without bias."""
        assert self.running_mean is not None and self.running_var is not None  # noqa: S101
        assert self.num_batches_tracked is not None and self.momentum is not None  # noqa: S101
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)


def synchronise_batch_norm(network: nn.Module, *, processes: Processes) -> None:
    """Let every BatchNorm3d of a network share its statistics; the names of weights and buffers stay."""
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm3d):
            setattr(network, name, SynchronisedBatchNorm3d(child, processes=processes))
        else:
            synchronise_batch_norm(child, processes=processes)


def _along_channels(vector: Tensor) -> Tensor:
    return vector[None, :, None, None, None]
