"""How well lesions are followed over four visits of bodies that nothing was chosen on.

python -m benchmarks.follow --checkpoint results/models/sam/model.safetensors --folder /tmp/follow --bodies 8 --seed 77

Makes bodies at four visits (slices of 1 to 5 mm; lesions grow, shrink, vanish, split, merge, leave the view), follows
the lesions that the first visit shows with the verb's own code, and then gives the masks of the last visit as well.
Prints distances at the last visit beside those of the direct match from the first, the share of right states by class,
and the errors of volume and diameter of present lesions of 8 mm radius or more. States and sizes are counted three
times: by what a reader could sign (benchmarks/readable_truth.py), which the bars are for; of the lesions that no reader
could judge; and by what was drawn, all lesions together. Bodies and
embeddings stay in the folder, and bodies whose answers lie there are not followed again, so a run can be made in parts:
`--seed` may be given several times. Exits with 1 when a bar is missed.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from anatomical_embedding.api import load_model, match_points
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.measure_folder import measure_folder
from anatomical_embedding.follow.patient import AskedPatient, follow_patient, open_visits
from anatomical_embedding.follow.records import LesionRow
from anatomical_embedding.follow.visits import AskedVisit, require_order
from anatomical_embedding.settings.follow import delivered_follow_settings
from anatomical_embedding.usage.model import Model
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.raw_scan import ReadingOptions
from anatomical_embedding.volumes.volume import Volume
from benchmarks.followed_bodies import NAMES, FollowedBody, known_body
from benchmarks.readable_truth import ReadableTruth, readable_truth

SETTINGS = delivered_follow_settings()
LARGE_MM = 8.0
"""Radius of lesions whose size is judged."""
ANSWERS = "answers.csv"
"""Of a body; one that has them is not followed again."""
LARGEST_MEDIAN_SHARE, LARGEST_TAIL_SHARE = 0.85, 0.7
"""Of the distance of the direct match, in the median and at the 95th percentile."""
SMALLEST_RIGHT, FEWEST_OF_A_CLASS = 0.92, 30
LARGEST_MISSED = 0.03
"""Share of the lesions that are gone or out of view and called present."""
LARGEST_VOLUME_ERROR, LARGEST_DIAMETER_VOXELS = 0.15, 1.5


def main() -> None:
    """Print the scores and exit with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="model.safetensors of a run")
    parser.add_argument("--folder", type=Path, required=True, help="where bodies and answers go")
    parser.add_argument("--bodies", type=int, default=24, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, action="append", help="of the bodies; repeatable (default: 77)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(options.checkpoint)
    tables = []
    for seed, body in product(options.seed or [77], range(options.bodies)):
        folder = options.folder / f"seed_{seed}" / f"body_{body:02d}"
        if not (folder / ANSWERS).exists():
            rows = pd.DataFrame(follow_body(model, body, seed=seed, folder=folder))
            rows.to_csv(folder / ANSWERS, index=False)
        tables.append(pd.read_csv(folder / ANSWERS))
        print(f"seed {seed}, body {body + 1} of {options.bodies}", file=sys.stderr, flush=True)
    table = pd.concat(tables)
    sys.exit(0 if print_scores(table) else 1)


def follow_body(model: Model, body: int, *, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Return what was answered on the lesions of one body, a row a lesion and visit, with the truth."""
    known = known_body(folder, body, seed=seed)
    asked_visits = tuple(
        AskedVisit(name, visit.scan, None) for name, visit in zip(NAMES, known.visits, strict=True)
    )
    given = {NAMES[0]: known.first_lesions}
    asked = AskedPatient(f"body{body}", asked_visits, given, "ras", ReadingOptions())
    place = FollowFolder(folder / "followed")
    answers, _ = follow_patient(model, asked, place.folder, settings=SETTINGS)
    sizes = {(row.lesion, row.visit): row for row in measure_folder(place)}
    direct_mm = direct_places(model, asked, place, read_label_file(known.first_lesions).volume)
    contrasts = known.contrasts()
    truths = {name: readable_truth(known, number, contrasts) for number, name in enumerate(NAMES)}
    rows = [
        {"body": body, "given": "first", **compared(row, known, truths, sizes, direct_mm)}
        for row in answers
        if row.visit != NAMES[0]
    ]
    # The masks of the last visit change that visit alone.
    with_last = AskedPatient(
        asked.name, asked_visits, given | {NAMES[-1]: known.last_lesions}, "ras", asked.reading
    )
    answers, _ = follow_patient(model, with_last, place.folder, settings=SETTINGS)
    rows += [
        {"body": body, "given": "last given", **compared(row, known, truths, {}, {})}
        for row in answers
        if row.visit == NAMES[-1]
    ]
    return rows


def direct_places(
    model: Model, asked: AskedPatient, place: FollowFolder, shown: Volume
) -> Mapping[int, NDArray[np.float64]]:
    """Return by lesion where the direct match puts it at the last visit, as `match` does."""
    scans = open_visits(model, asked, place, checksums=require_order(asked.visits), settings=SETTINGS)
    numbers = [int(number) for number in np.unique(shown.array) if number]
    middles = [shown.world_from_voxel(np.argwhere(shown.array == number)).mean(axis=0) for number in numbers]
    found = match_points(model, scans[NAMES[0]], scans[NAMES[-1]], middles)
    return dict(zip(numbers, found.points_mm, strict=True))


def compared(
    row: LesionRow,
    known: FollowedBody,
    truths: Mapping[str, Mapping[int, ReadableTruth]],
    sizes: Mapping[Any, Any],
    direct_mm: Mapping[int, Any],
) -> dict[str, Any]:
    """Return an answer beside the truth; a lesion that is new to the reader is the nearest one of the body."""
    number = NAMES.index(row.visit)
    visit = known.visits[number]
    place = np.array(row.point_mm)
    if row.state == "new":
        truth = min(visit.lesions, key=lambda lesion: _nearest_part(lesion.balls, place))
    else:
        truth = next(lesion for lesion in visit.lesions if lesion.number == row.lesion)
    size = sizes.get((row.lesion, row.visit))
    is_asked = number == len(NAMES) - 1 and row.lesion in direct_mm
    radius_mm = max((ball[1] for ball in truth.balls), default=np.nan)
    true_ml = np.nan
    if truth.state == "present":
        voxels = (visit.labels.array == truth.number).sum()
        true_ml = float(voxels * np.prod(visit.labels.spacing_mm)) / 1000.0
    return {
        "lesion": row.lesion,
        "visit": row.visit,
        "drawn_state": truth.state if known.was_shown(truth.number) or row.state != "new" else "new",
        "true_state": truths[row.visit][truth.number].state,
        "beside": truths[row.visit][truth.number].beside,
        "state": row.state,
        "probability": row.probability,
        "mask": row.mask,
        "error_mm": float(np.linalg.norm(place - truth.centre_mm)),
        "direct_mm": float(np.linalg.norm(direct_mm[row.lesion] - truth.centre_mm)) if is_asked else np.nan,
        "radius_mm": radius_mm,
        "true_ml": true_ml,
        "ml": size.volume_ml if size else np.nan,
        "long_axis_mm": size.long_axis_mm if size else np.nan,
        "voxel_mm": float(visit.labels.spacing_mm[:2].max()),
        "stated_radius_mm": row.radius_mm,
    }


def _nearest_part(balls: Iterable[tuple[NDArray[np.float64], float]], place: NDArray[np.float64]) -> float:
    return min((float(np.linalg.norm(centre - place)) for centre, _ in balls), default=np.inf)


def print_scores(table: pd.DataFrame) -> bool:
    """Print all figures and say whether every bar is kept."""
    table = table.assign(beside=table["beside"].fillna(""))
    drawn = table.assign(true_state=table["drawn_state"])
    signed, beside = table[table["beside"] == ""], table[table["beside"] != ""]
    print("what a reader could sign")
    is_good = _print_places(_first(drawn))
    is_good &= _print_states(signed)
    is_good &= _print_sizes(_first(signed))
    for reason, rows in beside.groupby("beside"):
        print(f"\nbeside these: {reason}")
        _print_states(rows)
    print("\nall lesions, by what was drawn")
    _print_states(drawn)
    _print_sizes(_first(drawn))
    return is_good


def _first(table: pd.DataFrame) -> pd.DataFrame:
    """Return the answers where the first visit alone gives lesions."""
    return table[table["given"] == "first"]


def _print_places(answered: pd.DataFrame) -> bool:
    last = answered[
        (answered["visit"] == NAMES[-1])
        & answered["true_state"].isin(["present", "gone", "merged", "split"])
        & answered["error_mm"].notna()
    ]
    median, tail = (last[["error_mm", "direct_mm"]].quantile(share) for share in (0.5, 0.95))
    print(f"{'last visit':<24} {'median':>8} {'95 %':>8}   of {len(last)} in view and placed, all lesions")
    for name, shown in (("direct_mm", "direct match, mm"), ("error_mm", "visits together, mm")):
        print(f"{shown:<24} {median[name]:>8.2f} {tail[name]:>8.2f}")
    shares = (median["error_mm"] / median["direct_mm"], tail["error_mm"] / tail["direct_mm"])
    print(f"{'share':<24} {shares[0]:>8.2f} {shares[1]:>8.2f}")
    return bool(shares[0] <= LARGEST_MEDIAN_SHARE and shares[1] <= LARGEST_TAIL_SHARE)


def _print_states(table: pd.DataFrame) -> bool:
    print(
        f"\n{'given':<12} {'true state':<12} {'count':>6} {'right':>7} {'review':>7} {'called present':>15}"
    )
    is_good = True
    for (given, true), rows in table.groupby(["given", "true_state"]):
        expected = {"present": {"present", "given"}}.get(str(true), {str(true)})
        right = float(rows["state"].isin(expected).mean())
        missed = float((rows["state"].isin(["present", "given"])).mean())
        review = float((rows["state"] == "review").mean())
        print(f"{given:<12} {true:<12} {len(rows):>6} {right:>7.2f} {review:>7.2f} {missed:>15.2f}")
        if len(rows) >= FEWEST_OF_A_CLASS:
            is_good &= right >= SMALLEST_RIGHT
        if true in ("gone", "out_of_view"):
            is_good &= missed <= LARGEST_MISSED
    return is_good


def _print_sizes(answered: pd.DataFrame) -> bool:
    known = answered[
        (answered["true_state"] == "present")
        & (answered["state"] == "present")
        & (answered["radius_mm"] >= LARGE_MM)
        & answered["ml"].notna()
    ]
    volume = (known["ml"] / known["true_ml"] - 1.0).abs().median()
    diameter = ((known["long_axis_mm"] - 2.0 * known["radius_mm"]).abs() / known["voxel_mm"]).median()
    print(f"\n{len(known)} present lesions of {LARGE_MM:g} mm radius or more")
    print(
        f"{'volume, median error':<28} {volume:>6.1%}\n{'diameter, median error':<28} {diameter:>6.2f} voxels"
    )
    return bool(volume <= LARGEST_VOLUME_ERROR and diameter <= LARGEST_DIAMETER_VOXELS)


if __name__ == "__main__":
    main()
