"""Training across modalities: which pairs it reads, what its batches hold, how its losses are weighed."""

import dataclasses

import numpy as np
import pytest
import torch

from anatomical_embedding.errors import InputFileError, SettingsError
from anatomical_embedding.index_file import IndexRow
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.patches.pair_batches import HeadGeometry, PairBatches, TrainingVolume
from anatomical_embedding.patches.registered_batches import RegisteredBatches, RegisteredVolumes
from anatomical_embedding.processes import Processes
from anatomical_embedding.registration.registered_volume import RegisteredPairRow, write_registered_pairs
from anatomical_embedding.settings.model import RegisteredPairsSettings
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.training import TrainingSettings
from anatomical_embedding.settings.volumes import IntensitySettings
from anatomical_embedding.training.inter import InterLosses, open_registered_pairs
from anatomical_embedding.training.intra import IntraLosses
from anatomical_embedding.training.volumes import head_geometries
from anatomical_embedding.volumes.intensity import intensity_window
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.integration.tiny_training import INTENSITY, NETWORK, TRAINING

AFFINE = np.diag([-4.0, -4.0, 4.0, 1.0])
SHAPE = (30, 28, 26)
RANGE = IntensitySettings.model_validate(INTENSITY)
QUIET = {
    "noise_standard_deviation_range": [0, 0],
    "blur_standard_deviation_range_vox": [0, 0],
    "contrast_range": [1, 1],
    "brightness_range": [0, 0],
}
SETTINGS = TrainingSettings.model_validate(TRAINING | {"augmentation": QUIET})


def registered_settings(**changes):
    values = {
        "registration": "round_1",
        "num_slots": 2,
        "inter_weight": 1.0,
        "intra_weight": 0.0,
        "is_weighted_by_confidence": True,
    }
    return RegisteredPairsSettings(**(values | changes))


def constant_volume(value):
    image = Volume(np.full(SHAPE, value, np.int16), AFFINE)
    return TrainingVolume(
        image,
        Volume(np.ones(SHAPE, np.uint8), AFFINE),
        intensity_window(image.array, modality="ct", settings=RANGE),
        RANGE,
    )


def heads():
    return dict(
        zip(
            ("fine", "coarse"),
            head_geometries(NetworkSettings.model_validate(NETWORK), SETTINGS),
            strict=True,
        )
    )


def batches(*, processes=None, num_pairs=3, **changes):
    volumes = [
        RegisteredVolumes(constant_volume(100), constant_volume(500), 0.5 + 0.1 * number)
        for number in range(num_pairs)
    ]
    return RegisteredBatches(
        {"blobs": [constant_volume(0)]},
        volumes,
        settings=SETTINGS,
        registered=registered_settings(**changes),
        **heads(),
        **({"processes": processes} if processes else {}),
    )


def network_value(stored):
    """Return the network's intensity of a stored one, by hand: -500 to 700 HU becomes -50 to 205."""
    return (stored + 500) / 1200 * 255 - 50


def test_the_first_view_shows_the_fixed_and_the_second_the_moving_volume():
    batch = batches()[0]
    assert batch.intra is None
    assert batch.inter.patches.shape[0] == 4
    for view, stored in enumerate((100, 500, 100, 500)):
        middle = batch.inter.patches[view, 0, 6:-6, 8:-8, 8:-8]
        torch.testing.assert_close(middle, torch.full_like(middle, network_value(stored)), atol=1e-3, rtol=0)
    assert {pair.weight for pair in batch.inter.fine} <= {0.5, 0.6, 0.7}


def test_positives_run_both_ways():
    """Cells count through view 1 and then view 2, so CT to MR and MR to CT both ask."""
    for pair in (pair for step in range(5) for pair in batches()[step].inter.fine):
        num_cells = int(np.prod(pair.size))
        across = pair.partner >= num_cells
        if across.any():
            assert (pair.query[across] < num_cells).all()
            back = ~across & (pair.query >= num_cells)
            assert back.any()
            return
    pytest.fail("no overlapping pair in five batches")


def test_a_batch_follows_from_its_number_alone():
    first, again, next_one = batches()[3], batches()[3], batches()[4]
    assert torch.equal(first.inter.patches, again.inter.patches)
    assert not torch.equal(first.inter.fine[0].cells_mm, next_one.inter.fine[0].cells_mm)


def test_single_volumes_take_part_where_they_have_a_weight():
    batch = batches(intra_weight=0.5)[0]
    alone = PairBatches({"blobs": [constant_volume(0)]}, settings=SETTINGS, **heads())[0]
    assert torch.equal(batch.intra.patches, alone.patches)


def test_processes_divide_the_pairs_of_a_batch():
    whole = batches()[2].inter
    parts = [batches(processes=Processes(number, 2))[2] for number in (0, 1)]
    assert [part.share for part in parts] == [0.5, 0.5]
    joined = torch.cat([part.inter.patches for part in parts])
    assert torch.equal(joined, whole.patches)
    with pytest.raises(SettingsError, match=r"registered\.num_slots: a batch of 2 registered pairs"):
        batches(processes=Processes(0, 3))


def losses_of(batch, settings):
    torch.manual_seed(0)
    network = EmbeddingNetwork(NetworkSettings.model_validate(NETWORK))
    compute = InterLosses(IntraLosses(settings=SETTINGS, device=torch.device("cpu")), settings=settings)
    return compute(network, batch, torch.Generator().manual_seed(1))


def test_losses_are_named_and_weighed():
    batch = batches(intra_weight=1.0)[1]
    single = losses_of(batch, registered_settings(intra_weight=1.0))
    assert set(single) == {"loss_inter_fine", "loss_inter_coarse", "loss_fine", "loss_coarse"}
    weighed = losses_of(batch, registered_settings(inter_weight=2.0, intra_weight=0.25))
    for name, loss in single.items():
        factor = 2.0 if "inter" in name else 0.25
        assert weighed[name].item() == pytest.approx(factor * loss.item(), rel=1e-5)
    assert set(losses_of(batches()[1], registered_settings())) == {"loss_inter_fine", "loss_inter_coarse"}


def test_the_weight_of_a_pair_is_the_weight_of_its_loss():
    batch = batches()[1]
    heavy = dataclasses.replace(
        batch.inter,
        **{
            head: [dataclasses.replace(pair, weight=3.0) for pair in getattr(batch.inter, head)]
            for head in ("fine", "coarse")
        },
    )
    light = dataclasses.replace(
        batch.inter,
        **{
            head: [dataclasses.replace(pair, weight=1.0) for pair in getattr(batch.inter, head)]
            for head in ("fine", "coarse")
        },
    )
    ones = losses_of(dataclasses.replace(batch, inter=light), registered_settings())
    threes = losses_of(dataclasses.replace(batch, inter=heavy), registered_settings())
    for name, loss in ones.items():
        assert threes[name].item() == pytest.approx(3.0 * loss.item(), rel=1e-5)


def test_something_must_have_a_weight():
    with pytest.raises(ValueError, match="inter_weight and intra_weight are both 0"):
        registered_settings(inter_weight=0.0)


@pytest.fixture
def listed(tmp_path):
    """Return a list of three pairs: one that trains, one that failed, one whose patient tests; and the index."""
    rows, pairs = [], []
    for number, (status, split) in enumerate((("found", "train"), ("failed", "train"), ("found", "test"))):
        for modality in ("ct", "mr"):
            paths = [tmp_path / f"{number}_{modality}{ending}" for ending in (".nii", "_body.nii")]
            generator = np.random.default_rng(number)
            write_volume(Volume(generator.integers(0, 900, SHAPE).astype(np.int16), AFFINE), paths[0])
            write_volume(Volume(np.ones(SHAPE, np.uint8), AFFINE), paths[1])
            rows.append(
                IndexRow(
                    f"{number}_{modality}",
                    f"p{number}",
                    modality,
                    split,
                    *paths,
                    None,
                    "0" * 64,
                    *SHAPE,
                    4,
                    4,
                    4,
                )
            )
        image = tmp_path / f"{number}_mr.nii"
        pairs.append(
            RegisteredPairRow(
                f"{number}_ct", f"{number}_mr", status, "", 0.75, image, tmp_path / f"{number}_mr_body.nii"
            )
        )
    write_registered_pairs(pairs, tmp_path / "pairs.csv")
    return tmp_path / "pairs.csv", rows


@pytest.mark.parametrize(("is_weighted", "weight"), [(True, 0.75), (False, 1.0)])
def test_failed_pairs_and_other_splits_train_nothing(listed, is_weighted, weight):
    path, rows = listed
    settings = registered_settings(is_weighted_by_confidence=is_weighted)
    (pair,) = open_registered_pairs(path, rows, settings=settings, intensity=RANGE)
    assert pair.weight == weight
    assert pair.fixed.image.array[0, 0, 0] == np.random.default_rng(0).integers(0, 900, SHAPE)[0, 0, 0]


def test_no_pair_left_is_an_error_that_names_the_list(listed):
    path, rows = listed
    later = [dataclasses.replace(row, split="validation") for row in rows]
    with pytest.raises(InputFileError, match=r"pairs\.csv: holds no registered pair of the split 'train'"):
        open_registered_pairs(path, later, settings=registered_settings(), intensity=RANGE)


def test_head_geometry_is_that_of_the_network():
    assert isinstance(heads()["fine"], HeadGeometry)
    assert heads()["fine"].stride_vox == (2, 2, 2)
