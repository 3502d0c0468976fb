"""A followed patient with truth known: scans with balls of tissue, their masks, and answers as `follow` writes them."""

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.measure_folder import measure_folder
from anatomical_embedding.follow.record_json import write_record
from anatomical_embedding.follow.record_tables import write_lesions
from anatomical_embedding.follow.records import FollowRecord, LesionRow, Visit
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume

SHAPE = (90, 76, 30)
SPACING_MM = (2.0, 2.0, 4.0)
FIRST_DAY = datetime.date(2026, 1, 5)
DAYS_BETWEEN = 56
NOWHERE = (math.nan,) * 3
BODY_HU, LESION_HU, AIR_HU, NOISE_HU = 40, 110, -1000, 8


@dataclass(frozen=True)
class Ball:
    """A lesion at one visit.

    Attributes
    ----------
    centre_vox : (3,) voxel of its middle.
    radius_mm : of the ball; 0 for none.
    state : what became of it.
    probability : of the state.
    """

    centre_vox: tuple[float, float, float]
    radius_mm: float
    state: str = "present"
    probability: float = 0.9


THREE_VISITS: Mapping[str, Mapping[int, Ball]] = {
    "baseline": {
        1: Ball((30, 38, 15), 14.0, "given", math.nan),
        2: Ball((60, 30, 10), 9.0, "given", math.nan),
        3: Ball((55, 52, 22), 7.0, "given", math.nan),
    },
    "week8": {
        1: Ball((31, 38, 15), 10.0, "present", 0.97),
        2: Ball((60, 31, 10), 6.0, "review", 0.55),
        3: Ball((55, 52, 22), 0.0, "gone", 0.88),
    },
    "week16": {
        1: Ball((31, 37, 16), 16.0, "present", 0.93),
        2: Ball((60, 31, 10), 0.0, "out_of_view", 0.99),
        3: Ball((55, 52, 22), 0.0, "gone", 0.91),
        4: Ball((42, 50, 6), 8.0, "new", math.nan),
    },
}
"""Shrinks, is to be reviewed, is gone; then grows, leaves the view, and a new one comes."""


def scan_affine(origin_mm: tuple[float, float, float] = (90.0, 76.0, -60.0)) -> NDArray[np.float64]:
    """Return the affine of an LPS-ordered scan."""
    affine = np.diag([-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2], 1.0])
    affine[:3, 3] = origin_mm
    return affine


def draw(balls: Mapping[int, Ball], *, seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return a CT in HU and the lesion numbers."""
    place = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1).astype(np.float32)
    middle, reach = (np.array(SHAPE[:2]) - 1) / 2.0, np.array([42.0, 35.0])
    in_body = (((place[..., :2] - middle) / reach) ** 2).sum(axis=-1) < 1.0
    scan = np.where(in_body, BODY_HU, AIR_HU).astype(np.float64)
    masks = np.zeros(SHAPE, np.uint8)
    for number, ball in balls.items():
        off_mm = (place - np.array(ball.centre_vox, np.float32)) * np.array(SPACING_MM, np.float32)
        inside = (off_mm**2).sum(axis=-1) <= ball.radius_mm**2 if ball.radius_mm else np.zeros(SHAPE, bool)
        scan[inside], masks[inside] = LESION_HU, number
    scan += np.random.default_rng(seed).normal(0.0, NOISE_HU, SHAPE)
    return np.rint(np.maximum(scan, -1024)).astype(np.int16), masks


def write_followed(
    folder: Path, visits: Mapping[str, Mapping[int, Ball]] = THREE_VISITS, *, patient: str = "patient 1"
) -> FollowFolder:
    """Write scans, masks, answers and measurements of a patient as `follow` does, and return the folder."""
    place = FollowFolder(folder)
    record_visits, rows = [], []
    affine = scan_affine()
    for number, (name, balls) in enumerate(visits.items()):
        scan, masks = draw(balls, seed=number)
        path = folder / "scans" / f"{name}.nii.gz"
        for array, target in ((scan, path), (masks, place.mask(name))):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_volume(Volume(array, affine), target)
        date = FIRST_DAY + datetime.timedelta(days=DAYS_BETWEEN * number)
        shown = tuple(tuple(map(float, row)) for row in affine)
        record_visits.append(Visit(name, date, path, sha256_of_file(path), SHAPE, shown, "ct"))
        rows += [_row(lesion, ball, name, date, affine) for lesion, ball in balls.items()]
    write_record(FollowRecord(patient, tuple(record_visits), "0" * 64, {}), place.record)
    write_lesions(rows, place.lesions)
    measure_folder(place)
    return place


def _row(lesion: int, ball: Ball, visit: str, date: datetime.date, affine: NDArray[np.float64]) -> LesionRow:
    is_given = ball.state in {"given", "new"}
    x, y, z = affine[:3] @ [*ball.centre_vox, 1.0]
    return LesionRow(
        lesion=lesion,
        visit=visit,
        date=date,
        state=ball.state,
        probability=ball.probability,
        radius_mm=math.nan if is_given else 6.0,
        point_mm=NOWHERE if ball.state == "out_of_view" else (x, y, z),
        how="given" if is_given else "joint",
        disagreement_mm=math.nan if is_given else 2.5,
        refined="" if is_given else "yes",
        mask="none" if not ball.radius_mm else "given" if is_given else "fitted",
        related=(),
        label=f"node {lesion}" if lesion == 1 else "",
        note="the direct match and the chain differ by 14 mm" if ball.state == "review" else "",
    )
