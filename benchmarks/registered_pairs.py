"""Register the pairs of a finished head-and-neck run with several builds of deeds, from the same starts.

    python -m benchmarks.registered_pairs --results results/headneck_ct --split test --program NEW/deeds OLD/deeds

The first build is followed by the descent below a voxel, as the settings say; the others, of before there was one,
are not. It needs the model, the stores, the prepared volumes and the landmarks of `configs/headneck_ct.yaml`. The
ways are the two registrations of `configs/headneck_registration.yaml`, of which the first does what the verb
`register` does. Prints a line a way and a program: errors in mm of all landmarks and of the headline over all
pairs, mean Dice of the organs, how far their surfaces are apart (mean and 95th percentile), folding, and the
processor time of the program (`register` and `field`) in seconds a pair. Then by how much the first build differs
from each other, with 95 % intervals by a paired bootstrap over patients. `--peers` adds greedy and convexAdam,
which begin with the scans themselves after the same start (benchmarks/peer_registration.py says how they are
installed). `--output` keeps the figures of every pair, and a second call goes on from there.

`--fields FOLDER` also scores what the workflow of another commit made of these pairs by starts and settings of its own:
fields in the folder's `<fixed>__<moving>/displacement_field.nii.gz`, as in `results/headneck_ct/registrations/
embedding_start`. They have no processor time here.
"""

import argparse
import json
import resource
import tempfile
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from anatomical_embedding.datasets.split import assign_splits
from anatomical_embedding.embedding.store import open_store
from anatomical_embedding.embedding.store_manifest import read_store_manifest
from anatomical_embedding.evaluation.bootstrap import draw_subject_counts, percentile_interval
from anatomical_embedding.evaluation.registration.landmark_errors import jacobian_determinant
from anatomical_embedding.evaluation.registration.organ_overlap import measure_organs
from anatomical_embedding.evaluation.statistics import error_metrics, pair_weights
from anatomical_embedding.landmark_file import read_landmarks
from anatomical_embedding.matching.grid_points import match_grid
from anatomical_embedding.registration.deformation import deform
from anatomical_embedding.registration.displacement_field import (
    DisplacementField,
    Sampling,
    read_field,
    resample_all_through,
)
from anatomical_embedding.registration.guided_start import GuidedStart, find_start
from anatomical_embedding.registration.shared_view import seen_from
from anatomical_embedding.settings.pipeline import read_pipeline_settings
from anatomical_embedding.settings.registration import DeedsSettings, GuideSettings, MatchGridSettings
from anatomical_embedding.settings.run_file import read_run_files
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.volume import Volume, VolumeHeader
from benchmarks.peer_registration import PROGRAMS, registered_by_peers

RUN_FILES = (Path("configs/headneck_ct.yaml"), Path("configs/headneck_registration.yaml"))
DATASET = "headneck_ct"
HEADLINE = (
    *("brainstem_centroid", "brainstem_top", "brainstem_bottom"),
    *("parotid_left_centroid", "parotid_right_centroid", "larynx_centroid", "mandible_centroid"),
)
"""The landmarks that anatomy fixes, as in `configs/headneck_ct.yaml`."""
RESAMPLES = 2000
PEER_SPACING_MM = 3.0
"""Of the grid that other programs see these scans on, whose voxels are 4 to 5 x 4 to 5 x 2.5 to 3 mm."""


@dataclass(frozen=True)
class Way:
    """How a pair is registered; without a guide it begins as `deeds.start` says."""

    name: str
    guide: GuideSettings | None
    deeds: DeedsSettings

    def without_descent(self) -> "Way":
        """Return what older builds did."""
        return replace(self, deeds=self.deeds.model_copy(update={"descent": None}))


class FinishedRun:
    """The files of a run that the registrations need."""

    def __init__(self, results: Path) -> None:
        self.settings = read_pipeline_settings(read_run_files(RUN_FILES))
        self.volumes = results / "volumes" / DATASET
        self.stores = read_store_manifest(results / "embeddings" / "sam" / "trained" / f"{DATASET}.csv")
        self.landmarks: dict[str, dict[str, tuple[float, float, float]]] = {}
        for point in read_landmarks(results / "landmarks" / f"{DATASET}.csv"):
            place = (point.x_mm, point.y_mm, point.z_mm)
            self.landmarks.setdefault(point.volume_id, {})[point.landmark] = place

    def pairs(self, split: str) -> list[tuple[str, str]]:
        """Return all ordered pairs of the volumes of a split."""
        splits = assign_splits(sorted(self.landmarks), settings=self.settings.datasets[DATASET].split)
        return list(permutations([name for name in sorted(self.landmarks) if splits[name] == split], 2))

    def image(self, name: str) -> Volume:
        """Return a prepared volume."""
        return read_volume(self.volumes / f"{name}.nii")

    def scan(self, name: str) -> Volume:
        """Return the scan that a prepared volume was made of."""
        root = Path(str(self.settings.datasets[DATASET].root))
        return read_volume(root / name / "ct.nii.gz")

    def mask(self, name: str, kind: str) -> Volume:
        """Return the body mask or the labels of a prepared volume."""
        return read_volume(self.volumes / f"{name}.{kind}.nii", require_contrast=False)

    def start(self, fixed: str, moving: str, guide: GuideSettings) -> GuidedStart:
        """Return the start that the embeddings of a pair give."""
        bodies = {"fixed_body": self.mask(fixed, "body_mask"), "moving_body": self.mask(moving, "body_mask")}
        found = match_grid(
            open_store(self.stores[fixed]),
            open_store(self.stores[moving]),
            **bodies,
            settings=MatchGridSettings(grid=guide.grid, matching=self.settings.matching),
        )
        return find_start(found, **bodies, settings=guide.fit, images=(self.image(fixed), self.image(moving)))

    def ways(self) -> list[Way]:
        """Return the ways that are compared."""
        return [
            Way(name, registration.guide, registration.deeds)
            for name, registration in self.settings.registrations.items()
            if name != DATASET
        ]


def child_seconds() -> float:
    """Return the processor time of all programs that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def registered(
    run: FinishedRun, way: Way, program: Path, pair: tuple[str, str], start: GuidedStart | None
) -> dict[str, Any]:
    """Return errors, overlap, folding and processor time of one pair."""
    fixed, moving = (run.image(name) for name in pair)
    before = child_seconds()
    with tempfile.TemporaryDirectory() as folder:
        found = deform(
            program,
            fixed,
            moving,
            matrix=None if start is None else start.matrix,
            moving_labels=None,
            settings=way.deeds,
            output_stem=Path(folder) / "pair",
            threads=1,
            modalities=("ct", "ct"),
            with_image=True,  # builds of before know nothing else
        )
    seconds = child_seconds() - before
    field = found.field.before(np.eye(4) if start is None else start.matrix)
    return scored(run, pair, field) | {"seconds": seconds}


def registered_elsewhere(
    run: FinishedRun, folder: Path | None, pairs: list[tuple[str, str]]
) -> dict[str, dict[str, Any]]:
    """Return the same of the fields that another run has made, without times; nothing without a folder."""
    if folder is None:
        return {}
    found = {}
    for pair in pairs:
        field = read_field(folder / "__".join(pair) / "displacement_field.nii.gz")
        found["/".join(pair)] = scored(run, pair, field) | {"seconds": float("nan")}
    return {str(folder): found}


def registered_by_others(
    run: FinishedRun, python: Path, pair: tuple[str, str], start: GuidedStart
) -> dict[str, dict[str, Any]]:
    """Return the same of every other program, which begins with the scans themselves as the start lays them."""
    fixed, moving = (run.scan(name) for name in pair)
    found = registered_by_peers(
        python,
        fixed,
        seen_from(moving, start.matrix),
        box=run.image(pair[0]),
        spacing_mm=PEER_SPACING_MM,
    )
    return {
        peer.program: scored(run, pair, peer.field.before(start.matrix)) | {"seconds": peer.cpu_s}
        for peer in found
    }


def scored(run: FinishedRun, pair: tuple[str, str], field: DisplacementField) -> dict[str, Any]:
    """Return errors, overlap and folding of a pair."""
    names = sorted(run.landmarks[pair[0]].keys() & run.landmarks[pair[1]].keys())
    places = [np.array([run.landmarks[volume][name] for name in names]) for volume in pair]
    errors = np.linalg.norm(field.moving_points(places[0]) - places[1], axis=1)
    labels, truth = run.mask(pair[1], "labels"), run.mask(pair[0], "labels")
    grid = VolumeHeader(truth.shape, truth.affine)
    (after,) = resample_all_through(field, [Sampling(labels, True, 0)], grid=grid)
    organs = measure_organs(
        after.volume,
        after.volume,
        truth,
        is_shared=after.is_reached,
        organs=run.settings.datasets[DATASET].organs,
    )
    dice = [organ.dice_after for organ in organs if organ.dice_after is not None]
    apart = [
        (organ.mean_distance_mm_after, organ.p95_distance_mm_after)
        for organ in organs
        if organ.mean_distance_mm_after is not None
    ]
    return {
        "errors_mm": dict(zip(names, errors.tolist(), strict=True)),
        "dice": float(np.mean(dice)),
        "surfaces_mm": np.mean(apart, axis=0).tolist(),
        "folding": float((jacobian_determinant(field) <= 0.0).mean()),
    }


def figures(pairs: list[dict[str, Any]]) -> dict[str, str]:
    """Return the figures over pairs: heading to value."""
    every = [list(pair["errors_mm"].values()) for pair in pairs]
    headline = [[pair["errors_mm"][name] for name in HEADLINE if name in pair["errors_mm"]] for pair in pairs]
    shown = {"n": str(len(pairs))}
    for name, errors in (("all", np.concatenate(every)), ("headline", np.concatenate(headline))):
        shown |= {
            f"{name} median": f"{np.median(errors):.2f}",
            f"{name} mean": f"{errors.mean():.2f}",
            f"{name} p90": f"{np.percentile(errors, 90):.2f}",
        }
    medians = np.array([np.median(errors) for errors in every])
    apart = np.mean([pair["surfaces_mm"] for pair in pairs], axis=0)
    seconds = np.array([pair["seconds"] for pair in pairs])
    return shown | {
        "of medians": f"{np.median(medians):.2f}",
        ">10 mm": f"{(medians > 10).mean():.0%}",
        ">25 mm": str((medians > 25).sum()),
        "Dice": f"{np.mean([pair['dice'] for pair in pairs]):.3f}",
        "surfaces": f"{apart[0]:.2f}",
        "their p95": f"{apart[1]:.2f}",
        "folding": f"{max(pair['folding'] for pair in pairs):.4%}",
        "CPU s": f"{np.median(seconds):.2f}",
        "most": f"{seconds.max():.2f}",
    }


def kept_results(path: Path | None) -> dict[str, Any]:
    """Return what an earlier call wrote."""
    return json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--split", choices=["train", "validation", "test"], required=True)
    parser.add_argument("--program", type=Path, nargs="+", required=True, help="builds of deeds")
    parser.add_argument("--peers", type=Path, help="Python that other programs are installed for")
    parser.add_argument(
        "--fields", type=Path, help="registrations of these pairs by another commit's workflow"
    )
    parser.add_argument("--ways", nargs="*", help="only these registrations of the run file; default: all")
    parser.add_argument("--num-pairs", type=int, help="of the split, drawn by a seed; default: all")
    parser.add_argument("--output", type=Path, help="figures of every pair (JSON)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run = FinishedRun(options.results)
    pairs = run.pairs(options.split)
    if options.num_pairs is not None:
        pairs = [pairs[n] for n in np.random.default_rng(1).permutation(len(pairs))[: options.num_pairs]]
    ways = [way for way in run.ways() if options.ways is None or way.name in options.ways]
    compare(
        run, ways, options.program, pairs, peers=options.peers, fields=options.fields, output=options.output
    )


def compare(
    run: FinishedRun,
    ways: list[Way],
    programs: list[Path],
    pairs: list[tuple[str, str]],
    *,
    peers: Path | None,
    fields: Path | None,
    output: Path | None,
) -> None:
    """Register all pairs in all ways by all programs in turn, and print the figures."""
    results = kept_results(output) | registered_elsewhere(run, fields, pairs)
    for way in ways:
        for pair in pairs:
            name = "/".join(pair)
            missing = [key for key in keys_of(way, programs) if name not in results.get(key[0], {})]
            others = (
                peers and way.guide and any(name not in results.get(key, {}) for key in keys_of_peers(way))
            )
            start = run.start(*pair, way.guide) if way.guide and (missing or others) else None
            for key, program in missing:
                done = way if program == programs[0] else way.without_descent()
                results.setdefault(key, {})[name] = registered(run, done, program, pair, start)
            if others and start:
                for key, found in zip(
                    keys_of_peers(way), registered_by_others(run, peers, pair, start).values(), strict=True
                ):
                    results.setdefault(key, {})[name] = found
            if output and (missing or others):
                output.write_text(json.dumps(results), encoding="utf-8")
    keys = {way: all_keys_of(way, programs, peers=peers, fields=fields) for way in ways}
    rows = {
        key: figures([results[key]["/".join(pair)] for pair in pairs])
        for of_way in keys.values()
        for key in of_way
    }
    print(pd.DataFrame.from_dict(rows, orient="index").to_string())
    for way in ways:
        first, *others = [[results[key]["/".join(pair)] for pair in pairs] for key in keys[way]]
        for key, other in zip(keys[way][1:], others, strict=True):
            print(f"{keys[way][0]} less {key}:")
            for name, text in differences(first, other, pairs).items():
                print(f"  {name:<16} {text}")


def differences(
    first: list[dict[str, Any]], other: list[dict[str, Any]], pairs: list[tuple[str, str]]
) -> dict[str, str]:
    """Return by how much the figures of one build are above those of another: heading to value and interval."""
    patients = sorted({name for pair in pairs for name in pair})
    fixed, moving = np.array([[patients.index(name) for name in pair] for pair in pairs]).T
    counts = draw_subject_counts(len(patients), num_resamples=RESAMPLES, generator=np.random.default_rng(1))
    drawn = pair_weights(
        np.vstack([np.ones_like(counts[:1]), counts]), template_index=fixed, target_index=moving
    )
    drawn = drawn[drawn.any(axis=1)]  # the first row has every pair once
    headline = [[name for name in HEADLINE if name in pair["errors_mm"]] for pair in first]
    of_pair = np.repeat(np.arange(len(pairs)), [len(names) for names in headline])
    samples = []
    for build in (first, other):
        errors = [
            pair["errors_mm"][name] for pair, names in zip(build, headline, strict=True) for name in names
        ]
        metrics = error_metrics(np.array(errors), weights=drawn[:, of_pair])
        of_pairs = np.array([[pair["dice"], *pair["surfaces_mm"]] for pair in build])
        means = (drawn @ of_pairs / drawn.sum(axis=1, keepdims=True)).T
        named = {"Dice": means[0], "surfaces": means[1], "their p95": means[2]}
        samples.append(
            {f"headline {name}": metrics[name] for name in ("median_mm", "mean_mm", "p90_mm")} | named
        )
    texts = {}
    for name, values in samples[0].items():
        gains = values - samples[1][name]
        low, high = percentile_interval(gains[1:], confidence=0.95)
        texts[name] = f"{gains[0]:+.3f} ({low:+.3f} to {high:+.3f})"
    return texts


def keys_of(way: Way, programs: list[Path]) -> list[tuple[str, Path]]:
    """Return the name of each result of a way, with its program."""
    return [(f"{way.name}, {program}", program) for program in programs]


def all_keys_of(way: Way, programs: list[Path], *, peers: Path | None, fields: Path | None) -> list[str]:
    """Return the names of all results that a way is shown with, its own first."""
    of_peers = keys_of_peers(way) if peers and way.guide else []
    return [key for key, _ in keys_of(way, programs)] + of_peers + ([str(fields)] if fields else [])


def keys_of_peers(way: Way) -> list[str]:
    """Return the name of each result of a way's start by another program."""
    return [f"{way.name}, {program}" for program in PROGRAMS]


if __name__ == "__main__":
    main()
