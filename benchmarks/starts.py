"""Whether starts of registrations are right, and whether those that are not are called failed.

    python -m benchmarks.starts score /tmp/bodies.csv --phantoms 20 --seed 101 --model MODEL.safetensors
    python -m benchmarks.starts score /tmp/heads.csv --warp large --half development --model MODEL.safetensors
    python -m benchmarks.starts score /tmp/patients.csv --patients RESULTS --model MODEL.safetensors
    python -m benchmarks.starts report /tmp/bodies.csv /tmp/heads.csv
    python -m benchmarks.starts match /tmp/starts/bodies --phantoms 20 --seed 101 --model MODEL.safetensors
    python -m benchmarks.starts judge /tmp/starts/* --fit '{"min_inliers": 20}'

`score` makes pairs of CTs whose correspondence is known (`benchmarks.start_pairs`: synthetic bodies, patients of
`configs/known_warps.yaml` before and after a known warp, or different patients of a run with their landmarks), cuts and
turns them, starts them as `register` does by the recipe `guides/small`, and adds a row a pair to a table; pairs that
are in it already are left. Nothing is registered. `match` keeps the matches of such pairs instead, a file a pair, and
`judge` fits their starts anew, by other settings of the fit. `report` and `judge` print a line a set and kind, a line a
kind with the 95 % intervals, then all and the pairs that went wrong. A start is right if its median error in the shared
body is below 25 mm; `found` are right starts that were believed, `false alarms` right ones called failed, `caught`
wrong ones called failed. They exit with 1 when a bar is missed: found 97 % of the pairs that share something, caught
95 %, false alarms 2 %.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray
from scipy.stats import binomtest

from anatomical_embedding import api
from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.embedding.store import Origin
from anatomical_embedding.registration.correspondences import Correspondences
from anatomical_embedding.registration.guided_start import GuidedStart, agreed_map
from anatomical_embedding.settings.phantom import PhantomSettings
from anatomical_embedding.settings.registration import AffineFitSettings
from anatomical_embedding.usage.scans import embed_raw_scan
from anatomical_embedding.usage.turned_scans import MatchedScans, number_of_best, try_ways, turn_degrees
from anatomical_embedding.volumes.affine import Points, invert_affine, transform_points
from anatomical_embedding.volumes.prepare import PreparedVolume
from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions
from anatomical_embedding.volumes.volume import Volume
from benchmarks.known_warps import yardstick
from benchmarks.start_pairs import KINDS, KnownPair, changed, patient_pairs, phantom_pairs, warped_pairs

RECIPES = REPOSITORY / "anatomical_embedding" / "settings" / "recipes"
RIGHT_MM = 25.0
LEAST_POINTS = 4
LEAST_FOUND, LEAST_CAUGHT, MOST_FALSE_ALARMS = 0.97, 0.95, 0.02

Embedded = dict[int, tuple[Volume, PreparedVolume, api.EmbeddedScan]]
"""Scans that were embedded, by their identity."""


def main() -> int:
    """Score pairs, or match them and judge their starts; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(dest="step", required=True)
    for step, target, what in (
        ("score", "table", "make pairs and judge their starts"),
        ("match", "folder", "make pairs and match them"),
    ):
        of_pairs = steps.add_parser(step, help=what)
        of_pairs.add_argument(target, type=Path)
        of_pairs.add_argument("--model", type=Path, required=True, help="packaged model")
        of_pairs.add_argument("--phantoms", type=int, default=0, help="number of synthetic bodies")
        of_pairs.add_argument("--seed", type=int, default=101, help="of the synthetic bodies")
        of_pairs.add_argument("--patients", type=Path, help="results of configs/headneck_sampp.yaml")
        of_pairs.add_argument("--warp", default="large", help="of configs/known_warps.yaml")
        of_pairs.add_argument("--scans", choices=("headneck_ct", "torso_ct"), default="headneck_ct")
        of_pairs.add_argument("--half", choices=("development", "test"), default="development")
        of_pairs.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    report_step = steps.add_parser("report", help="print what became of scored pairs")
    report_step.add_argument("tables", type=Path, nargs="+")
    judge_step = steps.add_parser("judge", help="fit and judge the starts of matched pairs")
    judge_step.add_argument("folders", type=Path, nargs="+")
    judge_step.add_argument("--fit", default="{}", help="settings of the fit to change, as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.step == "score":
        score_all(named_pairs(options), api.load_model(options.model), options.table, kinds=options.kinds)
        return 0
    if options.step == "match":
        match_all(named_pairs(options), api.load_model(options.model), options.folder, kinds=options.kinds)
        return 0
    if options.step == "report":
        return 0 if is_good(pd.concat(map(read_table, options.tables), ignore_index=True)) else 1
    settings = fit_settings(json.loads(options.fit))
    paths = [path for folder in options.folders for path in sorted(folder.glob("*.npz"))]
    return 0 if is_good(pd.DataFrame([judged(path, settings) for path in paths])) else 1


def named_pairs(options: argparse.Namespace) -> Iterator[tuple[str, KnownPair]]:
    """Return the pairs that the command line asks for."""
    if options.patients:
        split = "validation" if options.half == "development" else "test"
        return patient_pairs(options.patients, dataset="headneck_ct", split=split)
    if not options.phantoms:
        return warped_pairs(yardstick(), half=options.half, warp_name=options.warp, folder=options.scans)
    entry = yaml.safe_load((RECIPES / "entries" / "phantom.yaml").read_text(encoding="utf-8"))
    entry |= {"kind": "phantom", "num_subjects": options.phantoms, "seed": options.seed}
    entry |= {"modalities": ["ct"], "organs": []}
    entry["split"] = {"num_test": 0, "num_validation": 0, "seed": 1}
    return phantom_pairs(PhantomSettings.model_validate_json(json.dumps(entry)))


def fit_settings(changes: dict[str, object]) -> AffineFitSettings:
    """Return how the recipe `guides/small` fits, with changes."""
    guide = yaml.safe_load((RECIPES / "guides" / "small.yaml").read_text(encoding="utf-8"))
    return AffineFitSettings.model_validate_json(json.dumps(guide["fit"] | changes))


def score_all(
    pairs: Iterator[tuple[str, KnownPair]], model: api.Model, path: Path, *, kinds: tuple[str, ...]
) -> None:
    """Add a row to a table for every pair and kind, those that are there already excepted."""
    scored = set(read_table(path)["name"]) if path.exists() else set()
    settings = fit_settings({})
    for name, pair in pairs:
        embedded: Embedded = {}
        for kind in kinds:
            stem, seen = f"{name}.{kind}", changed(pair, kind)
            if is_scored(seen, kind) and stem not in scored:
                _, tried = ways_of(seen, model, stem, embedded=embedded, settings=settings)
                row = {"set": path.stem, "name": stem, "kind": kind} | outcome(
                    [matched for matched, _ in tried],
                    [start for _, start in tried],
                    fixed_mm=seen.fixed_mm,
                    moving_mm=seen.moving_mm,
                    settings=settings,
                )
                pd.DataFrame([row]).to_csv(path, mode="a", header=not path.exists(), index=False)
                print(stem, flush=True)


def read_table(path: Path) -> pd.DataFrame:
    """Return what `score` wrote."""
    return pd.read_csv(path, keep_default_na=False)


def match_all(
    pairs: Iterator[tuple[str, KnownPair]], model: api.Model, folder: Path, *, kinds: tuple[str, ...]
) -> None:
    """Write the matches of every pair and kind, those that are there already excepted."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, pair in pairs:
        embedded: Embedded = {}
        for kind in kinds:
            path, seen = folder / f"{name}.{kind}.npz", changed(pair, kind)
            if is_scored(seen, kind) and not path.exists():
                write_matches(seen, model, path, embedded=embedded)
                print(path.stem, flush=True)


def is_scored(pair: KnownPair, kind: str) -> bool:
    """Tell whether enough is known of what a changed pair shares."""
    return kind == "apart" or len(pair.fixed_mm) >= LEAST_POINTS


def ways_of(
    pair: KnownPair, model: api.Model, name: str, *, embedded: Embedded, settings: AffineFitSettings
) -> tuple[PreparedVolume, list[tuple[MatchedScans, GuidedStart]]]:
    """Return the prepared fixed scan and the ways that `register` tries; scans embedded before are not again."""
    scans = []
    for volume in (pair.fixed, pair.moving):
        if id(volume) not in embedded:
            raw = RawScan(Path(name), volume, "ct", (), ReadingOptions(modality="ct"))
            prepared, scan = embed_raw_scan(
                model, raw, origin=Origin(model.card.checkpoint_sha256, "", ""), within_body=True
            )
            embedded[id(volume)] = (volume, prepared, scan)  # holds the volume, so that its id stays its own
        scans.append(embedded[id(volume)][1:])
    return scans[0][0], try_ways(model, *scans, fit=settings)


def write_matches(pair: KnownPair, model: api.Model, path: Path, *, embedded: Embedded) -> None:
    """Write the matches, the body masks and the truth of one pair."""
    fixed, tried = ways_of(pair, model, path.stem, embedded=embedded, settings=fit_settings({}))
    content = {
        "truth_fixed_mm": pair.fixed_mm,
        "truth_moving_mm": pair.moving_mm,
        "num_tries": len(tried),
        **arrays_of("fixed", fixed),
    }
    for number, (matched, _) in enumerate(tried):
        matches = {name: getattr(matched.matches, name) for name in Correspondences.__dataclass_fields__}
        content |= {f"{name}_{number}": array for name, array in matches.items()}
        content |= {f"turn_{number}": matched.turn, **arrays_of(f"moving_{number}", matched.moving)}
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **content)
    part.replace(path)


def arrays_of(name: str, prepared: PreparedVolume) -> dict[str, NDArray]:
    """Return the arrays of a prepared scan that a start needs."""
    image, body = prepared.image, prepared.body_mask
    return {f"{name}_image": image.array, f"{name}_body": body.array, f"{name}_affine": image.affine}


def prepared_in(content: dict[str, NDArray], name: str) -> PreparedVolume:
    """Return the prepared scan whose arrays a file holds."""
    image, body = (Volume(content[f"{name}_{what}"], content[f"{name}_affine"]) for what in ("image", "body"))
    return PreparedVolume(image, body, None, {}, ())


def judged(path: Path, settings: AffineFitSettings) -> dict[str, object]:
    """Return what became of one pair whose matches were kept."""
    with np.load(path) as held:
        content = dict(held)
    fixed = prepared_in(content, "fixed")
    tried = []
    for number in range(int(content["num_tries"])):
        fields = {name: content[f"{name}_{number}"] for name in Correspondences.__dataclass_fields__}
        moving, turn = prepared_in(content, f"moving_{number}"), content[f"turn_{number}"]
        tried.append(MatchedScans(Correspondences(**fields), moving, turn, is_retried=number > 0))
    of_pair = {"set": path.parent.name, "name": path.stem, "kind": path.stem.rsplit(".", 1)[1]}
    return of_pair | outcome(
        tried,
        [matched.start(fixed, settings=settings) for matched in tried],
        fixed_mm=content["truth_fixed_mm"],
        moving_mm=content["truth_moving_mm"],
        settings=settings,
    )


def outcome(
    tried: Sequence[MatchedScans],
    starts: Sequence[GuidedStart],
    *,
    fixed_mm: Points,
    moving_mm: Points,
    settings: AffineFitSettings,
) -> dict[str, object]:
    """Return the error of the fitted map of one pair, whether it was believed, and why not.

    Of the turns that the moving scan was tried after, that with the start counts which `register` takes; where none is
    believed, that with the smallest error. It is infinite where nothing is shared.
    """
    number = number_of_best(starts)
    start = starts[number]
    error = np.inf
    if len(fixed_mm):
        maps = [start.matrix]
        if start.status != "found":
            agreed = [(matched.turn, agreed_map(matched.matches, settings=settings)) for matched in tried]
            maps = [invert_affine(turn) @ matrix for turn, matrix in agreed if matrix is not None]
        distances = (
            np.linalg.norm(transform_points(matrix, fixed_mm) - moving_mm, axis=1) for matrix in maps
        )
        error = min((float(np.median(distance)) for distance in distances), default=np.inf)
    turned = [turn_degrees(matched.turn, matched.moving.image) for matched in tried]
    return {
        "num_shared": len(fixed_mm),
        "error_mm": error,
        "is_right": error < RIGHT_MM,
        "is_believed": start.status == "found",
        "evidence": start.evidence,
        "num_kept": start.num_kept,
        "num_inliers": start.num_inliers,
        "number": number,
        "tries": " ".join(
            f"{degrees:.0f}:{way.evidence:.2f}" for degrees, way in zip(turned, starts, strict=True)
        ),
        "reason": start.reason,
    }


def is_good(table: pd.DataFrame) -> bool:
    """Print a line a set and kind, a line a kind with intervals, then all, and return whether every bar is met."""
    print(
        f"{'set':<20} {'kind':<10} {'pairs':>5} {'right':>6} {'found':>6} {'false alarms':>13} {'caught':>9}"
    )
    for (of_set, kind), rows in table.groupby(["set", "kind"]):
        print(f"{of_set:<20} {kind:<10} {figures(rows)}")
    print(f"{'all':<31} {figures(table)}")
    for kind, rows in table.groupby("kind"):
        print(kind, *(f"{name} {share_text(of)}" for name, of in shares(rows).items()), sep="; ")
    of_all = shares(table)
    for name, of in of_all.items():
        print(f"{name:<12} {share_text(of)}")
    for _, row in table[table["is_right"] != table["is_believed"]].iterrows():
        why = row["reason"] or f"believed, evidence {row['evidence']:.2f}"
        print(f"{row['set']} {row['name']}: error {row['error_mm']:.0f} mm, {why}")
    found, caught, false_alarms = (of.mean() if len(of) else np.nan for of in of_all.values())
    # NaN, where there was nothing to ask, misses no bar.
    return not (found < LEAST_FOUND or caught < LEAST_CAUGHT or false_alarms > MOST_FALSE_ALARMS)


def shares(table: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Return, of the pairs that share something, of the wrong starts and of the right ones, which count."""
    is_right, is_believed = (table[name].to_numpy(bool) for name in ("is_right", "is_believed"))
    return {
        "found": (is_right & is_believed)[table["kind"] != "apart"],
        "caught": ~is_believed[~is_right],
        "false alarms": ~is_believed[is_right],
    }


def share_text(outcomes: NDArray[np.bool_]) -> str:
    """Return the share of outcomes that are true, with its 95 % interval after Wilson.

    Examples
    --------
    >>> share_text(np.arange(10) < 9)
    '9 of 10, 90.0 % (59.6 to 98.2)'
    """
    if not len(outcomes):
        return "none"
    low, high = binomtest(int(outcomes.sum()), len(outcomes)).proportion_ci(method="wilson")
    share = f"{100 * outcomes.mean():.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    return f"{outcomes.sum()} of {len(outcomes)}, {share}"


def figures(rows: pd.DataFrame) -> str:
    """Return the figures of some pairs as text."""
    right, believed = rows["is_right"], rows["is_believed"]
    found = (right & believed).sum()
    return (
        f"{len(rows):>5} {right.sum():>6} {found:>6} {(right & ~believed).sum():>6} of {right.sum():<3}"
        f" {(~right & ~believed).sum():>4} of {(~right).sum():<3}"
    )


if __name__ == "__main__":
    sys.exit(main())
