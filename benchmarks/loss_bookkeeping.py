"""Loss of one view pair at the published patch size: our arithmetic against the published distance matrices.

Both ways find positives and hard negatives and return the fine loss of the same 96 x 96 x 32 views with published
counts; neither includes the network. CPU seconds and peak memory are those of separate processes, taken in turn.

    python -m benchmarks.loss_bookkeeping [--repeats 3]
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from torch.nn import functional as F

from anatomical_embedding.losses.contrastive import fine_contrastive_loss
from anatomical_embedding.losses.cross_entropy import cross_entropy_against
from anatomical_embedding.patches.pair_batches import HeadPairs
from anatomical_embedding.patches.positives import cell_grid, find_fine_positives
from anatomical_embedding.patches.views import draw_view_pair
from anatomical_embedding.settings.training import FineLossSettings, ViewSettings
from anatomical_embedding.volumes.volume import Volume

MIN_SPEED_RATIO = 15.0
MAX_MEMORY_RATIO = 0.25
FINE_SIZE = (48, 48, 16)
COARSE_SIZE = (6, 6, 8)
VIEWS = ViewSettings(
    patch_size_vox=(96, 96, 32),
    scale_range=(0.8, 1.2),
    axis_scale_range=(1.0, 1.0),
    max_rotation_degrees=0.0,
    independent_probability=0.0,
    seed_in_body_probability=0.0,
)
LOSS = FineLossSettings(
    positive_distance_mm=2.0,
    ignore_distance_mm=20.0,
    num_candidates=2000,
    num_positives=100,
    is_limited_to_body=False,
    num_negative_candidates=None,
    hard_negative_pool=2000,
    num_negatives=500,
    temperature=0.5,
)


def main() -> None:
    """Print the table and exit with 1 if a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--way", choices=["ours", "matrices"], help="run one way and print its figures as JSON"
    )
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way)))
        return
    runs = {way: [] for way in ("ours", "matrices")}
    for _ in range(options.repeats):
        for way, figures in runs.items():
            command = [sys.executable, "-m", "benchmarks.loss_bookkeeping", "--way", way]
            figures.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    speed = np.median(
        [b["seconds"] / a["seconds"] for a, b in zip(runs["ours"], runs["matrices"], strict=True)]
    )
    memory = np.median([a["mb"] / b["mb"] for a, b in zip(runs["ours"], runs["matrices"], strict=True)])
    for way, figures in runs.items():
        seconds, mb = (np.median([figure[key] for figure in figures]) for key in ("seconds", "mb"))
        print(f"{way:10s} {seconds:8.2f} CPU s {mb:8.0f} MB above the inputs")
    print(
        f"speed ratio {speed:.1f} (at least {MIN_SPEED_RATIO}), memory ratio {memory:.3f} (at most {MAX_MEMORY_RATIO})"
    )
    sys.exit(speed < MIN_SPEED_RATIO or memory > MAX_MEMORY_RATIO)


def measure(way: str) -> dict[str, float]:
    """Return CPU seconds and the growth of the peak memory of one way."""
    torch.set_num_threads(1)
    volume = Volume(np.ones((200, 200, 200), dtype=np.uint8), np.diag([-2.0, -2.0, 2.0, 1.0]))
    generator = np.random.default_rng(0)
    views = draw_view_pair(volume, volume, settings=VIEWS, generator=generator)
    grids = [cell_grid(view, stride_vox=(2, 2, 2), size=FINE_SIZE) for view in views]
    torch.manual_seed(0)
    fine = F.normalize(torch.randn(2, 128, *FINE_SIZE[::-1]), dim=1).requires_grad_()
    coarse = F.normalize(torch.randn(2, 128, *COARSE_SIZE[::-1]), dim=1)
    loss_of = {"ours": _loss_by_arithmetic, "matrices": _loss_by_matrices}[way]
    before_mb, started = _peak_mb(), time.process_time()
    loss_of(fine, coarse, grids, volume).backward()
    return {"seconds": time.process_time() - started, "mb": _peak_mb() - before_mb}


def _loss_by_arithmetic(fine, coarse, grids, volume):
    """Return the loss as the training computes it."""
    positives = find_fine_positives(
        *grids,
        volume,
        max_distance_mm=LOSS.positive_distance_mm,
        num_candidates=LOSS.num_candidates,
        num_positives=LOSS.num_positives,
        is_limited_to_body=False,
        generator=np.random.default_rng(1),
    )
    pairs = HeadPairs(
        query=torch.from_numpy(positives.query),
        partner=torch.from_numpy(positives.partner),
        cells_mm=torch.from_numpy(np.stack([grid.affine for grid in grids])).float(),
        size=FINE_SIZE,
    )
    return fine_contrastive_loss(
        fine, coarse, [pairs], settings=LOSS, generator=torch.Generator().manual_seed(0)
    )


def _loss_by_matrices(fine, coarse, grids, _volume):
    """Return the loss by the published steps: four tables of differences, of 2000 candidates to all cells of a view.

    As published the positions are kept in half precision, negatives are gathered query by query, and one table each
    serves the search for partners and the exclusion of what is near. Products of vectors stay in single precision,
    which is many times faster on a processor than the published half precision.
    """
    places = [
        torch.from_numpy(
            grid.cells_from_flat(np.arange(grid.num_cells)) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
        ).half()
        for grid in grids
    ]
    keys = fine.flatten(2).transpose(1, 2).flatten(0, 1)
    upsampled = F.normalize(F.interpolate(coarse, size=fine.shape[2:], mode="trilinear"), dim=1)
    upsampled = upsampled.flatten(2).transpose(1, 2).flatten(0, 1)
    num_cells = len(places[0])
    candidates = [_candidates_in_overlap(places[own], places[1 - own]) for own in range(2)]
    distances = [
        [_distances_by_differences(places[own][candidates[own]], places[view]) for view in range(2)]
        for own in range(2)
    ]  # each (2000, 36864)
    losses = []
    for own in range(2):
        near = torch.nonzero((distances[own][1 - own] < LOSS.positive_distance_mm).any(dim=1))[:, 0]
        chosen = near[torch.randperm(len(near))[: LOSS.num_positives]]
        partner = distances[own][1 - own][chosen].argmin(dim=1) + (1 - own) * num_cells
        query = candidates[own][chosen] + own * num_cells
        is_far = torch.cat([table[chosen] for table in distances[own]], dim=1) >= LOSS.ignore_distance_mm
        similarity = keys[query] @ keys.T
        score = (similarity.detach() + upsampled[query] @ upsampled.T) * is_far
        hardest = score.topk(LOSS.hard_negative_pool, dim=1).indices
        hardest = hardest[:, torch.randperm(LOSS.hard_negative_pool)[: LOSS.num_negatives]]
        negatives = torch.stack([row[columns] for row, columns in zip(similarity, hardest, strict=True)])
        positive = (keys[query] * keys[partner]).sum(dim=1)
        losses.append(cross_entropy_against(positive, negatives, temperature=LOSS.temperature))
    return torch.stack(losses).mean()


def _candidates_in_overlap(own, other):
    """Return up to 2000 random cells of a view that lie in the box of the other."""
    is_inside = ((own >= other.amin(dim=0)) & (own <= other.amax(dim=0))).all(dim=1)
    inside = torch.nonzero(is_inside)[:, 0]
    return inside[torch.randperm(len(inside))[: LOSS.num_candidates]]


def _distances_by_differences(points, cells):
    """Return the (N, M) distances by way of all (N, M, 3) differences."""
    return (points[:, None] - cells[None]).norm(dim=2)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
