"""Matching and storing against the direct, published way, at the size of a 256 x 192 x 192 volume.

The direct way upsamples all coarse channels to the fine grid, normalises, multiplies, averages and takes the largest.
Both ways run on one thread and in turn; times are CPU seconds, ratios medians over repeats, memory what a search adds
to the process. Embeddings are smooth synthetic ones with noise, or with --stores and --queries those of a model.

    python -m benchmarks.match_points [--semantic] [--repeats 3]
    python -m benchmarks.match_points --stores embeddings.csv --queries queries.csv
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from anatomical_embedding.embedding.store import (
    EmbeddedVolume,
    decode,
    embedded_volume,
    open_store,
    write_store,
)
from anatomical_embedding.embedding.store_manifest import read_store_manifest
from anatomical_embedding.evaluation.landmarks.tables import read_queries
from anatomical_embedding.matching.cell_search import CellSearch
from anatomical_embedding.matching.nearest import match_nearest
from anatomical_embedding.matching.prepared_target import prepare_target
from anatomical_embedding.matching.query_vectors import QueryVectors, query_vectors
from anatomical_embedding.settings.matching import HeadWeights, MatchingSettings, StoreSettings
from anatomical_embedding.volumes.affine import transform_points
from tests.reference.direct_matching import match_as_published
from tests.reference.peak_memory import PeakMemory
from tests.reference.synthetic_embeddings import synthetic_volume

SHAPE = (192, 192, 256)
NUM_CHANNELS = 128
NOISE = 0.3
NUM_AGREEMENT_QUERIES = 300
DIRECT_QUERIES_AT_ONCE = 25
MB = 1024**2
SPEED_BARS = {1: 50.0, 100: 8.0}
MAX_MS_OF_1000 = 10.0
MAX_MEMORY_MB_OF_1000 = 1024.0
MIN_SAME = {"exact": 0.999, "pruned": 0.99, "int8": 0.97}
MAX_ERROR_CHANGE_MM = 0.2
MAX_INT8_SIZE = 0.27
EXACT = MatchingSettings(
    head_weights=HeadWeights(fine=1, coarse=1, semantic=1),
    query_interpolation="nearest",
    search="exact",
    num_candidates=64,
    scan_precision="bf16",
    refinement="none",
    max_memory_mb=512,
    device="cpu",
)
PRUNED = EXACT.model_copy(update={"search": "pruned"})


class Bars:
    """Figures printed beside their bars; remembers whether one was missed."""

    def __init__(self) -> None:
        self.num_missed = 0

    def require(
        self, name: str, value: float, *, at_least: float | None = None, at_most: float | None = None
    ) -> None:
        """Print a figure and its bar."""
        is_met = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        bar = f"at least {at_least:g}" if at_least is not None else f"at most {at_most:g}"
        print(f"{'ok  ' if is_met else 'MISS'} {name}: {value:.4g} ({bar})", flush=True)
        self.num_missed += not is_met


@dataclass(frozen=True)
class Case:
    """A template, a target, and queries with their answers where these are known."""

    template: EmbeddedVolume
    target: EmbeddedVolume
    points_mm: np.ndarray
    truth_mm: np.ndarray


def main() -> None:
    """Print the tables and exit with 1 if a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--semantic", action="store_true", help="with a semantic head")
    parser.add_argument("--stores", type=Path, help="list of stores of a model, to measure agreement on")
    parser.add_argument("--queries", type=Path, help="queries between them")
    parser.add_argument("--num-pairs", type=int, default=8, help="pairs of volumes of --queries to use")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bars = Bars()
    if options.stores:
        compare_answers(list(islice(stored_cases(options.stores, options.queries), options.num_pairs)), bars)
    else:
        case = synthetic_case(has_semantic=options.semantic)
        compare_speed(case, bars, repeats=options.repeats)
        compare_answers([case], bars)
        compare_stores(case.target, bars)
    sys.exit(bars.num_missed > 0)


def synthetic_case(*, has_semantic: bool) -> Case:
    """Return two volumes of the same anatomy, the target smoothly deformed, both with noise."""

    def warped(points_mm):
        return points_mm + 5.0 * np.sin(points_mm[..., ::-1] / 40.0)

    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    kind = {"num_channels": NUM_CHANNELS, "has_semantic": has_semantic, "noise": NOISE}
    template = synthetic_volume(affine, SHAPE, volume_id="template", **kind)
    target = synthetic_volume(affine, SHAPE, volume_id="target", anatomy_of=warped, **kind)
    # Queries are where the anatomy of some point of the target is found in the template.
    truth_vox = np.random.default_rng(0).uniform(16, np.array(SHAPE) - 16, size=(1000, 3))
    truth_mm = transform_points(affine, truth_vox)
    return Case(template, target, warped(truth_mm), truth_mm)


def stored_cases(manifest: Path, queries_path: Path):
    """Yield one case per pair of volumes in a queries file."""
    stores, queries = read_store_manifest(manifest), read_queries(queries_path)
    for (target_id, template_id), rows in queries.groupby(["target_id", "template_id"]):
        points_mm, truth_mm = (
            rows[[f"{kind}_{axis}_mm" for axis in "xyz"]].to_numpy() for kind in ("query", "truth")
        )
        yield Case(open_store(stores[template_id]), open_store(stores[target_id]), points_mm, truth_mm)


def dense_heads(volume: EmbeddedVolume) -> dict[str, torch.Tensor]:
    """Return the heads as the published way keeps them: (C, Z, Y, X) float32."""
    heads = {"fine": volume.fine, "coarse": volume.coarse, "semantic": volume.semantic}
    return {
        name: torch.from_numpy(
            np.ascontiguousarray(decode(head.values, scale=head.scale).transpose(3, 0, 1, 2))
        )
        for name, head in heads.items()
        if head is not None
    }


def stride_ratio(volume: EmbeddedVolume) -> tuple[int, ...]:
    """Return how many fine cells a coarse cell spans along z, y and x."""
    return tuple(
        coarse // fine for coarse, fine in zip(volume.coarse.stride_zyx, volume.fine.stride_zyx, strict=True)
    )


def direct_cells(queries: QueryVectors, target: EmbeddedVolume) -> np.ndarray:
    """Return the flat fine cell of the best match of every query, the direct way."""
    heads = dense_heads(target)
    vectors = {name: torch.from_numpy(getattr(queries, name)) for name in heads}
    cells = []
    for start in range(0, len(queries.fine), DIRECT_QUERIES_AT_ONCE):
        part = {name: rows[start : start + DIRECT_QUERIES_AT_ONCE] for name, rows in vectors.items()}
        cells.append(match_as_published(part, heads, stride_ratio=stride_ratio(target))[0].numpy())
    return np.concatenate(cells)


def first(queries: QueryVectors, num_queries: int) -> QueryVectors:
    """Return the first queries."""
    semantic = None if queries.semantic is None else queries.semantic[:num_queries]
    return QueryVectors(queries.fine[:num_queries], queries.coarse[:num_queries], semantic)


def cpu_seconds(work: Callable, *arguments, **keywords) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    work(*arguments, **keywords)
    return time.process_time() - started


def compare_speed(case: Case, bars: Bars, *, repeats: int) -> None:
    """Time all ways for 1, 100 and 1000 queries on prepared targets, and measure the memory of 1000."""
    queries = query_vectors(case.template, case.points_mm, interpolation="nearest")
    heads, ratio_zyx = dense_heads(case.target), stride_ratio(case.target)
    for settings in (EXACT, PRUNED):
        seconds = cpu_seconds(prepare_target, case.target, settings=settings)
        print(f"preparing a target, {settings.search}: {seconds:.2f} CPU s")
    with PeakMemory() as peak:
        prepared = {
            settings.search: prepare_target(case.target, settings=settings) for settings in (EXACT, PRUNED)
        }
    scan_mb = prepared["pruned"].scan.nbytes / MB
    print(f"a prepared target keeps {scan_mb:.0f} MB for the scan, {peak() / MB:.0f} MB at most while made")
    for num_queries in (1, 100):
        asked = first(queries, num_queries)
        times = {"direct": [], "exact": [], "pruned": []}
        for _ in range(repeats):
            times["direct"].append(
                cpu_seconds(match_as_published, as_tensors(asked, heads), heads, stride_ratio=ratio_zyx)
            )
            for name in ("exact", "pruned"):
                times[name].append(cpu_seconds(CellSearch(prepared[name]).best_cells, asked))
        for name, seconds in times.items():
            print(f"{num_queries} queries, {name}: {1000 * np.median(seconds) / num_queries:.1f} ms each")
        for name in ("exact", "pruned"):
            ratio = np.median([slow / fast for slow, fast in zip(times["direct"], times[name], strict=True)])
            if name == "pruned":
                bars.require(
                    f"{num_queries} queries, direct / pruned", ratio, at_least=SPEED_BARS[num_queries]
                )
            else:
                print(f"     {num_queries} queries, direct / exact: {ratio:.3g}")
    del heads
    for name in ("exact", "pruned"):
        ms = np.median([cpu_seconds(CellSearch(prepared[name]).best_cells, queries) for _ in range(repeats)])
        with PeakMemory() as peak:
            CellSearch(prepared[name]).best_cells(queries)
        if name == "pruned":
            bars.require("1000 queries, pruned, ms each", ms, at_most=MAX_MS_OF_1000)
        else:
            print(f"     1000 queries, exact, ms each: {ms:.3g}")
        bars.require(f"1000 queries, {name}, MB added", peak() / MB, at_most=MAX_MEMORY_MB_OF_1000)


def as_tensors(queries: QueryVectors, heads: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the query vectors of the heads as tensors."""
    return {name: torch.from_numpy(getattr(queries, name)) for name in heads}


def compare_answers(cases: list[Case], bars: Bars) -> None:
    """Compare the answers of both searches, and of int8 stores, with those of the direct way."""
    same: dict[str, list[np.ndarray]] = {"exact": [], "pruned": [], "int8": []}
    errors: dict[str, list[np.ndarray]] = {"direct": [], "exact": [], "pruned": [], "int8": []}
    for case in cases:
        points_mm, truth_mm = case.points_mm[:NUM_AGREEMENT_QUERIES], case.truth_mm[:NUM_AGREEMENT_QUERIES]
        queries = query_vectors(case.template, points_mm, interpolation="nearest")
        shape = case.target.fine.shape_zyx
        z, y, x = np.unravel_index(direct_cells(queries, case.target), shape)
        expected = np.stack([x, y, z], axis=1)
        found = {
            "direct": expected,
            "exact": CellSearch(prepare_target(case.target, settings=EXACT)).best_cells(queries).cells_xyz,
            "pruned": CellSearch(prepare_target(case.target, settings=PRUNED)).best_cells(queries).cells_xyz,
            "int8": int8_cells(case, points_mm),
        }
        for name, cells in found.items():
            answer_mm = transform_points(case.target.fine.cell_affine, cells)
            errors[name].append(np.linalg.norm(answer_mm - truth_mm, axis=1))
            if name in same:
                same[name].append((cells == expected).all(axis=1))
    direct_mm = np.concatenate(errors["direct"])
    print(
        f"direct: median error {np.median(direct_mm):.2f} mm, mean {direct_mm.mean():.2f}, {len(direct_mm)} queries"
    )
    for name, parts in same.items():
        mm = np.concatenate(errors[name])
        print(f"{name}: median error {np.median(mm):.2f} mm, mean {mm.mean():.2f}")
        bars.require(f"{name}, same cell as direct", np.concatenate(parts).mean(), at_least=MIN_SAME[name])
        change_mm = max(abs(np.median(mm) - np.median(direct_mm)), abs(mm.mean() - direct_mm.mean()))
        bars.require(f"{name}, change of median or mean error, mm", change_mm, at_most=MAX_ERROR_CHANGE_MM)


def int8_cells(case: Case, points_mm: np.ndarray) -> np.ndarray:
    """Return the cells that exact search finds when template and target are kept in int8."""
    template, target = as_int8(case.template), as_int8(case.target)
    queries = query_vectors(template, points_mm, interpolation="nearest")
    return CellSearch(prepare_target(target, settings=EXACT)).best_cells(queries).cells_xyz


def as_int8(volume: EmbeddedVolume) -> EmbeddedVolume:
    """Return the embedding as an int8 store keeps it."""
    vectors = [
        None if head is None else decode(head.values, scale=head.scale)
        for head in (volume.fine, volume.coarse, volume.semantic)
    ]
    return embedded_volume(
        *vectors,
        fine_stride_vox=volume.fine.stride_vox,
        coarse_stride_vox=volume.coarse.stride_vox,
        volume_id=volume.volume_id,
        shape=volume.shape,
        affine=volume.affine,
        origin=volume.origin,
        settings=StoreSettings(format="int8"),
    )


def match_stored(path: Path) -> None:
    """Match one point of a stored volume with itself, from opening the file on."""
    volume = open_store(path)
    match_nearest(volume, open_store(path), transform_points(volume.affine, [[96, 96, 128]]), settings=EXACT)


def compare_stores(volume: EmbeddedVolume, bars: Bars) -> None:
    """Measure size, writing, opening and reading of stores."""
    heads = [head for head in (volume.fine, volume.coarse, volume.semantic) if head is not None]
    float32_bytes = 4 * sum(head.values.size for head in heads)
    with tempfile.TemporaryDirectory() as folder:
        for name, embedded in (("fp16", volume), ("int8", as_int8(volume))):
            path = Path(folder) / f"{name}.safetensors"
            seconds = {
                "write": cpu_seconds(write_store, path, embedded),
                "open": cpu_seconds(open_store, path),
                "read the fine head": cpu_seconds(np.array, open_store(path).fine.values),
                "cold exact match of one query": cpu_seconds(match_stored, path),
            }
            size = path.stat().st_size
            print(f"{name}: {size / MB:.0f} MB, {size / float32_bytes:.4f} of float32; CPU seconds to")
            print("     " + ", ".join(f"{work} {value:.4f}" for work, value in seconds.items()))
    bars.require("int8 store / float32 heads", size / float32_bytes, at_most=MAX_INT8_SIZE)


if __name__ == "__main__":
    main()
