"""Batches of a training that learns from organ labels: now and then labelled volumes instead of views."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from anatomical_embedding.errors import SettingsError
from anatomical_embedding.patches.augmentation import augment_intensity
from anatomical_embedding.patches.pair_batches import PairBatch, PairBatches, TrainingVolume
from anatomical_embedding.patches.positives import CellGrid, cell_grid
from anatomical_embedding.patches.views import draw_crop
from anatomical_embedding.processes import ALONE, Processes
from anatomical_embedding.settings.model import SemanticSettings
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.training import TrainingSettings
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.volume import Volume

SEMANTIC_STREAM = 0x5E3A
"""Sets the random numbers of labelled volumes apart from those of the slots of a batch, which count from 0."""


@dataclass(frozen=True)
class LabelledVolume:
    """A training volume with the organ of each of its voxels.

    Attributes
    ----------
    volume : image and body mask.
    labels : on the same grid; 0 is no organ.
    """

    volume: TrainingVolume
    labels: Volume


@dataclass(frozen=True)
class LabelledCrop:
    """A part of a volume.

    Attributes
    ----------
    patch : (1, 1, Z, Y, X) float32.
    labels : (N,) int64 organ of each fine cell, in (z, y, x) order.
    """

    patch: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class SemanticBatch:
    """Parts of some volumes: all of a step, or those that one process computes.

    Attributes
    ----------
    crops : one a volume.
    share : of all volumes of the step.
    """

    crops: list[LabelledCrop]
    share: float

    def pin_memory(self) -> "SemanticBatch":
        """Return the batch in memory from which a GPU copies while the program goes on."""
        crops = [LabelledCrop(crop.patch.pin_memory(), crop.labels.pin_memory()) for crop in self.crops]
        return SemanticBatch(crops, self.share)


class SemanticBatches(Dataset):
    """Item number `step` is labelled volumes or a batch of views, whichever the step is given; the other is not read.

    Which it is, and all of it, follows from seed and step alone.

    Parameters
    ----------
    pairs : batches of views.
    labelled : volumes with organs.
    settings : of the training.
    semantic : of the labelled volumes.
    network : whose cells are labelled.
    processes : that divide the volumes among them; an item is this process's part.

    Raises
    ------
    SettingsError
        if there are more processes than volumes.
    """

    def __init__(
        self,
        pairs: PairBatches,
        labelled: Sequence[LabelledVolume],
        *,
        settings: TrainingSettings,
        semantic: SemanticSettings,
        network: NetworkSettings,
        processes: Processes = ALONE,
    ):
        if processes.total > semantic.num_volumes:
            raise SettingsError(
                f"semantic.num_volumes: {semantic.num_volumes} volumes cannot be divided among {processes.total} "
                "processes; take fewer GPUs or more volumes"
            )
        self._processes = processes
        self._pairs = pairs
        self._labelled = labelled
        self._settings = settings
        self._semantic = semantic
        self._network = network

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, step: int) -> PairBatch | SemanticBatch:
        generator = np.random.default_rng([self._settings.seed, step, SEMANTIC_STREAM])
        if generator.random() >= self._semantic.probability:
            return self._pairs[step]
        wanted, known = self._semantic.num_volumes, len(self._labelled)
        chosen = generator.choice(known, size=wanted, replace=known < wanted)
        crops = [
            self._crop(
                self._labelled[chosen[place]],
                np.random.default_rng([self._settings.seed, step, SEMANTIC_STREAM, place]),
            )
            for place in self._processes.places(wanted)
        ]
        return SemanticBatch(crops, share=len(crops) / wanted)

    def _crop(self, labelled: LabelledVolume, generator: np.random.Generator) -> LabelledCrop:
        view = draw_crop(
            labelled.volume.image,
            largest_size_vox=self._semantic.crop_size_vox,
            settings=self._settings.views,
            generator=generator,
        )
        patch = augment_intensity(
            labelled.volume.patch(view),
            partial(labelled.volume.body_patch, view),
            settings=self._settings.augmentation,
            intensity=labelled.volume.intensity,
            generator=generator,
        )
        x, y, z = view.size_vox
        stride_z, stride_y, stride_x = self._network.fine_stride_zyx
        cells_z, cells_y, cells_x = self._network.level_shapes((z, y, x))[0]
        grid = cell_grid(view, stride_vox=(stride_x, stride_y, stride_z), size=(cells_x, cells_y, cells_z))
        return LabelledCrop(patch[None, None], torch.from_numpy(labels_of_cells(labelled.labels, grid)))


def labels_of_cells(labels: Volume, grid: CellGrid) -> NDArray[np.int64]:
    """Return (N,) the label at the voxel nearest to the centre of each cell, in (z, y, x) order; 0 outside."""
    z, y, x = np.meshgrid(*[np.arange(size) for size in grid.size[::-1]], indexing="ij")
    cells = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    return labels.nearest_values(transform_points(grid.affine, cells)).astype(np.int64)
