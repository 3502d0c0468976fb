"""Steps that learn from organ labels: what they read, what their cells are labelled, what their loss moves."""

import os
import socket

import numpy as np
import pytest
import torch
from torch import multiprocessing

from anatomical_embedding.errors import InputFileError, SettingsError
from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.index_file import IndexRow, write_index
from anatomical_embedding.losses.prototype import prototype_loss
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.patches.pair_batches import TrainingVolume
from anatomical_embedding.patches.positives import CellGrid
from anatomical_embedding.patches.semantic_batches import (
    LabelledVolume,
    SemanticBatch,
    SemanticBatches,
    labels_of_cells,
)
from anatomical_embedding.processes import Processes, joined_processes
from anatomical_embedding.settings.model import SemanticSettings
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.training import TrainingSettings
from anatomical_embedding.settings.volumes import IntensitySettings
from anatomical_embedding.training.intra import IntraLosses
from anatomical_embedding.training.semantic import SemanticLosses, open_labelled
from anatomical_embedding.volumes.intensity import intensity_window
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.integration.tiny_training import INTENSITY, NETWORK, TRAINING

AFFINE = np.diag([-4.0, -4.0, 4.0, 1.0])
SHAPE = (20, 18, 16)
SEMANTIC = SemanticSettings(
    dataset="blobs",
    probability=0.4,
    num_volumes=2,
    crop_size_vox=(16, 16, 64),
    temperature=0.1,
    num_sampled_cells=None,
    are_prototypes_shared=True,
)
WITH_HEAD = NetworkSettings.model_validate(NETWORK | {"has_semantic_head": True})
SETTINGS = TrainingSettings.model_validate(TRAINING)


class Views:
    """Batches of views that tell which of them were read."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return 1000

    def __getitem__(self, step):
        self.read.append(step)
        return "views"


def labelled_volume(number):
    """Return a volume that has the value and the label `number` everywhere."""
    image = Volume(np.full(SHAPE, 100 * number, np.int16), AFFINE)
    intensity = IntensitySettings.model_validate(INTENSITY)
    window = intensity_window(image.array, modality="ct", settings=intensity)
    body = Volume(np.ones(SHAPE, np.uint8), AFFINE)
    labels = Volume(np.full(SHAPE, number, np.uint8), AFFINE)
    return LabelledVolume(TrainingVolume(image, body, window, intensity), labels)


def batches(views=None, *, num_labelled=3, **changes):
    return SemanticBatches(
        views or Views(),
        [labelled_volume(number) for number in range(1, num_labelled + 1)],
        settings=SETTINGS,
        semantic=SEMANTIC.model_copy(update=changes),
        network=WITH_HEAD,
    )


def test_labels_of_cells_by_hand():
    """Cells of 2 voxels lie between voxels; the label of the even one counts, and outside there is none."""
    array = np.arange(24, dtype=np.uint8).reshape(4, 3, 2) + 1
    labels = Volume(array, np.diag([1.0, 1.0, 1.0, 1.0]))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 0.5 - 0.01  # a hair before the middle
    found = labels_of_cells(labels, CellGrid(size=(3, 2, 1), affine=affine))
    assert found.tolist() == [array[0, 0, 0], array[2, 0, 0], 0, array[0, 2, 0], array[2, 2, 0], 0]


@pytest.mark.slow
def test_a_step_reads_labelled_volumes_or_views_and_never_both():
    views = Views()
    items = batches(views)
    is_semantic = [isinstance(items[step], SemanticBatch) for step in range(200)]
    assert views.read == [step for step in range(200) if not is_semantic[step]]
    assert 60 <= sum(is_semantic) <= 100  # 80 of 200 expected, deviation 7


def test_two_different_volumes_whose_cells_have_their_own_labels():
    items = batches(probability=1.0)
    pairs = [[crop.labels for crop in items[step].crops] for step in range(30)]
    assert all(set(crop.unique().tolist()) <= {0, 1, 2, 3} for pair in pairs for crop in pair)
    seen = {tuple(int(labels.max()) for labels in pair) for pair in pairs}
    assert all(first != second for first, second in seen)
    assert len(seen) == 6
    crop = items[0].crops[0]
    assert crop.patch.shape == (1, 1, 16, 16, 16)  # no larger than the volume
    cells = WITH_HEAD.level_shapes((16, 16, 16))[0]
    assert len(crop.labels) == np.prod(cells)


def test_a_step_is_the_same_whenever_it_is_asked():
    first, again = (batches(probability=1.0)[7].crops for _ in range(2))
    for one, other in zip(first, again, strict=True):
        torch.testing.assert_close(one.patch, other.patch, rtol=0, atol=0)
        assert torch.equal(one.labels, other.labels)


def test_more_processes_than_volumes_are_refused():
    with pytest.raises(SettingsError, match=r"semantic\.num_volumes: 2 volumes cannot be divided among 3"):
        SemanticBatches(
            Views(),
            [labelled_volume(1)],
            settings=SETTINGS,
            semantic=SEMANTIC,
            network=WITH_HEAD,
            processes=Processes(0, 3),
        )


def test_organs_move_backbone_and_semantic_head_alone():
    torch.manual_seed(0)
    network = EmbeddingNetwork(WITH_HEAD)
    device = torch.device("cpu")
    losses = SemanticLosses(IntraLosses(settings=SETTINGS, device=device), settings=SEMANTIC, device=device)
    named = losses(network, batches(probability=1.0)[0], torch.Generator().manual_seed(0))
    assert set(named) == {"loss_semantic"}
    named["loss_semantic"].backward()
    moved = {name.split(".")[0] for name, weight in network.named_parameters() if weight.grad is not None}
    assert moved == {"backbone", "semantic_head"}


def write_labelled(folder, labels_of_volume):
    rows = []
    for number, labels in enumerate(labels_of_volume):
        paths = [folder / f"v{number}{ending}" for ending in (".nii", ".body_mask.nii", ".labels.nii")]
        array = np.zeros(SHAPE, np.uint8)
        array.ravel()[: len(labels)] = labels
        image = np.arange(array.size, dtype=np.int16).reshape(SHAPE)
        for path, content in zip(paths, (image, np.ones(SHAPE, np.uint8), array), strict=True):
            write_volume(Volume(content, AFFINE), path)
        rows.append(
            IndexRow(
                f"v{number}", f"v{number}", "ct", "train", *paths, sha256_of_file(paths[0]), *SHAPE, 4, 4, 4
            )
        )
    write_index(rows, folder / "index.csv")
    return folder / "index.csv"


def test_volumes_that_show_fewer_than_two_organs_are_left_out(tmp_path):
    index = write_labelled(tmp_path, [[1, 2], [3, 3], [], [0, 5, 9]])
    intensity = IntensitySettings.model_validate(INTENSITY)
    kept = open_labelled(index, split="train", intensity=intensity)
    assert [sorted(np.unique(volume.labels.array)) for volume in kept] == [[0, 1, 2], [0, 5, 9]]


def test_a_data_set_without_a_usable_volume_is_refused(tmp_path):
    index = write_labelled(tmp_path, [[3], []])
    with pytest.raises(InputFileError, match="no volume of the split 'train' that shows two organs"):
        open_labelled(index, split="train", intensity=IntensitySettings.model_validate(INTENSITY))


def example_cells():
    generator = torch.Generator().manual_seed(5)
    vectors = torch.nn.functional.normalize(torch.randn(60, 5, generator=generator), dim=1)
    return vectors, torch.tensor([0, 1, 1, 2, 0, 4] * 10)


def loss_and_gradient(part, processes, share):
    vectors, labels = example_cells()
    own = vectors[part].clone().requires_grad_()
    loss = prototype_loss(
        own,
        labels[part],
        temperature=0.1,
        num_sampled_cells=None,
        generator=torch.Generator(),
        processes=processes,
    )
    (loss * share).backward()
    return loss.item(), own.grad


def _one_of_two(rank, port, folder):
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with joined_processes(torch.device("cpu")) as processes:
        # The second process has no cell of label 4.
        part = slice(0, 50) if rank == 0 else slice(50, 53)
        torch.save(loss_and_gradient(part, processes, 0.5), f"{folder}/{rank}.pt")


@pytest.mark.slow
def test_prototypes_of_two_processes_are_those_of_all_their_cells(tmp_path, unused_port):
    multiprocessing.spawn(_one_of_two, args=(unused_port, str(tmp_path)), nprocs=2)
    expected_loss, expected_gradient = loss_and_gradient(slice(0, 53), Processes(0, 1), 1.0)
    (first_loss, first), (second_loss, second) = (
        torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)
    )
    assert first_loss == pytest.approx(expected_loss, rel=1e-5)
    assert second_loss == pytest.approx(expected_loss, rel=1e-5)
    torch.testing.assert_close(torch.cat([first, second]), expected_gradient, rtol=1e-4, atol=1e-7)


@pytest.fixture
def unused_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
