"""bf16 is asked for because it is fast: on a processor that is slow in it, networks compute in fp32."""

import pytest
import torch

from anatomical_embedding.embedding.embed_volume import VolumeEmbedder
from anatomical_embedding.networks import number_formats
from anatomical_embedding.networks.number_formats import computed_precision
from tests.unit.test_drawn_cell_training import losses_of_training, settings_with
from tests.unit.test_embed_volume import ISOTROPIC, random_volume
from tests.unit.test_embed_volume import settings as embedding_settings


@pytest.fixture(params=[True, False], ids=["with bfloat16", "without"])
def is_fast(request, monkeypatch):
    monkeypatch.setattr(number_formats, "has_bfloat16", lambda: request.param)
    return request.param


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_only_bf16_on_a_processor_hangs_on_its_instructions(is_fast, device):
    bf16 = "bf16" if is_fast or device == "cuda" else "fp32"
    computed = [computed_precision(name, device=torch.device(device)) for name in ("fp32", "bf16", "fp16")]
    assert computed == ["fp32", bf16, "fp16"]


def test_a_training_says_that_it_computes_in_fp32(is_fast, tmp_path, capsys):
    if is_fast and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("bf16 is slow here")
    losses = {
        precision: losses_of_training(tmp_path / precision, settings_with(precision=precision, num_steps=1))
        for precision in ("fp32", "bf16")
    }
    assert (losses["bf16"] == losses["fp32"]) != is_fast
    said = "training.precision: bf16 is slow on this processor; computing in fp32\n"
    assert capsys.readouterr().err.count(said) == (not is_fast)


def test_embeddings_are_those_of_fp32_in_the_type_of_bf16(is_fast):
    volume = random_volume(20, 30, 40).numpy()
    exact, short = (
        VolumeEmbedder(ISOTROPIC, settings=embedding_settings(precision=precision)).embed(volume)
        for precision in ("fp32", "bf16")
    )
    assert short.fine.dtype == torch.float16
    assert torch.equal(short.fine, exact.fine.half()) != is_fast
