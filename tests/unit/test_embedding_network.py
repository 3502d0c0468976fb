"""The network's maps: sizes, lengths, parameters, and the parts it is made of."""

import numpy as np
import pytest
import torch

from anatomical_embedding.networks.embedding_network import EmbeddingNetwork, unit_length
from anatomical_embedding.networks.feature_pyramid import FeaturePyramid
from anatomical_embedding.networks.folding import folded_copy
from anatomical_embedding.networks.resnet3d import BasicBlock
from anatomical_embedding.settings.published_weights import published_network
from tests.reference.small_networks import (
    isotropic_settings,
    maps_before_normalisation,
    network_with_statistics,
    random_volume,
    small_published_settings,
)

BOTH_SHAPES = pytest.mark.parametrize("settings", [small_published_settings(), isotropic_settings()])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "num_parameters"),
    # A pyramid head: 1x1x1 convolutions of 64, 128 and 256 to 128 channels, one 3x3x3, all with bias.
    [("sampp", 33_333_184), ("sam", 33_333_184 - (128 * (64 + 128 + 256) + 27 * 128 * 128 + 4 * 128))],
)
def test_number_of_parameters_of_the_published_network(kind, num_parameters):
    network = EmbeddingNetwork(published_network(kind))
    assert sum(parameter.numel() for parameter in network.parameters()) == num_parameters


@BOTH_SHAPES
@pytest.mark.parametrize("shape", [(16, 32, 32), (17, 33, 31), (5, 3, 7), (2, 2, 2)])
def test_maps_have_the_announced_sizes_and_unit_length(settings, shape):
    network = network_with_statistics(settings)
    with torch.no_grad():
        maps = network(random_volume(2, *shape)[:, None])
    level_shapes = settings.level_shapes(shape)
    assert maps.fine.shape == (2, settings.embedding_channels, *level_shapes[0])
    assert maps.coarse.shape == (2, settings.coarse_channels, *level_shapes[-1])
    assert (maps.semantic is None) == (not settings.has_semantic_head)
    for values in (values for values in maps if values is not None):
        assert values.dtype == torch.float32
        torch.testing.assert_close(values.norm(dim=1), torch.ones_like(values[:, 0]), atol=1e-5, rtol=0.0)


def test_maps_before_normalisation_point_the_same_way():
    network = network_with_statistics(small_published_settings())
    volume = random_volume(8, 32, 32)[None, None]
    with torch.no_grad():
        expected = network(volume)
        raw = maps_before_normalisation(network, volume)
    assert raw.fine.norm(dim=1).std() > 0.01
    for values, unit_values in zip(raw, expected, strict=True):
        torch.testing.assert_close(unit_length(values), unit_values)


def test_maps_are_float32_of_unit_length_under_mixed_precision():
    network = network_with_statistics(small_published_settings())
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        fine = network(random_volume(8, 32, 32)[None, None]).fine
    assert fine.dtype == torch.float32
    torch.testing.assert_close(fine.norm(dim=1), torch.ones_like(fine[:, 0]), atol=1e-5, rtol=0.0)


def test_equal_seeds_give_equal_weights_and_every_weight_learns():
    networks = []
    for _ in range(2):
        torch.manual_seed(7)
        networks.append(EmbeddingNetwork(small_published_settings()))
    first, second = networks
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    maps = maps_before_normalisation(first, random_volume(2, 8, 64, 64)[:, None])
    sum(values.square().mean() for values in maps).backward()
    for name, parameter in first.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_pyramid_repeats_coarser_levels_and_adds():
    pyramid = FeaturePyramid((1, 1), out_channels=1)
    with torch.no_grad():
        for parameter in pyramid.parameters():
            parameter.zero_()
        pyramid.lateral_convs[0].conv.weight.fill_(1.0)
        pyramid.lateral_convs[1].conv.weight.fill_(10.0)
        pyramid.last_convolution.weight[0, 0, 1, 1, 1] = 1.0
        finest = torch.arange(5.0).reshape(1, 1, 1, 1, 5)
        coarser = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 1, 3)
        result = pyramid([finest, coarser])
    np.testing.assert_allclose(result.flatten().numpy(), [10.0, 11.0, 22.0, 23.0, 34.0])


def test_block_without_changes_passes_the_positive_part_of_its_input():
    block = BasicBlock(3, 3, kernel_zyx=(1, 3, 3), stride_zyx=(1, 1, 1)).eval()
    torch.nn.init.zeros_(block.conv2.conv.weight)
    features = torch.randn(1, 3, 2, 4, 5)
    with torch.no_grad():
        torch.testing.assert_close(block(features), features.clamp(min=0.0))


@BOTH_SHAPES
def test_folding_the_batch_normalisation_changes_nothing(settings):
    network = network_with_statistics(settings).double()
    volume = random_volume(9, 33, 30)[None, None].double()
    with torch.no_grad():
        expected = maps_before_normalisation(network, volume)
        folded = folded_copy(network)
        got = maps_before_normalisation(folded, volume)
    assert not any(isinstance(module, torch.nn.BatchNorm3d) for module in folded.modules())
    assert any(isinstance(module, torch.nn.BatchNorm3d) for module in network.modules())
    torch.testing.assert_close(got.fine, expected.fine, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(got.coarse, expected.coarse, atol=1e-9, rtol=1e-9)
