"""The folder in which the lesions of one patient are followed: what each of its files holds, written and read.

follow.json         patient, visits in their order, model, settings
lesions.csv         one row a lesion and visit: state, place, how it was found (`LESION_COLUMNS`)
measurements.csv    one row a lesion and visit that has a mask (`MEASUREMENT_COLUMNS`); made from masks and scans alone
masks/VISIT.nii.gz  lesion numbers, the same at all visits, on the grid of the visit's scan
corrected/VISIT.nii.gz  a user's own masks in the same form; a visit that has one takes no other
decisions.csv       what a user decided, line by line (`DECISION_COLUMNS`); only ever appended to
stores/             embeddings of the visits, made once
visits/VISIT.csv, VISIT.json   rows of `lesions.csv` and entry of `follow.json` of one visit, by those before it

Points are world mm RAS+ of the visit's scan.
"""

import datetime
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from anatomical_embedding.csv_table import (
    FINITE,
    IDENTIFIER,
    NUMBER,
    POSITIVE_WHOLE,
    TEXT,
    Column,
    choice,
    csv_text,
    number,
    read_table,
    write_csv_table,
)
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import write_json

FORMAT = "anatomical-embedding follow"
VERSION = 1

State = Literal["given", "present", "review", "out_of_view", "gone", "merged", "split", "new"]
"""`given` and `new` are the user's own; `new` where no earlier visit explains it. The others are answers."""
How = Literal["given", "direct", "joint"]
"""`given` by the user, matched from one visit (`direct`), or from several (`joint`)."""
MaskKind = Literal["none", "given", "carried", "fitted", "corrected"]
"""`carried` from another visit, and then `fitted` to the scan where the fit can be trusted."""
Action = Literal["accept", "move", "reject"]

XYZ = ("x_mm", "y_mm", "z_mm")
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
    disagreement_mm : distance of the direct match from the one over the visits between; NaN where there is one only.
    refined : whether the place was moved to the voxel by the scans: `yes`, why not, or empty.
    mask : what the mask is.
    related : numbers of the lesions that it merged with or split into.
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


def _read_lesion_numbers(cell: str) -> tuple[int, ...]:
    return tuple(int(word) for word in cell.split())


PROBABILITY = number(
    lambda cell: float(cell) if cell else math.nan,
    lambda value: math.isnan(value) or 0 <= value <= 1,
    "a number from 0 to 1, or nothing",
)
DATE = Column(datetime.date.fromisoformat, "a date such as 2026-03-31").or_empty()
TIME = Column(datetime.datetime.fromisoformat, "a time such as 2026-03-31T09:30:00+00:00")
LESION_NUMBERS = Column(_read_lesion_numbers, "numbers of lesions with blanks between, or nothing")

LESION_COLUMNS = {
    "lesion": POSITIVE_WHOLE,
    "visit": IDENTIFIER,
    "date": DATE,
    "state": choice(*get_args(State)),
    "probability": PROBABILITY,
    "radius_mm": NUMBER,
    **dict.fromkeys(XYZ, NUMBER),
    "how": choice(*get_args(How)),
    "disagreement_mm": NUMBER,
    "refined": TEXT,
    "mask": choice(*get_args(MaskKind)),
    "related": LESION_NUMBERS,
    "label": TEXT,
    "note": TEXT,
}
END_POINTS = ("long_start", "long_end", "short_start", "short_end")
MEASUREMENT_COLUMNS = {
    "lesion": POSITIVE_WHOLE,
    "visit": IDENTIFIER,
    "volume_ml": FINITE,
    "long_axis_mm": FINITE,
    "short_axis_mm": FINITE,
    **{f"{end}_{axis}": NUMBER for end in END_POINTS for axis in XYZ},
    "mean": NUMBER,
    "sd": NUMBER,
}
DECISION_COLUMNS = {
    "time": TIME,
    "name": TEXT,
    "lesion": POSITIVE_WHOLE,
    "visit": IDENTIFIER,
    "action": choice(*get_args(Action)),
    **dict.fromkeys(XYZ, NUMBER),
}


@dataclass(frozen=True)
class FollowFolder:
    """The paths in the folder of one patient."""

    folder: Path

    @property
    def record(self) -> Path:
        """`follow.json`."""
        return self.folder / "follow.json"

    @property
    def lesions(self) -> Path:
        """`lesions.csv`."""
        return self.folder / "lesions.csv"

    @property
    def measurements(self) -> Path:
        """`measurements.csv`."""
        return self.folder / "measurements.csv"

    @property
    def decisions(self) -> Path:
        """`decisions.csv`."""
        return self.folder / "decisions.csv"

    @property
    def key(self) -> Path:
        """What the files of each visit were made from."""
        return self.folder / "made_from.json"

    def entry(self, visit: str) -> Path:
        """Return where the entry of one visit lies that `follow.json` takes over."""
        return self.folder / "visits" / f"{visit}.json"

    def rows(self, visit: str) -> Path:
        """Return where the rows of one visit lie, in the form of `lesions.csv`."""
        return self.folder / "visits" / f"{visit}.csv"

    def rows_back(self, visit: str) -> Path:
        """Return where the rows lie of the lesions that are new at a visit, at the visits before it."""
        return self.folder / "visits" / f"{visit}.back.csv"

    @property
    def stores(self) -> Path:
        """Folder of the embeddings."""
        return self.folder / "stores"

    def mask(self, visit: str) -> Path:
        """Return where the masks of a visit lie that were carried and fitted, or given."""
        return self.folder / "masks" / f"{visit}.nii.gz"

    def corrected(self, visit: str) -> Path:
        """Return where the masks of a visit lie that a user corrected."""
        return self.folder / "corrected" / f"{visit}.nii.gz"

    def mask_in_use(self, visit: str) -> Path | None:
        """Return the masks of a visit: the corrected ones where there are some; None where there are none at all."""
        places = (self.corrected(visit), self.mask(visit))
        return next((place for place in places if place.exists()), None)


def write_record(record: FollowRecord, path: Path | str) -> None:
    """Write `follow.json` atomically."""
    write_json(
        path,
        {
            "format": FORMAT,
            "version": VERSION,
            "patient": record.patient,
            "visits": [_entry(visit) for visit in record.visits],
            "checkpoint_sha256": record.checkpoint_sha256,
            "settings": record.settings,
        },
    )


def read_record(path: Path | str) -> FollowRecord:
    """Return what `follow.json` says.

    Raises
    ------
    InputFileError
        if it cannot be read, or is no such file of this version.
    """
    content = _read_json(path)
    if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise InputFileError(path, f"is not written by this version of `follow` (format {FORMAT} {VERSION})")
    try:
        visits = tuple(_visit(entry) for entry in content["visits"])
        return FollowRecord(content["patient"], visits, content["checkpoint_sha256"], content["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputFileError(path, f"is damaged ({error!r}); run `follow` again") from error


def write_visit(visit: Visit, path: Path | str) -> None:
    """Write the entry of one visit atomically."""
    write_json(path, _entry(visit))


def read_visit(path: Path | str) -> Visit:
    """Return the entry of one visit; raises as `read_record`."""
    try:
        return _visit(_read_json(path))
    except (KeyError, TypeError, ValueError) as error:
        raise InputFileError(path, f"is damaged ({error!r}); run `follow` again") from error


def _entry(visit: Visit) -> dict[str, Any]:
    return {
        "name": visit.name,
        "date": None if visit.date is None else visit.date.isoformat(),
        "scan": str(visit.scan),
        "sha256": visit.sha256,
        "shape": list(visit.shape),
        "affine": [list(row) for row in visit.affine],
        "modality": visit.modality,
        "reading": visit.reading,
    }


def _read_json(path: Path | str) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputFileError(
            path, f"cannot be read ({error.strerror}); give a folder that `follow` wrote"
        ) from error
    except ValueError as error:
        raise InputFileError(path, f"is not JSON in UTF-8: {error}") from error


def _visit(entry: dict[str, Any]) -> Visit:
    x, y, z = map(int, entry["shape"])
    date = None if entry["date"] is None else datetime.date.fromisoformat(entry["date"])
    affine = tuple(tuple(map(float, row)) for row in entry["affine"])
    return Visit(
        name=entry["name"],
        date=date,
        scan=Path(entry["scan"]),
        sha256=entry["sha256"],
        shape=(x, y, z),
        affine=affine,
        modality=entry["modality"],
        reading=dict(entry["reading"]),
    )


def write_lesions(rows: Iterable[LesionRow], path: Path | str) -> None:
    """Write `lesions.csv` atomically."""
    write_csv_table(list(LESION_COLUMNS), [_cells(row) for row in rows], path)


def read_lesions(path: Path | str) -> list[LesionRow]:
    """Return the rows of `lesions.csv`.

    Raises
    ------
    InputFileError
        naming the line and the column at fault.
    """
    rows = read_table(path, LESION_COLUMNS, unique=("lesion", "visit"))
    return [LesionRow(*_grouped(cells, {"x_mm": "point_mm"})) for _, cells in rows]


def write_measurements(rows: Iterable[MeasurementRow], path: Path | str) -> None:
    """Write `measurements.csv` atomically."""
    write_csv_table(list(MEASUREMENT_COLUMNS), [_cells(row) for row in rows], path)


def read_measurements(path: Path | str) -> list[MeasurementRow]:
    """Return the rows of `measurements.csv`; raises as `read_lesions`."""
    rows = read_table(path, MEASUREMENT_COLUMNS, unique=("lesion", "visit"))
    firsts = {f"{end}_x_mm": end for end in END_POINTS}
    return [MeasurementRow(*_grouped(cells, firsts)) for _, cells in rows]


def append_decision(row: DecisionRow, path: Path | str) -> None:
    """Add a line to `decisions.csv`, which is made where it is not there yet; what stands there stays."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = csv_text(list(DECISION_COLUMNS), [_cells(row)])
    header, line = text.split("\n", 1)
    with path.open("ab") as stream:
        if stream.tell() == 0:
            stream.write(f"{header}\n".encode())
        stream.write(line.encode())
        stream.flush()
        os.fsync(stream.fileno())


def read_decisions(path: Path | str) -> list[DecisionRow]:
    """Return what was decided, oldest first; nothing where there is no such file. Raises as `read_lesions`."""
    if not Path(path).exists():
        return []
    rows = read_table(path, DECISION_COLUMNS)
    return [DecisionRow(*_grouped(cells, {"x_mm": "point_mm"})) for _, cells in rows]


def _cells(row: Any) -> list[Any]:
    """Return the fields of a row as cells: points spread over three, numbers short, NaN and None empty."""
    cells: list[Any] = []
    for name, value in zip(row.__dataclass_fields__, astuple(row), strict=True):
        if name == "related":
            cells.append(" ".join(map(str, value)))
        elif isinstance(value, tuple):
            cells.extend(map(_cell, value))
        else:
            cells.append(_cell(value))
    return cells


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value.isoformat() if isinstance(value, datetime.date) else value


def _grouped(cells: dict[str, Any], firsts: dict[str, str]) -> Sequence[Any]:
    """Return the values of a row in order, three columns from each of `firsts` on as one point."""
    values: list[Any] = []
    names = list(cells)
    place = 0
    while place < len(names):
        width = len(XYZ) if names[place] in firsts else 1
        group = [cells[name] for name in names[place : place + width]]
        values.append(tuple(group) if names[place] in firsts else group[0])
        place += width
    return values
