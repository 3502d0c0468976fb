"""Whether starts of registrations are right, and whether those that are not are called failed.

    python -m benchmarks.starts match /tmp/starts/phantom --phantoms 20 --seed 101 --model MODEL.safetensors
    python -m benchmarks.starts match /tmp/starts/head --warp large --half development --model MODEL.safetensors
    python -m benchmarks.starts match /tmp/starts/patients --patients RESULTS --model MODEL.safetensors
    python -m benchmarks.starts judge /tmp/starts/*

`match` makes pairs of CTs whose correspondence is known (`benchmarks.start_pairs`: synthetic bodies, patients of
`configs/known_warps.yaml` before and after a known warp, or different patients of a run with their landmarks), cuts and
turns them, and keeps the matches of a packaged model, a file a pair. Nothing is registered. `judge` fits the starts of
the recipe `guides/small` and prints a line a kind: a start is right if its median error in the shared body is below
25 mm; `found` are right starts that were believed, `false alarms` right ones called failed, `caught` wrong ones called
failed, each with its 95 % interval. It exits with 1 when a bar is missed:
found 97 % of the pairs that share something, caught 95 %, false alarms 2 %.
"""

import argparse
import json
import sys
from collections.abc import Iterator
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
from anatomical_embedding.registration.guided_start import agreed_map
from anatomical_embedding.settings.phantom import PhantomSettings
from anatomical_embedding.settings.registration import AffineFitSettings
from anatomical_embedding.usage.scans import embed_raw_scan
from anatomical_embedding.usage.turned_scans import MatchedScans, number_of_best, try_ways
from anatomical_embedding.volumes.affine import invert_affine, transform_points
from anatomical_embedding.volumes.prepare import PreparedVolume
from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions
from anatomical_embedding.volumes.volume import Volume
from benchmarks.known_warps import yardstick
from benchmarks.start_pairs import KINDS, KnownPair, changed, patient_pairs, phantom_pairs, warped_pairs

RECIPES = REPOSITORY / "anatomical_embedding" / "settings" / "recipes"
RIGHT_MM = 25.0
LEAST_POINTS = 4
LEAST_FOUND, LEAST_CAUGHT, MOST_FALSE_ALARMS = 0.97, 0.95, 0.02


def main() -> int:
    """Match pairs, or judge their starts; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(dest="step", required=True)
    match_step = steps.add_parser("match", help="make pairs and match them")
    match_step.add_argument("folder", type=Path)
    match_step.add_argument("--model", type=Path, required=True, help="packaged model")
    match_step.add_argument("--phantoms", type=int, default=0, help="number of synthetic bodies")
    match_step.add_argument("--seed", type=int, default=101, help="of the synthetic bodies")
    match_step.add_argument("--patients", type=Path, help="results of configs/headneck_sampp.yaml")
    match_step.add_argument("--warp", default="large", help="of configs/known_warps.yaml")
    match_step.add_argument("--scans", choices=("headneck_ct", "torso_ct"), default="headneck_ct")
    match_step.add_argument("--half", choices=("development", "test"), default="development")
    match_step.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    judge_step = steps.add_parser("judge", help="fit and judge the starts of matched pairs")
    judge_step.add_argument("folders", type=Path, nargs="+")
    judge_step.add_argument("--fit", default="{}", help="settings of the fit to change, as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.step == "match":
        match_all(named_pairs(options), api.load_model(options.model), options.folder, kinds=options.kinds)
        return 0
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


def match_all(
    pairs: Iterator[tuple[str, KnownPair]], model: api.Model, folder: Path, *, kinds: tuple[str, ...]
) -> None:
    """Write the matches of every pair and kind, those that are there already excepted."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, pair in pairs:
        embedded: dict[int, tuple[Volume, PreparedVolume, api.EmbeddedScan]] = {}
        for kind in kinds:
            path = folder / f"{name}.{kind}.npz"
            seen = changed(pair, kind)
            is_scored = kind == "apart" or len(seen.fixed_mm) >= LEAST_POINTS
            if is_scored and not path.exists():
                write_matches(seen, model, path, embedded=embedded)
                print(path.stem, flush=True)


def write_matches(
    pair: KnownPair,
    model: api.Model,
    path: Path,
    *,
    embedded: dict[int, tuple[Volume, PreparedVolume, api.EmbeddedScan]],
) -> None:
    """Write the matches, the body masks and the truth of one pair; scans that were embedded before are not again."""
    scans = []
    for volume in (pair.fixed, pair.moving):
        if id(volume) not in embedded:
            raw = RawScan(Path(path.stem), volume, "ct", (), ReadingOptions(modality="ct"))
            prepared, scan = embed_raw_scan(
                model, raw, origin=Origin(model.card.checkpoint_sha256, "", ""), within_body=True
            )
            embedded[id(volume)] = (volume, prepared, scan)  # holds the volume, so that its id stays its own
        scans.append(embedded[id(volume)][1:])
    tries = [matched for matched, _ in try_ways(model, *scans, fit=fit_settings({}))]
    content = {
        "truth_fixed_mm": pair.fixed_mm,
        "truth_moving_mm": pair.moving_mm,
        "num_tries": len(tries),
        **arrays_of("fixed", scans[0][0]),
    }
    for number, matched in enumerate(tries):
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
    """Return what became of one pair: error of the fitted map, believed or not, and why not.

    Of the turns that the moving scan was tried after, that with the start counts which `register` takes; where none is
    believed, that with the smallest error.
    """
    with np.load(path) as held:
        content = dict(held)
    fixed = prepared_in(content, "fixed")
    tried = []
    for number in range(int(content["num_tries"])):
        fields = {name: content[f"{name}_{number}"] for name in Correspondences.__dataclass_fields__}
        moving, turn = prepared_in(content, f"moving_{number}"), content[f"turn_{number}"]
        tried.append(MatchedScans(Correspondences(**fields), moving, turn))
    starts = [matched.start(fixed, settings=settings) for matched in tried]
    number = number_of_best(starts)
    start = starts[number]
    if start.status == "found":
        maps = [start.matrix]
    else:
        agreed = [(matched.turn, agreed_map(matched.matches, settings=settings)) for matched in tried]
        maps = [invert_affine(turn) @ matrix for turn, matrix in agreed if matrix is not None]
    error = min((error_of(matrix, content) for matrix in maps), default=float("inf"))
    return {
        "set": path.parent.name,
        "name": path.stem,
        "kind": path.stem.rsplit(".", 1)[1],
        "error_mm": error,
        "is_right": error < RIGHT_MM,
        "is_believed": start.status == "found",
        "reason": start.reason,
    }


def error_of(matrix: NDArray[np.float64], content: dict[str, NDArray]) -> float:
    """Return the median error, mm, of a map in the shared body; infinite where nothing is shared."""
    if not len(content["truth_fixed_mm"]):
        return float("inf")
    mapped = transform_points(matrix, content["truth_fixed_mm"])
    return float(np.median(np.linalg.norm(mapped - content["truth_moving_mm"], axis=1)))


def is_good(table: pd.DataFrame) -> bool:
    """Print a line a set and kind, then all, and return whether every bar is met."""
    print(
        f"{'set':<20} {'kind':<10} {'pairs':>5} {'right':>6} {'found':>6} {'false alarms':>13} {'caught':>9}"
    )
    for (of_set, kind), rows in table.groupby(["set", "kind"]):
        print(f"{of_set:<20} {kind:<10} {figures(rows)}")
    print(f"{'all':<31} {figures(table)}")
    right, wrong = table[table["is_right"]], table[~table["is_right"]]
    sharing = table[table["kind"] != "apart"]
    shares = {
        "found": sharing["is_right"] & sharing["is_believed"],
        "caught": ~wrong["is_believed"],
        "false alarms": ~right["is_believed"],
    }
    for name, share in shares.items():
        print(f"{name:<12} {share_text(share.to_numpy())}")
    for _, row in table[table["is_right"] != table["is_believed"]].iterrows():
        print(f"{row['set']} {row['name']}: error {row['error_mm']:.0f} mm, {row['reason'] or 'believed'}")
    return bool(
        shares["found"].mean() >= LEAST_FOUND
        and not shares["caught"].mean() < LEAST_CAUGHT  # NaN where no start was wrong
        and not shares["false alarms"].mean() > MOST_FALSE_ALARMS
    )


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
