"""A training that makes the vectors of the drawn cells alone is the training on whole maps."""

import numpy as np
import pytest
import torch

from anatomical_embedding.errors import UserError
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.patches.pair_batches import PairBatches, TrainingVolume
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.training import TrainingSettings
from anatomical_embedding.settings.volumes import IntensitySettings
from anatomical_embedding.training import intra
from anatomical_embedding.training.intra import IntraLosses
from anatomical_embedding.training.loop import Training
from anatomical_embedding.training.volumes import head_geometries
from anatomical_embedding.volumes.intensity import intensity_window
from anatomical_embedding.volumes.volume import Volume
from tests.integration.tiny_training import INTENSITY, NETWORK, TRAINING

CANDIDATES = 500
"""Of 3456 cells of two views."""
DRAWN = {"num_negative_candidates": CANDIDATES, "hard_negative_pool": CANDIDATES, "num_negatives": CANDIDATES}


def settings_with(**changes):
    short = {"num_steps": 4, "state_interval_steps": 4, "keep": "last", "mix": {"noise": 2}}
    short["views"] = TRAINING["views"] | {"patch_size_vox": [24, 24, 24]}
    return TrainingSettings.model_validate(TRAINING | short | changes)


def noise_volume():
    noise = np.random.default_rng(0).standard_normal((9, 9, 8)) * 400
    image = Volume(
        noise.repeat(4, 0).repeat(4, 1).repeat(4, 2).astype(np.int16), np.diag([-4.0, -4.0, 4.0, 1.0])
    )
    intensity = IntensitySettings.model_validate(INTENSITY)
    window = intensity_window(image.array, modality="ct", settings=intensity)
    return TrainingVolume(image, Volume(np.ones(image.shape, np.uint8), image.affine), window, intensity)


def losses_of_training(folder, settings):
    """Return the losses of each step, and how often the whole fine map was made."""
    torch.manual_seed(0)
    network = EmbeddingNetwork(NetworkSettings.model_validate(NETWORK))
    whole_maps = []
    network.neck.last_convolution.register_forward_hook(lambda *_: whole_maps.append(1))
    fine, coarse = head_geometries(network.settings, settings)
    training = Training(
        network,
        PairBatches({"noise": [noise_volume()]}, settings=settings, fine=fine, coarse=coarse),
        compute_losses=IntraLosses(settings=settings, device=torch.device("cpu")),
        validate=None,
        settings=settings,
        state_folder=folder,
        fingerprint="f",
        device=torch.device("cpu"),
        num_workers=0,
    )
    training.run()
    return [(row["loss_fine"], row["loss_coarse"]) for row in training.progress.training_rows], len(
        whole_maps
    )


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 2e-2)])
def test_losses_of_all_steps_are_those_of_whole_maps(tmp_path, monkeypatch, precision, tolerance):
    settings = settings_with(fine_loss=TRAINING["fine_loss"] | DRAWN, precision=precision)
    drawn, num_drawn_maps = losses_of_training(tmp_path / "drawn", settings)
    monkeypatch.setattr(intra, "FEW_CELLS", 0.0)
    whole, num_whole_maps = losses_of_training(tmp_path / "whole", settings)
    np.testing.assert_allclose(drawn, whole, rtol=tolerance)
    assert (num_drawn_maps, num_whole_maps) == (0, settings.num_steps)


def test_many_candidates_are_read_from_whole_maps(tmp_path):
    many = {"num_negative_candidates": 2000, "hard_negative_pool": 100, "num_negatives": 100}
    _, num_whole_maps = losses_of_training(
        tmp_path, settings_with(fine_loss=TRAINING["fine_loss"] | many, num_steps=1)
    )
    assert num_whole_maps == 1


def test_weights_that_are_no_numbers_are_not_kept(tmp_path):
    endless = TRAINING["optimizer"] | {"learning_rate": 1e38, "weight_decay": 1e38}
    with pytest.raises(
        UserError, match="weights are no finite numbers after step 1; lower the learning rate"
    ):
        losses_of_training(tmp_path, settings_with(optimizer=endless, num_steps=1))
    assert not list(tmp_path.glob("state*.safetensors"))
