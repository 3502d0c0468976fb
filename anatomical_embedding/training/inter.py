"""Cross-SAM's training: views of the two volumes of a registered pair, beside views of single volumes.

Source: Bai et al., "Matching in the Wild" (arXiv 2307.03535) and "UAE" (arXiv 2311.15111). The losses are those of SAM
with the two views taken from two volumes in one world, so both directions are alike: positives and negatives of CT to
MR and of MR to CT are weighed by the same similarity, and each direction mines its own negatives.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.index_file import IndexRow
from anatomical_embedding.patches.registered_batches import RegisteredBatch, RegisteredVolumes
from anatomical_embedding.registration.registered_volume import read_registered_pairs
from anatomical_embedding.settings.model import RegisteredPairsSettings
from anatomical_embedding.settings.volumes import IntensitySettings
from anatomical_embedding.training.intra import IntraLosses
from anatomical_embedding.training.volumes import open_volume


class InterLosses:
    """Turns network and batch into the losses of registered pairs and of single volumes.

    Parameters
    ----------
    losses : of view pairs.
    settings : weights of the two kinds.
    """

    def __init__(self, losses: IntraLosses, *, settings: RegisteredPairsSettings):
        self._losses = losses
        self._settings = settings

    def __call__(
        self, network: torch.nn.Module, batch: RegisteredBatch, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return `loss_inter_fine` and `loss_inter_coarse`, and those of single volumes where a batch has any."""
        inter = self._losses(network, batch.inter, generator)
        named = {
            name.replace("loss_", "loss_inter_"): self._settings.inter_weight * loss
            for name, loss in inter.items()
        }
        if batch.intra is not None:
            intra = self._losses(network, batch.intra, generator)
            # The training weighs all losses by the share of the registered pairs.
            weight = self._settings.intra_weight * batch.intra.share / batch.share
            named |= {name: weight * loss for name, loss in intra.items()}
        return named


def open_registered_pairs(
    path: Path,
    rows: Sequence[IndexRow],
    *,
    settings: RegisteredPairsSettings,
    intensity: IntensitySettings,
) -> list[RegisteredVolumes]:
    """Return the pairs of a list whose registration was believed and whose patients train.

    Parameters
    ----------
    path : list of registered pairs.
    rows : index of their data set.
    settings : whether confidence is a weight.
    intensity : the network's input range.

    Raises
    ------
    InputFileError
        if no such pair is left.
    """
    known = {row.volume_id: row for row in rows}
    pairs = []
    for pair in read_registered_pairs(path):
        fixed, moving = known[pair.fixed_id], known[pair.moving_id]
        if pair.status == "failed" or not (fixed.split == moving.split == "train"):
            continue
        registered = replace(moving, image_path=pair.image_path, body_mask_path=pair.mask_path)
        pairs.append(
            RegisteredVolumes(
                open_volume(fixed, intensity=intensity),
                open_volume(registered, intensity=intensity),
                weight=pair.confidence if settings.is_weighted_by_confidence else 1.0,
            )
        )
    if not pairs:
        raise InputFileError(path, "holds no registered pair of the split 'train'; see the reasons in it")
    return pairs
