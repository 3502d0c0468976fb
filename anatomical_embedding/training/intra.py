"""SAM's training: two views of one volume, fine and coarse contrastive loss."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any, cast

import numpy as np
import torch
from torch.nn import functional as F

from anatomical_embedding.losses.contrastive import (
    coarse_contrastive_loss,
    fine_contrastive_loss,
    fine_contrastive_loss_of_drawn_cells,
)
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork, Embeddings
from anatomical_embedding.patches.pair_batches import (
    HeadGeometry,
    HeadPairs,
    PairBatch,
    TrainingVolume,
    join_pairs,
    make_pair,
)
from anatomical_embedding.processes import ALONE, Processes
from anatomical_embedding.settings.training import TrainingSettings

HIT_DISTANCE_MM = 10.0
FEW_CELLS = 0.25
"""Share of the cells up to which the vectors of single cells are cheaper than the map of all."""
MAX_DRAWS = 100
"""Draws of a validation pair after which volumes and patch size cannot fit together."""


class IntraLosses:
    """Turns network and batch into SAM's losses.

    Parameters
    ----------
    settings : the training.
    device : where to compute.
    processes : that divide a batch among them.
    """

    def __init__(self, *, settings: TrainingSettings, device: torch.device, processes: Processes = ALONE):
        self._settings = settings
        self._partners = processes if settings.processes.negatives_from_other_processes else ALONE
        self._device = device

    def __call__(
        self, network: torch.nn.Module, batch: PairBatch, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the losses `loss_fine` and `loss_coarse` of one batch."""
        patches = _on_device(batch.patches, self._device)
        if not self._looks_at_few_cells(batch.fine):
            return self.of_maps(network(patches, with_semantic_map=False), batch, generator)
        fine_at, coarse = cast(EmbeddingNetwork, network).fine_at_cells_and_coarse(patches)
        return self._both(fine_contrastive_loss_of_drawn_cells, fine_at, coarse, batch, generator)

    def of_maps(
        self, embeddings: Embeddings, batch: PairBatch, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the losses of one batch whose maps have been made."""
        fine, coarse = embeddings.fine.float(), embeddings.coarse.float()
        return self._both(fine_contrastive_loss, fine, coarse, batch, generator)

    def _both(
        self,
        fine_loss: Callable[..., torch.Tensor],
        fine: Any,
        coarse: torch.Tensor,
        batch: PairBatch,
        generator: torch.Generator,
    ) -> dict[str, torch.Tensor]:
        """Return the losses of both heads, computed in single precision; `fine` is what the fine loss takes."""
        drawn: dict[str, Any] = {
            "generator": generator,
            "places": batch.places,
            "num_places": batch.num_places,
        }
        with torch.autocast(self._device.type, enabled=False):
            return {
                "loss_fine": fine_loss(
                    fine,
                    coarse.detach(),
                    _to_device(batch.fine, self._device),
                    settings=self._settings.fine_loss,
                    **drawn,
                ),
                "loss_coarse": coarse_contrastive_loss(
                    coarse,
                    _to_device(batch.coarse, self._device),
                    settings=self._settings.coarse_loss,
                    processes=self._partners,
                    **drawn,
                ),
            }

    def _looks_at_few_cells(self, pairs: Sequence[HeadPairs]) -> bool:
        """Say whether the fine loss reads so few cells that making their vectors alone is the cheaper way."""
        candidates = self._settings.fine_loss.num_negative_candidates
        return candidates is not None and candidates <= FEW_CELLS * 2 * prod(pairs[0].size)


class IntraValidation:
    """Matches points between two views of held-out volumes, the same at every validation.

    Parameters
    ----------
    volumes : held-out volumes.
    settings : the training; views and losses are those of the training.
    fine, coarse : geometry of the heads.
    device : where to compute.
    """

    def __init__(
        self,
        volumes: Sequence[TrainingVolume],
        *,
        settings: TrainingSettings,
        fine: HeadGeometry,
        coarse: HeadGeometry,
        device: torch.device,
    ):
        self._losses = IntraLosses(settings=settings, device=device)
        self._num_points = settings.validation.num_points
        self._device = device
        views = settings.views.model_copy(update={"independent_probability": 0.0})
        shared = settings.model_copy(update={"views": views})
        self._pairs = [
            _draw_overlapping_pair(volumes, settings=shared, fine=fine, coarse=coarse, number=number)
            for number in range(settings.validation.num_pairs)
        ]

    def __call__(self, network: torch.nn.Module) -> dict[str, float]:
        """Return `loss`, and `median_mm` and `hit_10mm` of matched points."""
        losses, errors_mm = [], []
        for number, pair in enumerate(self._pairs):
            generator = torch.Generator().manual_seed(number)
            embeddings = network(_on_device(pair.patches, self._device), with_semantic_map=False)
            named = self._losses.of_maps(embeddings, pair, generator)
            losses.append(torch.stack(list(named.values())).sum().item())
            errors_mm.append(
                match_errors_mm(
                    embeddings.fine.float().cpu(),
                    embeddings.coarse.float().cpu(),
                    pair.fine[0],
                    num_points=self._num_points,
                )
            )
        errors = np.concatenate(errors_mm)
        return {
            "loss": float(np.mean(losses)),
            "median_mm": float(np.median(errors)),
            "hit_10mm": float(np.mean(errors <= HIT_DISTANCE_MM)),
        }


def match_errors_mm(
    fine: torch.Tensor, coarse: torch.Tensor, pair: HeadPairs, *, num_points: int
) -> np.ndarray:
    """Return (K,) the distance in mm of matched cells of view 2 to the true place of cells of view 1.

    Parameters
    ----------
    fine, coarse : (2, C, z, y, x) unit vectors of the two views.
    pair : cells of view 1 with partners in view 2.
    num_points : points matched at most.
    """
    num_cells = fine[0, 0].numel()
    upsampled = F.normalize(
        F.interpolate(coarse, size=fine.shape[2:], mode="trilinear", align_corners=False), dim=1
    )
    joint = torch.cat([fine, upsampled], dim=1).flatten(2)  # (2, C + C', N)
    query = pair.query[pair.query < num_cells][:num_points]
    best = (joint[0][:, query].T @ joint[1]).argmax(dim=1)
    found = _positions(best, pair, view=1)
    true = _positions(query, pair, view=0)
    return (found - true).norm(dim=1).numpy()


def _positions(flat: torch.Tensor, pair: HeadPairs, *, view: int) -> torch.Tensor:
    """Return (N, 3) mm of the cells of one view."""
    cells = np.stack(np.unravel_index(flat.numpy(), pair.size[::-1])[::-1], axis=-1)
    matrix = pair.cells_mm[view]
    return torch.from_numpy(cells).float() @ matrix[:3, :3].T + matrix[:3, 3]


def _draw_overlapping_pair(volumes: Sequence[TrainingVolume], *, number: int, **geometry: Any) -> PairBatch:
    """Return the validation pair of a number: the first draw whose views share something."""
    for draw in range(MAX_DRAWS):
        generator = np.random.default_rng([number, draw])
        pair = make_pair(volumes[number % len(volumes)], generator=generator, **geometry)
        num_cells = int(np.prod(pair.fine[0].size))
        if (pair.fine[0].partner >= num_cells).any():
            return join_pairs([pair])
    raise RuntimeError(f"no two overlapping views in {MAX_DRAWS} draws")


def _on_device(patches: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return patches on a device, in the layout of its convolutions; a copy from pinned memory is not waited for."""
    return patches.to(device, non_blocking=True, memory_format=torch.channels_last_3d)


def _to_device(heads: Sequence[HeadPairs], device: torch.device) -> list[HeadPairs]:
    """Return the pairs with their tensors on a device."""
    return [
        replace(
            head,
            query=head.query.to(device, non_blocking=True),
            partner=head.partner.to(device, non_blocking=True),
            cells_mm=head.cells_mm.to(device, non_blocking=True),
        )
        for head in heads
    ]
