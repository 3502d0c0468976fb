"""What is followed as JSON: the visits of a patient (`follow.json`), the entry of one, and values of any kind."""

import datetime
import json
import math
from pathlib import Path
from typing import Any

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import write_json
from anatomical_embedding.follow.records import FollowRecord, Visit

FORMAT = "anatomical-embedding follow"
VERSION = 1


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
    path = Path(path)
    if not path.exists():
        raise InputFileError(path.parent, f"is not a folder that `follow` wrote (no {path.name})")
    content = _read_json(path)
    if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise InputFileError(
            path, "was written by another version of `follow`, or another program; run `follow` again"
        )
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


def json_value(value: Any) -> Any:
    """Return a value, and all in it, as JSON holds it: dates as text, NaN and infinity as null."""
    if isinstance(value, dict):
        return {name: json_value(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, datetime.date) else value


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
