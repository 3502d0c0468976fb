"""What is asked for in fp32 is computed in fp32: convolutions may not fall back to TF32 on a GPU."""

import pytest
import torch

from anatomical_embedding.embedding import embed_volume
from anatomical_embedding.networks.full_float32 import full_float32
from anatomical_embedding.settings.embedding import EmbeddingSettings
from anatomical_embedding.settings.training import TrainingSettings
from anatomical_embedding.training.loop import Training
from tests.integration.tiny_training import TRAINING
from tests.reference.small_networks import isotropic_settings, network_with_statistics, random_volume


class BrokenError(Exception):
    """What goes wrong within a block."""


@pytest.fixture
def rounded():
    """Let torch round to TF32, as it does by itself, and keep a list of what was allowed when."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    yield []
    torch.backends.cudnn.allow_tf32 = before


def test_the_former_state_comes_back_even_after_an_error(rounded):
    for allowed in (True, False):
        torch.backends.cudnn.allow_tf32 = allowed
        with pytest.raises(BrokenError), full_float32():
            assert not torch.backends.cudnn.allow_tf32
            raise BrokenError
        assert torch.backends.cudnn.allow_tf32 is allowed


def test_a_volume_is_embedded_without_tf32(rounded, monkeypatch):
    compute = embed_volume.levels_in_rows

    def watched(*arguments, **options):
        rounded.append(torch.backends.cudnn.allow_tf32)
        return compute(*arguments, **options)

    monkeypatch.setattr(embed_volume, "levels_in_rows", watched)
    settings = EmbeddingSettings(precision="fp32", device="cpu", memory_limit_mb=100, with_semantic_map=False)
    network = network_with_statistics(isotropic_settings())
    embed_volume.VolumeEmbedder(network, settings=settings).embed(random_volume(8, 8, 8).numpy())
    assert rounded == [False]
    assert torch.backends.cudnn.allow_tf32


def test_a_training_steps_without_tf32_on_the_way_back_too(rounded, tmp_path):
    network = torch.nn.Conv3d(1, 1, 1)
    network.weight.register_hook(lambda gradient: rounded.append(torch.backends.cudnn.allow_tf32))
    training = Training(
        network,
        [torch.ones(1, 1, 2, 2, 2)] * 2,
        compute_losses=lambda network, batch, generator: {"loss": network(batch).square().mean()},
        validate=None,
        settings=TrainingSettings.model_validate(TRAINING | {"num_steps": 2}),
        state_folder=tmp_path,
        fingerprint="f",
        device=torch.device("cpu"),
        num_workers=0,
    )
    training.run()
    assert rounded == [False, False]
    assert torch.backends.cudnn.allow_tf32
