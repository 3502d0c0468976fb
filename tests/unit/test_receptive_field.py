"""The stated reach of the maps against what gradients say."""

import pytest
import torch

from anatomical_embedding.networks.receptive_field import reach_along
from tests.reference.small_networks import (
    isotropic_settings,
    maps_before_normalisation,
    network_with_statistics,
    small_published_settings,
)


def seen_span(network, *, map_name, axis, cell, size):
    """Return the first and last voxel along an axis that a cell of a map depends on."""
    shape = [5 if index != axis else size for index in range(3)]
    volume = torch.rand(1, 1, *shape, dtype=torch.float64, requires_grad=True)
    values = getattr(maps_before_normalisation(network, volume), map_name)
    values.select(2 + axis, cell).sum().backward()
    others = [index for index in range(3) if index != axis]
    touched = volume.grad[0, 0].abs().sum(dim=others).nonzero().flatten()
    return int(touched[0]), int(touched[-1])


@pytest.mark.slow
@pytest.mark.parametrize("settings", [small_published_settings(width=1), isotropic_settings(width=1)])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("map_name", ["fine", "coarse"])
def test_no_cell_sees_further_than_stated(settings, axis, map_name):
    network = network_with_statistics(settings).double()
    for parameter in network.parameters():
        parameter.data.abs_()  # so that no rectifier hides a connection
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.zero_()
    strides = settings.fine_stride_zyx if map_name == "fine" else settings.coarse_stride_zyx
    stride, reach = strides[axis], getattr(reach_along(settings, axis=axis), map_name)
    slack = settings.coarse_stride_zyx[axis] + stride
    size = 4 * (reach + slack)
    for cell in range(
        size // 2 // stride, size // 2 // stride + settings.coarse_stride_zyx[axis] // stride + 1
    ):
        first, last = seen_span(network, map_name=map_name, axis=axis, cell=cell, size=size)
        assert first >= stride * cell - reach
        assert last <= stride * cell + stride - 1 + reach
        assert last - first >= 2 * (reach - slack)  # the stated reach is not much too large
