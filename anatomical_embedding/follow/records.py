"""What is known of one followed patient: visits, lesions at visits, their sizes, and what a reader decided.

Points are world mm RAS+ of the visit's scan. Where these are kept says `follow_folder`; as tables they are written and
read by `record_tables`, the visits by `record_json`.
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

State = Literal["given", "present", "review", "out_of_view", "gone", "merged", "split", "new"]
"""`given` and `new` are the user's own; `new` where no earlier visit explains it. The others are answers."""
How = Literal["given", "direct", "joint", "moved"]
"""`given` by the user, matched from one visit (`direct`), or from several (`joint`), or `moved` there by a reader."""
MaskKind = Literal["none", "given", "carried", "grown", "fitted", "corrected"]
"""`carried` from another visit with its size there, `grown` or shrunken to the size that the scan tells, or `fitted` to
the scan where the fit can be trusted."""
Action = Literal["accept", "move", "reject"]
PointMm = tuple[float, float, float]


@dataclass(frozen=True)
class Visit:
    """One visit of the patient.

    Attributes
    ----------
    name : unique; names of files begin with it.
    date : None where it is not known.
    scan : path of the scan, as it was given.
    sha256 : checksum of the scan.
    shape, affine : its grid: (3,) voxels, (4, 4) voxel to world mm RAS+.
    modality : kind of scan.
    reading : what its user said of the scan, by the names of `ReadingOptions`.
    """

    name: str
    date: datetime.date | None
    scan: Path
    sha256: str
    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    modality: str
    reading: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FollowRecord:
    """What `follow.json` says.

    Attributes
    ----------
    patient : name of the patient; empty where it is not told.
    visits : in the order of time.
    checkpoint_sha256 : of the model that answered.
    settings : numbers that decided, for the record.
    """

    patient: str
    visits: tuple[Visit, ...]
    checkpoint_sha256: str
    settings: dict[str, Any]

    def visit(self, name: str) -> Visit:
        """Return the visit of a name, which must be one of them."""
        return next(visit for visit in self.visits if visit.name == name)


@dataclass(frozen=True)
class LesionRow:
    """One lesion at one visit.

    Attributes
    ----------
    lesion : number, from 1, the same at all visits and in the masks.
    visit, date : the visit.
    state : what became of it.
    probability : that the state is right, 0 to 1; NaN where the model does not know.
    radius_mm : with a probability of 90 % the true place is this near; NaN where unknown.
    point_mm : its place; NaN where it is outside the view.
    how : how the place was found.
    disagreement_mm : largest distance between what the visits before say of its place; NaN where one answers.
    refined : whether the place was moved to the voxel by the scans: `yes`, why not, or empty.
    mask : what the mask is.
    related : numbers of the lesions that it merged with.
    label : what the user calls it.
    note : why it is to be reviewed, or its mask not trusted; empty where there is nothing to say.
    """

    lesion: int
    visit: str
    date: datetime.date | None
    state: State
    probability: float
    radius_mm: float
    point_mm: PointMm
    how: How
    disagreement_mm: float
    refined: str
    mask: MaskKind
    related: tuple[int, ...]
    label: str
    note: str


@dataclass(frozen=True)
class MeasurementRow:
    """The size of one lesion at one visit, from its mask.

    Attributes
    ----------
    lesion, visit : whose.
    volume_ml : of its voxels.
    long_axis_mm, short_axis_mm : longest diameter in an axial plane of the scan, and the longest across it.
    long_start_mm, long_end_mm, short_start_mm, short_end_mm : their (3,) end points.
    mean, sd : of the intensities in the mask, in the units of the scan.
    part_long_axes_mm, part_short_axes_mm : both lengths of each part of a mask whose parts do not touch, the longest
        first; empty for a mask that is one. `long_axis_mm` and `short_axis_mm` are those of the first.
    """

    lesion: int
    visit: str
    volume_ml: float
    long_axis_mm: float
    short_axis_mm: float
    long_start_mm: PointMm
    long_end_mm: PointMm
    short_start_mm: PointMm
    short_end_mm: PointMm
    mean: float
    sd: float
    part_long_axes_mm: tuple[float, ...] = ()
    part_short_axes_mm: tuple[float, ...] = ()

    def axes_mm(self, state: State) -> tuple[float, float]:
        """Return the longest diameter and the short axis that count: the parts of a lesion that split are added."""
        if state == "split" and self.part_long_axes_mm:
            return sum(self.part_long_axes_mm), sum(self.part_short_axes_mm)
        return self.long_axis_mm, self.short_axis_mm


@dataclass(frozen=True)
class DecisionRow:
    """What a user decided on one answer.

    Attributes
    ----------
    time : when, with its time zone.
    name : who.
    lesion, visit : the answer.
    action : `accept`, `move` to the point, or `reject`.
    point_mm : (3,) place that was accepted or moved to; NaN where there is none.
    """

    time: datetime.datetime
    name: str
    lesion: int
    visit: str
    action: Action
    point_mm: PointMm


def merged_groups(rows: Iterable[LesionRow]) -> dict[int, tuple[int, ...]]:
    """Return by lesion the numbers of all lesions of one visit that are one with it now, its own among them.

    Examples
    --------
    >>> import math
    >>> rest = ("v1", None, "merged", 0.9, 3.0, (0.0, 0.0, 0.0), "joint", math.nan, "yes", "none")
    >>> merged_groups([LesionRow(n, *rest, with_, "", "") for n, with_ in ((1, (5,)), (5, (1, 7)), (7, (5,)))])
    {1: (1, 5, 7), 5: (1, 5, 7), 7: (1, 5, 7)}
    """
    groups: dict[int, set[int]] = {}
    for row in rows:
        if row.state != "merged":
            continue
        group = {row.lesion, *row.related}
        for lesion in tuple(group):
            group |= groups.get(lesion, set())
        groups |= dict.fromkeys(group, group)
    return {lesion: tuple(sorted(group)) for lesion, group in groups.items()}
