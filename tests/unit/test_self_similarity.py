"""The self-similarity input against loops, and what it must not see."""

import numpy as np
import pytest
import torch

from anatomical_embedding.networks.self_similarity import SelfSimilarity
from anatomical_embedding.settings.network import SelfSimilaritySettings
from tests.reference.self_similarity_loop import NEIGHBOURS, descriptors


def self_similarity(**changes):
    values = {"distances_vox": (1, 2), "patch_radius_vox": 1, "noise_standard_deviation": 4.0}
    return SelfSimilarity(SelfSimilaritySettings(**(values | changes)))


def random_volume(seed, shape=(6, 5, 7)):
    return torch.from_numpy(np.random.default_rng(seed).uniform(-50, 205, shape)).float()[None, None]


@pytest.mark.parametrize("radius", [0, 1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("distance", [1, 2])
def test_descriptors_equal_slow_loops(distance, radius):
    volume = random_volume(distance + 10 * radius)
    module = self_similarity(distances_vox=(distance,), patch_radius_vox=radius)
    found = module(volume)[0].double().numpy()
    expected = descriptors(volume[0, 0], distance=distance, radius=radius, noise=4.0)
    assert found.shape[0] == len(NEIGHBOURS)
    for channel, neighbour in zip(found, NEIGHBOURS, strict=True):
        np.testing.assert_allclose(channel, expected[neighbour], atol=2e-6)


def test_several_distances_stand_one_after_the_other():
    volume = random_volume(3)
    both = self_similarity(distances_vox=(1, 2))(volume)
    assert both.shape == (1, 12, 6, 5, 7)
    torch.testing.assert_close(both[:, :6], self_similarity(distances_vox=(1,))(volume))
    torch.testing.assert_close(both[:, 6:], self_similarity(distances_vox=(2,))(volume))


def test_inverted_and_stretched_contrast_look_the_same():
    volume = random_volume(4)
    module = self_similarity(noise_standard_deviation=0.001)
    torch.testing.assert_close(module(volume), module(155.0 - 0.4 * volume), atol=1e-4, rtol=0.0)


def test_a_volume_without_structure_resembles_itself_everywhere():
    assert (self_similarity()(torch.full((1, 1, 4, 4, 4), 17.0)) == 1.0).all()
