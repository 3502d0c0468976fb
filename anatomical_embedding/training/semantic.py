"""SAM++'s training: SAM's losses on some steps, on the others the prototype loss on organs of several volumes.

Source: Bai et al., "UAE: Universal Anatomical Embedding on Multi-modality Medical Images" (arXiv 2311.15111).
"""

from pathlib import Path
from typing import cast

import numpy as np
import torch

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.index_file import read_index
from anatomical_embedding.losses.prototype import prototype_loss
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.patches.pair_batches import PairBatch
from anatomical_embedding.patches.semantic_batches import LabelledVolume, SemanticBatch
from anatomical_embedding.processes import ALONE, Processes
from anatomical_embedding.progress import log
from anatomical_embedding.settings.model import SemanticSettings
from anatomical_embedding.settings.volumes import IntensitySettings
from anatomical_embedding.training.intra import IntraLosses
from anatomical_embedding.training.volumes import open_volume
from anatomical_embedding.volumes.nifti import map_volume

FEWEST_LABELS = 2
"""Organs that a volume must show: cells of a single one have no other organ to be told from."""


class SemanticLosses:
    """Turns network and batch into SAM's losses, or into the prototype loss of labelled volumes.

    Parameters
    ----------
    losses : of view pairs.
    settings : temperature and sampling.
    device : where to compute.
    processes : that divide a step among them.
    """

    def __init__(
        self,
        losses: IntraLosses,
        *,
        settings: SemanticSettings,
        device: torch.device,
        processes: Processes = ALONE,
    ):
        self._partners = processes if settings.are_prototypes_shared else ALONE
        self._losses = losses
        self._settings = settings
        self._device = device

    def __call__(
        self, network: torch.nn.Module, batch: PairBatch | SemanticBatch, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return `loss_fine` and `loss_coarse`, or `loss_semantic`."""
        if isinstance(batch, PairBatch):
            return self._losses(network, batch, generator)
        semantic_map = cast(EmbeddingNetwork, network).semantic_map
        vectors = []
        for crop in batch.crops:
            patch = crop.patch.to(self._device, non_blocking=True, memory_format=torch.channels_last_3d)
            vectors.append(semantic_map(patch)[0].flatten(1).T)
        labels = torch.cat([crop.labels.to(self._device, non_blocking=True) for crop in batch.crops])
        with torch.autocast(self._device.type, enabled=False):
            loss = prototype_loss(
                torch.cat(vectors),
                labels,
                temperature=self._settings.temperature,
                num_sampled_cells=self._settings.num_sampled_cells,
                generator=generator,
                processes=self._partners,
            )
        return {"loss_semantic": loss}


def open_labelled(path: Path, *, split: str, intensity: IntensitySettings) -> list[LabelledVolume]:
    """Return the volumes of a split of an index that show at least two organs, memory-mapped.

    Raises
    ------
    InputFileError
        if no volume of the split has labels, or none shows two organs.
    """
    volumes, left_out = [], []
    for row in read_index(path):
        if row.split != split:
            continue
        if row.labels_path is None:
            raise InputFileError(path, f"has no labels of {row.volume_id!r}; name the organs of its data set")
        labels = map_volume(row.labels_path)
        if np.count_nonzero(np.bincount(labels.array.ravel(order="K"))[1:]) < FEWEST_LABELS:
            left_out.append(row.volume_id)
            continue
        volumes.append(LabelledVolume(open_volume(row, intensity=intensity), labels))
    if left_out:
        log(
            f"{len(left_out)} volumes show fewer than {FEWEST_LABELS} organs and are not used: {', '.join(left_out)}"
        )
    if not volumes:
        raise InputFileError(
            path, f"has no volume of the split '{split}' that shows two organs; check their masks"
        )
    return volumes
