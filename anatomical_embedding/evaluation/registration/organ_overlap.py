"""Overlap of the organs of a pair before and after registration, and the file that holds it."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.registration.overlap import measure_overlap
from anatomical_embedding.files import write_json
from anatomical_embedding.volumes.volume import Volume


@dataclass(frozen=True)
class OrganOverlap:
    """Overlap of one organ.

    Attributes
    ----------
    organ : its name.
    dice_before, dice_after : 0 to 1; None if both volumes lack the organ.
    mean_distance_mm_after, p95_distance_mm_after : mean and 95th percentile of the distances of the surfaces; None
        where there is none.
    reason : why there is no distance; empty if there is one.
    """

    organ: str
    dice_before: float | None
    dice_after: float | None
    mean_distance_mm_after: float | None
    p95_distance_mm_after: float | None
    reason: str


@dataclass(frozen=True)
class PairOverlap:
    """Overlap of all organs of a registered pair.

    Attributes
    ----------
    registration : name of its section.
    fixed, moving : ids of the volumes.
    organs : one entry per organ.
    """

    registration: str
    fixed: str
    moving: str
    organs: tuple[OrganOverlap, ...]

    @property
    def mean_dice(self) -> tuple[float, float]:
        """Means before and after over the organs that either volume has; NaN if there is none."""
        known = [
            organ for organ in self.organs if organ.dice_before is not None and organ.dice_after is not None
        ]
        if not known:
            return math.nan, math.nan
        return (
            sum(organ.dice_before or 0.0 for organ in known) / len(known),
            sum(organ.dice_after or 0.0 for organ in known) / len(known),
        )


def measure_organs(
    before: Volume, after: Volume, truth: Volume, *, is_shared: NDArray[np.bool_], organs: Sequence[str]
) -> tuple[OrganOverlap, ...]:
    """Return the overlap of every organ with the fixed volume's labels.

    Parameters
    ----------
    before, after : the moving labels on the fixed grid, unregistered and registered.
    truth : the fixed labels.
    is_shared : (X, Y, Z) voxels that the moving volume reaches under both maps; others count for nothing, since no
        registration can bring there what the moving volume does not show.
    organs : names of the labels 1, 2, ...

    Raises
    ------
    UserError
        if the maps do not share a grid.
    """
    labels = range(1, len(organs) + 1)
    before, after, truth = (
        Volume(np.where(is_shared, volume.array, 0), volume.affine) for volume in (before, after, truth)
    )
    rows = zip(
        organs,
        measure_overlap(before, truth, labels=labels),
        measure_overlap(after, truth, labels=labels),
        strict=True,
    )
    return tuple(
        OrganOverlap(
            organ,
            _known(old.dice),
            _known(new.dice),
            _known(new.mean_distance_mm),
            _known(new.p95_distance_mm),
            new.reason,
        )
        for organ, old, new in rows
    )


def write_pair_overlap(overlap: PairOverlap, path: Path | str) -> None:
    """Write the overlap of a pair as JSON."""
    write_json(path, asdict(overlap))


def read_pair_overlap(path: Path) -> PairOverlap:
    """Return the overlap of a pair.

    Raises
    ------
    InputFileError
        if the file is not one that `write_pair_overlap` wrote.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        organs = tuple(OrganOverlap(**organ) for organ in content.pop("organs"))
        return PairOverlap(**content, organs=organs)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputFileError(
            path, f"is not the overlap of a registered pair ({error}); write it again"
        ) from error


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
