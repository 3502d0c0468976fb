"""How the size of a lesion is told at another visit, by how well its mask was drawn; needs no model.

python -m benchmarks.drawn_masks --folder /tmp/bodies --seed 43 --bodies 6 --scan CT.nii.gz

Lesions of synthetic bodies are given at the first visit as they are, as a box, and too small. Their masks are fitted at
the next visit, at true places but for an error as large as that of `follow`. Cubes without a lesion are given within
bodies and other scans, where these differ from what surrounds them, and are fitted in the same scan. Prints by kind of
mask and by whether it is like what is fitted from it in its own scan (`masks.least_likeness`) how far the growth of the
longest diameter is off, and how often it is growth or shrinkage beyond the limits of RECIST 1.1 that is not true: of
the fit, and of the answer, which does not take the fit of masks that are unlike it.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects

from anatomical_embedding.follow.fit_mask import FittedMask, ball_radius_mm, fit_mask, likeness_of_fit
from anatomical_embedding.follow.grown import grown_mask
from anatomical_embedding.follow.look import measure_look
from anatomical_embedding.follow.measurements import measure_lesions
from anatomical_embedding.follow.response import GROWN, GROWN_MM, SHRUNK
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.follow.surroundings import Way
from anatomical_embedding.settings.follow import delivered_follow_settings
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.prepare import crop_volume
from anatomical_embedding.volumes.volume import Volume
from benchmarks.followed_bodies import FollowedBody, known_body
from benchmarks.readable_truth import readable_truth

SETTINGS = delivered_follow_settings()
Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
ERROR_MM = 0.57
"""Deviation of a place along each axis, by the distances of docs/follow.md."""
CORE = 0.4
"""Depth from which on a mask that is too small begins, in that of its middle."""
SIDES_MM, CUBES, TRIES = (12.0, 16.0, 22.0), 5, 400
TISSUE_HU, DEEP_MM = (-50.0, 500.0), 30.0
SMALL = 0.5
"""True change, in the limits of growth and shrinkage, up to which these are false."""


def main() -> None:
    """Print the scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="where bodies and answers go")
    parser.add_argument("--bodies", type=int, default=6, help="of each seed (default: %(default)s)")
    parser.add_argument("--seed", type=int, action="append", help="of the bodies; repeatable (default: 43)")
    parser.add_argument("--scan", type=Path, action="append", default=[], help="to put cubes in; repeatable")
    options = parser.parse_args()
    rows = [row for path in options.scan for row in cubes_in(read_volume(path), path.name)]
    for seed, body in product(options.seed or [43], range(options.bodies)):
        known = known_body(options.folder / f"seed_{seed}" / f"body_{body:02d}", body, seed=seed)
        rows += rows_of(known, seed=[seed, body])
        print(f"seed {seed}, body {body + 1} of {options.bodies}", file=sys.stderr, flush=True)
        pd.DataFrame(rows).to_csv(options.folder / "drawn_masks.csv", index=False)
    print_scores(pd.DataFrame(rows))


def rows_of(known: FollowedBody, *, seed: list[int]) -> Iterator[dict[str, Any]]:
    """Give what is measured of each present lesion that a reader could judge, by how its mask was drawn."""
    random = np.random.default_rng(seed)
    first, then = known.visits[:2]
    before, now = (read_volume(visit.scan) for visit in (first, then))
    given = read_volume(known.first_lesions, require_contrast=False)
    sizes, sizes_now = (measure_lesions(visit.labels, visit.labels) for visit in (first, then))
    states = readable_truth(known, 1, known.contrasts())
    middles = [{each.number: each.centre_mm for each in visit.lesions} for visit in (first, then)]
    for lesion in (int(number) for number in np.unique(given.array) if number):
        if (states[lesion].state, states[lesion].beside) != ("present", "") or lesion not in sizes_now:
            continue
        growth = sizes_now[lesion].longest.length_mm / sizes[lesion].longest.length_mm
        for kind, draw in DRAWN.items():
            source = source_of(Volume(draw(given.array == lesion, given), given.affine))
            way = Way(source.centre_mm, source.centre_mm + middles[1][lesion] - middles[0][lesion], np.eye(3))
            yield from measured(kind, before, now, source, way, growth=growth, random=random)
    yield from cubes_in(before, "bodies", free=first.labels.array == 0)


def _as_it_is(inside: Mask, _: Volume) -> Mask:
    return inside


def _box(inside: Mask, _: Volume) -> Mask:
    box = np.zeros_like(inside)
    box[find_objects(inside.astype(np.uint8))[0]] = True
    return box


def _too_small(inside: Mask, grid: Volume) -> Mask:
    depth = distance_transform_edt(inside, sampling=grid.spacing_mm)
    return np.asarray(depth >= CORE * depth.max())


DRAWN: dict[str, Callable[[Mask, Volume], Mask]] = {
    "as it is": _as_it_is, "box": _box, "too small": _too_small,
}  # fmt: skip


def cubes_in(scan: Volume, name: str, *, free: Mask | None = None) -> Iterator[dict[str, Any]]:
    """Give what is measured, in the same scan, of cubes of tissue that are no lesion, within what is `free` of them."""
    random = np.random.default_rng(0)
    places = np.argwhere((scan.array > TISSUE_HU[0]) & (scan.array < TISSUE_HU[1]))
    found = 0
    for place in places[random.integers(len(places), size=TRIES)]:
        side_mm = random.choice(SIDES_MM)
        low = np.rint(place - 0.5 * side_mm / scan.spacing_mm).astype(int)
        high = low + np.maximum(np.rint(side_mm / scan.spacing_mm), 1).astype(int)
        box = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))
        is_deep = scan.depth_mm(scan.world_from_voxel(place)) >= DEEP_MM
        if not is_deep or (free is not None and not free[box].all()):
            continue
        array = np.zeros(scan.shape, dtype=bool)
        array[box] = True
        source = source_of(Volume(array, scan.affine))
        way = Way(source.centre_mm, source.centre_mm, np.eye(3))
        rows = list(measured(f"cube in {name}", scan, scan, source, way, growth=1.0, random=random))
        yield from rows
        found += len(rows)
        if found == CUBES:
            return


def source_of(mask: Volume) -> Source:
    """Return a lesion as `follow` knows it from a mask, in its own box."""
    (box,) = find_objects(mask.array.astype(np.uint8))
    x, y, z = (slice(max(side.start - 1, 0), side.stop + 1) for side in box)
    part = crop_volume(mask, box=(x, y, z))
    centre_mm = part.world_from_voxel(np.argwhere(part.array)).mean(axis=0)
    radius_mm = ball_radius_mm(float(part.array.sum() * np.prod(part.spacing_mm)))
    return Source("given", centre_mm, radius_mm, part)


def measured(
    kind: str,
    before: Volume,
    now: Volume,
    source: Source,
    way: Way,
    *,
    growth: float,
    random: np.random.Generator,
) -> Iterator[dict[str, Any]]:
    """Give a row of a lesion that differs from its surroundings, as `follow` asks before it fits; else none."""
    look = measure_look(before, source.centre_mm, source.radius_mm, settings=SETTINGS.look)
    if source.mask is None or look.visibility(SETTINGS.look) < 1.0:
        return
    likeness = likeness_of_fit(
        before, source.mask, source.centre_mm, radius_mm=source.radius_mm, settings=SETTINGS.masks
    )
    way = Way(way.from_mm, way.to_mm + random.normal(0.0, ERROR_MM, 3), way.matrix)
    fit = _fit(now, source, way, scale=1.0, doubt="")
    is_unlike = likeness < SETTINGS.masks.least_likeness
    answer, is_told = fit, fit.is_fitted
    if is_unlike:
        grown = grown_mask(before, now, way, (source, look), smallest_share=SETTINGS.masks.grown_share)
        is_told = grown is not None
        scale, middle_mm = (1.0, way.to_mm) if grown is None else grown
        answer = _fit(now, source, Way(way.from_mm, middle_mm, way.matrix), scale=scale, doubt="unlike")
    given_mm = _longest_mm(np.argwhere(source.mask.array), source.mask)
    yield {
        "kind": kind,
        "likeness": likeness,
        "is_unlike": is_unlike,
        "is_told": is_told,
        "given_mm": given_mm,
        "growth": growth,
        "fit_mm": _longest_mm(fit.voxels_on(now), now),
        "answer_mm": _longest_mm(answer.voxels_on(now), now),
    }


def _fit(now: Volume, source: Source, way: Way, *, scale: float, doubt: str) -> FittedMask:
    if source.mask is None:
        raise ValueError("a point has no mask to fit")
    return fit_mask(
        now,
        way.to_mm,
        source.mask,
        source.centre_mm,
        scale * way.matrix,
        radius_mm=scale * source.radius_mm,
        doubt=doubt,
        settings=SETTINGS.masks,
    )


def _longest_mm(voxels: NDArray[np.int64], grid: Volume) -> float:
    """Return the longest axial diameter of (N, 3) voxels."""
    low = voxels.min(axis=0)
    inside = np.zeros(voxels.max(axis=0) - low + 1, dtype=np.uint8)
    inside[tuple((voxels - low).T)] = 1
    part = Volume(inside, grid.affine)
    return measure_lesions(part, part)[1].longest.length_mm


def print_scores(table: pd.DataFrame) -> None:
    """Print two lines for each kind of mask, those that are like their fit and those that are not."""
    print(f"{'':<60}{'':>7}{'told':>7}{'fit: error, mean, + and -':>32}{'answer: the same':>32}")
    for (kind, is_unlike), rows in table.groupby(["kind", "is_unlike"], sort=False):
        shown = f"{kind}, {'unlike' if is_unlike else 'like'} its fit"
        scores = "".join(_scores(rows, name) for name in ("fit_mm", "answer_mm"))
        print(f"{shown:<60}{len(rows):>7}{rows['is_told'].mean():>7.2f}{scores}")


def _scores(rows: pd.DataFrame, column: str) -> str:
    """Return the median error of growth, its mean with the sign, and false growth and shrinkage."""
    said = rows[column] / rows["given_mm"]
    error = said / rows["growth"] - 1.0
    has_grown = (said >= 1.0 + GROWN) & (rows[column] - rows["given_mm"] >= GROWN_MM)
    growth = (has_grown & (rows["growth"] < 1.0 + SMALL * GROWN)).sum()
    shrinkage = ((said <= 1.0 + SHRUNK) & (rows["growth"] > 1.0 + SMALL * SHRUNK)).sum()
    return f"{error.abs().median():>12.1%}{error.mean():>+8.1%}{growth:>6}{shrinkage:>6}"


if __name__ == "__main__":
    main()
