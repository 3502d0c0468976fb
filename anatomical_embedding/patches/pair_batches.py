"""Batches of view pairs for training: patches, the geometry of their cells, and which cells belong together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from anatomical_embedding.errors import SettingsError
from anatomical_embedding.patches.augmentation import augment_intensity
from anatomical_embedding.patches.batch_mix import BatchMix
from anatomical_embedding.patches.patch import sample_patch
from anatomical_embedding.patches.positives import (
    CellGrid,
    Positives,
    cell_grid,
    find_coarse_positives,
    find_fine_positives,
)
from anatomical_embedding.patches.views import View, draw_view_pair
from anatomical_embedding.processes import ALONE, Processes
from anatomical_embedding.settings.training import TrainingSettings
from anatomical_embedding.settings.volumes import IntensitySettings
from anatomical_embedding.volumes.intensity import IntensityWindow, apply_window
from anatomical_embedding.volumes.volume import Volume

MASK_EDGE = 0.5
"""An interpolated mask is inside from here on."""


@dataclass(frozen=True)
class TrainingVolume:
    """A prepared volume ready to be cut into patches.

    Attributes
    ----------
    image : (X, Y, Z) stored intensities, memory-mapped or in memory.
    body_mask : on the same grid, positive inside the body.
    window : stored intensities that the network tells apart.
    intensity : the network's input range.
    """

    image: Volume
    body_mask: Volume
    window: IntensityWindow
    intensity: IntensitySettings

    def patch(self, view: View) -> torch.Tensor:
        """Return the (Z, Y, X) float32 patch of a view in the network's intensities."""
        return sample_patch(
            self.image,
            view,
            normalise=lambda voxels: apply_window(voxels, window=self.window, settings=self.intensity),
            outside_value=self.intensity.output_offset,
        )

    def body_patch(self, view: View) -> torch.Tensor:
        """Return the (Z, Y, X) bool patch of a view that is true inside the body."""
        body = sample_patch(
            self.body_mask, view, normalise=lambda voxels: voxels.astype(np.float32), outside_value=0.0
        )
        return body >= MASK_EDGE


@dataclass(frozen=True)
class HeadGeometry:
    """Stride and size of one head's cells for the patches of a training, axes x, y, z."""

    stride_vox: tuple[int, int, int]
    size: tuple[int, int, int]


@dataclass(frozen=True)
class HeadPairs:
    """One head's cells of one view pair; positions count through view 1 and then view 2 in (z, y, x) order.

    Attributes
    ----------
    query, partner : (K,) int64.
    cells_mm : (2, 4, 4) float32, cell index (x, y, z) of each view to mm, from an origin common to both.
    size : cells along x, y, z.
    weight : of the pair in the loss.
    """

    query: torch.Tensor
    partner: torch.Tensor
    cells_mm: torch.Tensor
    size: tuple[int, int, int]
    weight: float = 1.0


@dataclass(frozen=True)
class PairBatch:
    """B view pairs: a whole batch, or the part of it that one process computes.

    Attributes
    ----------
    patches : (2B, 1, Z, Y, X) float32: views 1 and 2 of the first pair, of the second, and so on.
    fine, coarse : B entries each.
    places : B places of the whole batch.
    num_places : pairs of the whole batch.
    """

    patches: torch.Tensor
    fine: list[HeadPairs]
    coarse: list[HeadPairs]
    places: range
    num_places: int

    @property
    def share(self) -> float:
        """Share of the whole batch."""
        return len(self.places) / self.num_places

    def pin_memory(self) -> "PairBatch":
        """Return the batch with patches in memory from which a GPU copies while the program goes on."""
        return replace(self, patches=self.patches.pin_memory())


class PairBatches(Dataset):
    """Item number `step` is the batch of that step: order, views and noise follow from seed and step alone.

    Parameters
    ----------
    volumes : data set name -> its training volumes.
    settings : the training.
    fine, coarse : geometry of the heads.
    processes : that divide every batch among them; an item is this process's part.

    Raises
    ------
    SettingsError
        if there are more processes than pairs in a batch.
    """

    def __init__(
        self,
        volumes: Mapping[str, Sequence[TrainingVolume]],
        *,
        settings: TrainingSettings,
        fine: HeadGeometry,
        coarse: HeadGeometry,
        processes: Processes = ALONE,
    ):
        if processes.total > sum(settings.mix.values()):
            raise SettingsError(
                f"training.mix: a batch of {sum(settings.mix.values())} pairs cannot be divided among "
                f"{processes.total} processes; take fewer GPUs or a larger batch"
            )
        self._processes = processes
        self._volumes = volumes
        self._settings = settings
        self._make_pair = partial(make_pair, settings=settings, fine=fine, coarse=coarse)
        self._mix = BatchMix(
            {name: len(members) for name, members in volumes.items()}, mix=settings.mix, seed=settings.seed
        )

    def __len__(self) -> int:
        return self._settings.num_steps * self._settings.accumulation_steps

    def __getitem__(self, step: int) -> PairBatch:
        slots = self._mix.batch(step)
        places = self._processes.places(len(slots))
        pairs = []
        for number in places:
            slot = slots[number]
            generator = np.random.default_rng([self._settings.seed, step, number])
            volume = self._volumes[slot.dataset][slot.volume_index]
            pairs.append(self._make_pair(volume, generator=generator))
        return join_pairs(pairs, places=places, num_places=len(slots))


def join_pairs(
    pairs: Sequence[PairBatch], *, places: range | None = None, num_places: int | None = None
) -> PairBatch:
    """Return one batch that holds all the pairs, at their places of a larger batch if those are given."""
    return PairBatch(
        patches=torch.cat([pair.patches for pair in pairs]),
        fine=[head for pair in pairs for head in pair.fine],
        coarse=[head for pair in pairs for head in pair.coarse],
        places=range(len(pairs)) if places is None else places,
        num_places=len(pairs) if num_places is None else num_places,
    )


def make_pair(
    volume: TrainingVolume,
    *,
    settings: TrainingSettings,
    fine: HeadGeometry,
    coarse: HeadGeometry,
    generator: np.random.Generator,
    registered: TrainingVolume | None = None,
    weight: float = 1.0,
) -> PairBatch:
    """Return a batch of one view pair.

    Parameters
    ----------
    volume : shown by the first view, and by the second one too where nothing is registered onto it.
    settings : views, augmentation, positives.
    fine, coarse : geometry of the heads.
    generator : source of all random numbers.
    registered : shown by the second view: another volume in the same world, whose body mask tells where both show
        the body. Views are drawn inside it.
    weight : of the pair in the loss.
    """
    shown = (volume, volume if registered is None else registered)
    shared = shown[1]
    views = draw_view_pair(shared.image, shared.body_mask, settings=settings.views, generator=generator)
    patches = [
        augment_intensity(
            own.patch(view),
            partial(own.body_patch, view),
            settings=settings.augmentation,
            intensity=own.intensity,
            generator=generator,
        )
        for own, view in zip(shown, views, strict=True)
    ]
    fine_grids = _grids_of(views, head=fine)
    coarse_grids = _grids_of(views, head=coarse)
    fine_positives = find_fine_positives(
        *fine_grids,
        shared.body_mask,
        max_distance_mm=settings.fine_loss.positive_distance_mm,
        num_candidates=settings.fine_loss.num_candidates,
        num_positives=settings.fine_loss.num_positives,
        is_limited_to_body=settings.fine_loss.is_limited_to_body,
        generator=generator,
    )
    coarse_positives = find_coarse_positives(
        *coarse_grids,
        shared.body_mask,
        max_distance_mm=settings.coarse_loss.positive_distance_mm,
        max_distance_z_mm=settings.coarse_loss.positive_distance_z_mm,
    )
    origin_mm = _centre_mm(views[0])
    return PairBatch(
        patches=torch.stack(patches)[:, None],
        fine=[_head_pairs(fine_positives, fine_grids, origin_mm=origin_mm, weight=weight)],
        coarse=[_head_pairs(coarse_positives, coarse_grids, origin_mm=origin_mm, weight=weight)],
        places=range(1),
        num_places=1,
    )


def _grids_of(views: tuple[View, View], *, head: HeadGeometry) -> tuple[CellGrid, CellGrid]:
    """Return one head's cells of both views."""
    first, second = (cell_grid(view, stride_vox=head.stride_vox, size=head.size) for view in views)
    return first, second


def _centre_mm(view: View) -> NDArray[np.float64]:
    """Return the (3,) world position of the middle of a patch."""
    return view.affine[:3, :3] @ ((np.array(view.size_vox) - 1.0) / 2.0) + view.affine[:3, 3]


def _head_pairs(
    positives: Positives, grids: Sequence[CellGrid], *, origin_mm: NDArray[np.float64], weight: float
) -> HeadPairs:
    """Return the pairs as tensors, positions relative to an origin so that single precision is enough."""
    affines = np.stack([grid.affine for grid in grids])
    affines[:, :3, 3] -= origin_mm
    return HeadPairs(
        query=torch.from_numpy(positives.query),
        partner=torch.from_numpy(positives.partner),
        cells_mm=torch.from_numpy(affines).float(),
        size=grids[0].size,
        weight=weight,
    )
