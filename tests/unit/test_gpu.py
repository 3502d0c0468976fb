"""A GPU gives what the CPU gives, within the rounding of each number format, and keeps to its memory."""

import numpy as np
import pytest
import torch

from anatomical_embedding.embedding.embed_volume import VolumeEmbedder
from anatomical_embedding.matching.nearest import match_nearest
from anatomical_embedding.matching.stable_points import match_stable_points
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.patches.pair_batches import PairBatches, TrainingVolume
from anatomical_embedding.patches.semantic_batches import LabelledVolume, SemanticBatches
from anatomical_embedding.settings.embedding import EmbeddingSettings
from anatomical_embedding.settings.model import SemanticSettings
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.training import TrainingSettings
from anatomical_embedding.settings.volumes import IntensitySettings
from anatomical_embedding.training.intra import IntraLosses, IntraValidation
from anatomical_embedding.training.loop import Training
from anatomical_embedding.training.semantic import SemanticLosses
from anatomical_embedding.training.volumes import head_geometries
from anatomical_embedding.volumes.intensity import intensity_window
from anatomical_embedding.volumes.volume import Volume
from tests.integration.tiny_training import INTENSITY, NETWORK, TRAINING
from tests.reference.small_networks import isotropic_settings, network_with_statistics, random_volume
from tests.unit.test_stable_points import ANCHORS, MATCHING, affine_pair

GPU = "cuda"

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU is visible: its results are not compared with the CPU's"
)

FP32_DIFFERENCE = 1e-3
"""Of unit vectors: sums of a few hundred terms in another order, through about 20 layers."""
SHORT_COSINE_DISTANCE = 2e-3
"""Mean of 1 - cosine in bf16 and fp16, the bar that holds for bf16 on the CPU."""
FP32_LOSS, SHORT_LOSS = 1e-3, 5e-2
"""Relative difference of a loss in fp32, and in the shorter formats."""
MEMORY_BESIDE_MB = 256.0
"""Weights, the volume on its way, and the workspace that a convolution takes beside its tensors."""
BYTES_PER_MB = 1e6

ALL_NEGATIVES = {"hard_negative_pool": 100000, "num_negatives": 100000}
"""A draw from the hardest depends on the order of nearly equal similarities, so the last bit would decide it."""
SETTINGS = TrainingSettings.model_validate(
    TRAINING
    | {
        "num_steps": 3,
        "state_interval_steps": 1,
        "keep": "last",
        "optimizer": {"name": "sgd", "learning_rate": 0.001, "momentum": 0.9, "weight_decay": 0.0001},
        "fine_loss": TRAINING["fine_loss"] | ALL_NEGATIVES,
        "coarse_loss": TRAINING["coarse_loss"] | ALL_NEGATIVES,
    }
)
SEMANTIC = SemanticSettings(
    dataset="blobs",
    probability=1.0,
    num_volumes=2,
    crop_size_vox=(24, 24, 16),
    temperature=0.1,
    num_sampled_cells=100,
    are_prototypes_shared=True,
)


class StoppedError(Exception):
    """Stands for the end of a job's time."""


def embedding_settings(**changes):
    values = {"precision": "fp32", "device": GPU, "memory_limit_mb": 1000, "with_semantic_map": True}
    return EmbeddingSettings.model_validate(values | changes)


def heads(maps):
    return [head.float() for head in maps if head is not None]


@pytest.mark.parametrize("limit_mb", [3, 1000], ids=["in tiles", "in one piece"])
def test_an_embedding_in_fp32_is_that_of_the_cpu(limit_mb):
    network = network_with_statistics(isotropic_settings(width=8, has_semantic_head=True))
    volume = random_volume(61, 40, 50).numpy()
    expected = VolumeEmbedder(network, settings=embedding_settings(device="cpu")).embed(volume)
    got = VolumeEmbedder(network, settings=embedding_settings(memory_limit_mb=limit_mb)).embed(volume)
    for ours, theirs in zip(heads(got), heads(expected), strict=True):
        assert ours.device.type == "cpu"
        assert float((ours - theirs).abs().max()) <= FP32_DIFFERENCE


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_an_embedding_in_a_short_format_is_close_to_fp32_on_the_cpu(precision):
    network = network_with_statistics(isotropic_settings(width=8, has_semantic_head=True))
    volume = random_volume(61, 40, 50).numpy()
    expected = VolumeEmbedder(network, settings=embedding_settings(device="cpu")).embed(volume)
    got = VolumeEmbedder(network, settings=embedding_settings(precision=precision)).embed(volume)
    for ours, theirs in zip(heads(got), heads(expected), strict=True):
        cosine = torch.nn.functional.cosine_similarity(ours, theirs, dim=1)
        assert float(1.0 - cosine.mean()) <= SHORT_COSINE_DISTANCE


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_memory_limit_holds(precision):
    network = network_with_statistics(isotropic_settings(width=32, has_semantic_head=True))
    volume = random_volume(160, 256, 256).numpy()
    peaks_mb = [
        peak_mb(network, volume, embedding_settings(precision=precision, memory_limit_mb=limit_mb))
        for limit_mb in (300, 8000)
    ]
    assert peaks_mb[0] <= 300 + MEMORY_BESIDE_MB
    assert peaks_mb[0] < peaks_mb[1]


def peak_mb(network, volume, settings):
    """Return how far the memory of the GPU rises while a volume is embedded."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    VolumeEmbedder(network, settings=settings).embed(volume)
    return (torch.cuda.max_memory_allocated() - before) / BYTES_PER_MB


def training_volume(number):
    """Return a volume of noise that is smooth enough to be matched."""
    noise = np.random.default_rng(number).standard_normal((9, 9, 8)) * 400
    image = Volume(
        noise.repeat(4, 0).repeat(4, 1).repeat(4, 2).astype(np.int16), np.diag([-4.0, -4.0, 4.0, 1.0])
    )
    intensity = IntensitySettings.model_validate(INTENSITY)
    window = intensity_window(image.array, modality="ct", settings=intensity)
    return TrainingVolume(image, Volume(np.ones(image.shape, np.uint8), image.affine), window, intensity)


def training(device, folder, *, precision="fp32", is_semantic=False, stop_at=None, num_candidates=None):
    """Return a training on volumes of noise; `stop_at` ends it in the middle of that step."""
    torch.manual_seed(0)
    network = EmbeddingNetwork(NetworkSettings.model_validate(NETWORK | {"has_semantic_head": is_semantic}))
    fine_loss = SETTINGS.fine_loss.model_copy(update={"num_negative_candidates": num_candidates})
    settings = SETTINGS.model_copy(update={"precision": precision, "fine_loss": fine_loss})
    fine, coarse = head_geometries(network.settings, settings)
    volumes = [training_volume(number) for number in range(2)]
    batches = PairBatches({"blobs": volumes}, settings=settings, fine=fine, coarse=coarse)
    losses = IntraLosses(settings=settings, device=torch.device(device))
    if is_semantic:
        labelled = [
            LabelledVolume(
                volume,
                Volume(
                    np.arange(volume.image.array.size).reshape(volume.image.shape) % 3, volume.image.affine
                ),
            )
            for volume in volumes
        ]
        batches = SemanticBatches(
            batches, labelled, settings=settings, semantic=SEMANTIC, network=network.settings
        )
        losses = SemanticLosses(losses, settings=SEMANTIC, device=torch.device(device))
    steps = []

    def compute(network, batch, generator):
        steps.append(batch)
        if len(steps) == stop_at:
            raise StoppedError
        return losses(network, batch, generator)

    return Training(
        network,
        batches,
        compute_losses=compute,
        validate=IntraValidation(
            volumes, settings=settings, fine=fine, coarse=coarse, device=torch.device(device)
        ),
        settings=settings,
        state_folder=folder,
        fingerprint="f",
        device=torch.device(device),
        num_workers=0,
    )


def losses_of(trained):
    return [row["loss"] for row in trained.progress.training_rows]


@pytest.mark.parametrize("is_semantic", [False, True], ids=["views", "organs"])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", FP32_LOSS), ("bf16", SHORT_LOSS), ("fp16", SHORT_LOSS)]
)
def test_a_training_on_the_gpu_has_the_losses_of_the_cpu(tmp_path, precision, tolerance, is_semantic):
    runs = [
        training("cpu", tmp_path / "cpu", is_semantic=is_semantic),
        training(GPU, tmp_path / "gpu", precision=precision, is_semantic=is_semantic),
    ]
    for run in runs:
        run.run()
    assert losses_of(runs[1]) == pytest.approx(losses_of(runs[0]), rel=tolerance)
    errors = [run.progress.validation_rows[-1] for run in runs]
    assert errors[1]["loss"] == pytest.approx(errors[0]["loss"], rel=tolerance)


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", FP32_LOSS), ("bf16", SHORT_LOSS), ("fp16", SHORT_LOSS)]
)
def test_vectors_of_drawn_cells_on_the_gpu_have_the_losses_of_the_cpu(tmp_path, precision, tolerance):
    """500 of 2304 cells: few enough that the fine map is not made."""
    runs = [
        training("cpu", tmp_path / "cpu", num_candidates=500),
        training(GPU, tmp_path / "gpu", precision=precision, num_candidates=500),
    ]
    for run in runs:
        run.run()
    assert losses_of(runs[1]) == pytest.approx(losses_of(runs[0]), rel=tolerance)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_training_that_was_stopped_on_the_gpu_goes_on_there(tmp_path, precision):
    calm = training(GPU, tmp_path / "calm", precision=precision)
    calm.run()
    with pytest.raises(StoppedError):
        training(GPU, tmp_path / "stopped", precision=precision, stop_at=3).run()
    rerun = training(GPU, tmp_path / "stopped", precision=precision)
    rerun.run()
    assert [row["step"] for row in rerun.progress.training_rows] == [1, 2, 3]
    assert losses_of(rerun) == pytest.approx(losses_of(calm), rel=FP32_LOSS)
    for name, tensor in rerun.network.state_dict().items():
        torch.testing.assert_close(
            tensor, calm.network.state_dict()[name], rtol=FP32_LOSS, atol=FP32_LOSS, msg=name
        )


@pytest.mark.parametrize("search", ["exact", "pruned"])
@pytest.mark.parametrize("method", ["nearest", "stable_points"])
def test_answers_on_the_gpu_are_those_of_the_cpu(search, method):
    template, target = affine_pair(has_semantic=True)
    points_vox = np.random.default_rng(0).uniform(8, np.array(template.shape) - 9.0, size=(40, 3))
    points_mm = points_vox @ template.affine[:3, :3].T + template.affine[:3, 3]

    def answers(device):
        asked = MATCHING.model_copy(update={"search": search, "device": device})
        if method == "nearest":
            return match_nearest(template, target, points_mm, settings=asked)
        return match_stable_points(template, target, points_mm, settings=asked, stable_points=ANCHORS).matches

    ours, theirs = answers(GPU), answers("cpu")
    assert ours.status == theirs.status
    np.testing.assert_allclose(ours.points_mm, theirs.points_mm, atol=0.01)
    np.testing.assert_allclose(ours.similarity, theirs.similarity, atol=1e-4)
