"""What is known of the visits before: where each lesion lies there, how large it is, and its mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from anatomical_embedding.follow.fit_mask import ball_radius_mm
from anatomical_embedding.follow.records import LesionRow, MaskKind, State
from anatomical_embedding.settings.follow import FollowSettings
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.prepare import crop_volume
from anatomical_embedding.volumes.volume import Volume

NOWHERE = (np.nan, np.nan, np.nan)
PLACED: frozenset[State] = frozenset({"given", "new", "present", "gone", "merged", "split"})
"""States whose place others are found from."""
SHOWN: frozenset[State] = frozenset({"given", "new", "present", "merged", "split"})
"""States in which the lesion is to be seen."""
COPIES: frozenset[MaskKind] = frozenset({"carried", "grown"})
NUM_MASKS_KEPT = 4


@dataclass(frozen=True)
class SeenVisit:
    """A visit whose lesions are known.

    Attributes
    ----------
    name : of the visit.
    rows : by lesion.
    masks_path : file of lesion numbers on the voxels of its scan; None without any.
    """

    name: str
    rows: Mapping[int, LesionRow]
    masks_path: Path | None

    def mask_of(self, lesion: int) -> Volume | None:
        """Return what a lesion covers, true inside, as a volume of its own box and a voxel round it; None without.

        The last few files that were read stay in memory, however many visits there are.
        """
        path = self.masks_path
        if path is None:
            return None
        masks = _read_masks(path, path.stat().st_mtime_ns)
        box = masks.boxes[lesion - 1] if lesion <= len(masks.boxes) else None
        if box is None:
            return None
        x, y, z = (
            slice(max(side.start - 1, 0), min(side.stop + 1, size))
            for side, size in zip(box, masks.numbers.shape, strict=True)
        )
        part = crop_volume(masks.numbers, box=(x, y, z))
        return Volume(part.array == lesion, part.affine)

    def place_of(self, lesion: int) -> NDArray[np.float64]:
        """Return (3,) where a lesion is; NaN where it is unknown, or not certain."""
        row = self.rows.get(lesion)
        return np.array(row.point_mm if row is not None and row.state in PLACED else NOWHERE)

    def shows(self, lesion: int) -> bool:
        """Say whether a lesion is to be seen at the visit."""
        row = self.rows.get(lesion)
        return row is not None and row.state in SHOWN


@dataclass(frozen=True)
class Source:
    """A lesion at a visit that shows it.

    Attributes
    ----------
    visit : name of the visit.
    centre_mm, radius_mm : (3,) its middle, and the radius of a ball of its volume.
    mask : true inside; None for a point.
    is_copy : whether the mask is that of another visit, as it is or grown.
    """

    visit: str
    centre_mm: NDArray[np.float64]
    radius_mm: float
    mask: Volume | None
    is_copy: bool = False


def first_labels(before: Sequence[SeenVisit]) -> dict[int, str]:
    """Return by lesion what it was called where it was given."""
    labels: dict[int, str] = {}
    for visit in before:
        for lesion, row in visit.rows.items():
            labels.setdefault(lesion, row.label)
    return dict(sorted(labels.items()))


def last_state(lesion: int, before: Sequence[SeenVisit]) -> State | None:
    """Return what the last visit that tells the state of a lesion calls it; None where none does."""
    states = (visit.rows[lesion].state for visit in reversed(before) if lesion in visit.rows)
    return next((state for state in states if state in PLACED), None)


def sources_of(lesion: int, before: Sequence[SeenVisit], settings: FollowSettings) -> list[Source]:
    """Return a lesion where it was given, and at the last visit that shows it whole, if possible with a mask.

    Where it has merged there is a mask of all that it has merged with.
    """
    first, *others = [visit for visit in before if visit.shows(lesion)]
    shown = [first, *(visit for visit in others if visit.rows[lesion].state not in ("split", "merged"))]
    last = _source(lesion, shown[-1], settings)
    if last.mask is None:
        found = (_source(lesion, visit, settings) for visit in reversed(shown))
        last = next((source for source in found if source.mask is not None), last)
    return [_source(lesion, shown[0], settings), last]


def _source(lesion: int, visit: SeenVisit, settings: FollowSettings) -> Source:
    centre = np.array(visit.rows[lesion].point_mm)
    mask = visit.mask_of(lesion)
    if mask is None:
        return Source(visit.name, centre, settings.look.point_radius_mm, None)
    middle = mask.world_from_voxel(np.argwhere(mask.array)).mean(axis=0)
    radius_mm = ball_radius_mm(float(mask.array.sum() * np.prod(mask.spacing_mm)))
    return Source(visit.name, middle, radius_mm, mask, visit.rows[lesion].mask in COPIES)


@dataclass(frozen=True)
class _Masks:
    """Lesion numbers of a visit, and by number, from 1, the box round it; None where there is none."""

    numbers: Volume
    boxes: Sequence[tuple[slice, ...] | None]


@lru_cache(maxsize=NUM_MASKS_KEPT)
def _read_masks(path: Path, _changed_ns: int) -> _Masks:
    numbers = read_label_file(path).volume
    return _Masks(numbers, find_objects(numbers.array.astype(np.int32)))
