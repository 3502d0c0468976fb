"""All visits of one patient followed into a folder: each visit once, however often others are added."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anatomical_embedding.canonical_text import canonical_json, sha256_of_text
from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.files import sha256_of_file, write_json
from anatomical_embedding.follow.decisions import moved_places
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.follow_visit import follow_visit, look_back
from anatomical_embedding.follow.lesion_input import GivenLesions, read_given_lesions
from anatomical_embedding.follow.masks_in_use import with_correction
from anatomical_embedding.follow.recent_scans import RecentScans
from anatomical_embedding.follow.record_json import read_visit, write_record, write_visit
from anatomical_embedding.follow.record_tables import read_lesions, write_lesions
from anatomical_embedding.follow.records import FollowRecord, LesionRow, PointMm
from anatomical_embedding.follow.response import read_targets, require_sizes
from anatomical_embedding.follow.seen import SeenVisit
from anatomical_embedding.follow.unlike import remarks_on_unlike
from anatomical_embedding.follow.visits import (
    AskedVisit,
    VisitScans,
    remarks_on_dates,
    remarks_on_patients,
    remarks_on_studies,
    require_order,
)
from anatomical_embedding.points.named_points import Coordinates
from anatomical_embedding.progress import log, track
from anatomical_embedding.settings.follow import FollowSettings
from anatomical_embedding.usage.model import Model
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.raw_scan import ReadingOptions
from anatomical_embedding.volumes.segments import LabelledScan

NO_CONFIDENCE = (
    "the model holds no confidence for its matches: how likely the states are was measured with a model of synthetic "
    "bodies and is not known for this one"
)


@dataclass(frozen=True)
class AskedPatient:
    """What a user gives to follow one patient.

    Attributes
    ----------
    name : of the patient; may be empty.
    visits : in the order of time.
    lesions : visit -> file or folder of the lesions that are given there.
    coordinates : of the numbers in tables of points.
    reading : what the scans do not say themselves.
    """

    name: str
    visits: tuple[AskedVisit, ...]
    lesions: Mapping[str, Path]
    coordinates: Coordinates
    reading: ReadingOptions

    def before(self, visit: AskedVisit) -> tuple[AskedVisit, ...]:
        """Return the visits before one of them."""
        return self.visits[: self.visits.index(visit)]


def follow_patient(
    model: Model,
    asked: AskedPatient,
    folder: Path | str,
    *,
    settings: FollowSettings,
    recent: RecentScans | None = None,
) -> tuple[list[LesionRow], list[str]]:
    """Follow the lesions of one patient; write `follow.json`, `lesions.csv` and masks, and return rows and remarks.

    What is in the folder already and made from the same visits, lesions, model and settings is kept. Scans that were
    read last stay in `recent`.

    Raises
    ------
    UserError
        if two visits are the same scan, dates fall, no lesion is given or lies outside its scan, or a scan cannot be
        read or embedded.
    """
    place = FollowFolder(Path(folder))
    require_lesions(asked)
    checksums = require_order(asked.visits, series=asked.reading.series)
    scans = open_visits(model, asked, place, checksums=checksums, settings=settings, recent=recent)
    series = asked.reading.series
    said = [
        remark
        for look in (remarks_on_patients, remarks_on_studies, remarks_on_dates)
        for remark in look(asked.visits, series=series)
    ]
    states = _states(place)
    keys = {
        visit.name: key_of(model, asked, visit, checksums, place, settings=settings) for visit in asked.visits
    }
    is_done = {name: states.get(name) == key and place.rows(name).exists() for name, key in keys.items()}
    for visit in asked.visits:
        if not is_done[visit.name]:
            require_visit(asked, visit, scans, place)
    require_targets(asked, scans, place)
    for visit in track(asked.visits, description="following visits", total=len(asked.visits)):
        if is_done[visit.name]:
            log(f"visit {visit.name} is followed already")
            continue
        states.pop(visit.name, None)
        said += follow_one(asked, visit, scans, place, settings=settings)
        states[visit.name] = keys[visit.name]
        write_json(place.key, states)
    rows = gather(
        asked.name,
        [visit.name for visit in asked.visits],
        place,
        checkpoint_sha256=model.card.checkpoint_sha256,
        settings=settings,
    )
    if not model.card.confidence:
        said.append(NO_CONFIDENCE)
    return rows, [*said, *scans.remarks]


def require_lesions(asked: AskedPatient) -> None:
    """Refuse a patient without lesions, and lesions of a visit that is none, with a `UserError`."""
    names = [visit.name for visit in asked.visits]
    unknown = [name for name in asked.lesions if name not in names]
    if unknown:
        raise UserError(f"no visit is called {unknown[0]!r}; the visits are {', '.join(names)}")
    if not asked.lesions:
        raise UserError("no lesions are given; name their file with --lesions, at one visit or more")


def require_visit(asked: AskedPatient, visit: AskedVisit, scans: VisitScans, place: FollowFolder) -> None:
    """Refuse a visit whose scan or lesions cannot be read with a `UserError`, before anything is embedded.

    So are places in `decisions.csv` to which a lesion cannot be moved at it.
    """
    scans.raw(visit.name)
    _given_at(asked, visit, scans)
    _moved_at(visit, scans, place)


def require_targets(asked: AskedPatient, scans: VisitScans, place: FollowFolder) -> None:
    """Refuse targets that can have no size at the first visit with a `UserError`, before anything is embedded."""
    if not place.targets.exists():
        return
    first = asked.visits[0]
    given = _given_at(asked, first, scans)
    masks = None if given is None else given.masks
    if place.corrected(first.name).exists():
        masks = read_label_file(place.corrected(first.name)).volume
    sized = set() if masks is None else {*np.unique(masks.array).tolist()} - {0}
    # A lesion that is new at a later visit gets a number above those of the first, and has no size before.
    last = max((lesion.number for lesion in given.lesions), default=0) if given is not None else 0
    has_later = any(name != first.name for name in asked.lesions)
    targets = [target.lesion for target in read_targets(place.targets)]
    require_sizes(
        [each for each in targets if each not in sized and not (has_later and each > last)],
        first.name,
        place.targets,
    )


def open_visits(
    model: Model,
    asked: AskedPatient,
    place: FollowFolder,
    *,
    checksums: Mapping[str, str],
    settings: FollowSettings,
    recent: RecentScans | None = None,
) -> VisitScans:
    """Return the scans of a patient; in memory are at most the one at hand, the first, and the nearest ones.

    Parameters
    ----------
    checksums : of the scans by visit, from `require_order`.
    recent : scans that were read before; None begins with none.
    """
    return VisitScans(
        model,
        place,
        asked.visits,
        checksums=checksums,
        num_kept=scans_in_memory(settings),
        recent=recent or RecentScans(scans_in_memory(settings)),
        options=asked.reading,
    )


def scans_in_memory(settings: FollowSettings) -> int:
    """Return how many scans are needed at a time: the one at hand, the first, and the nearest ones."""
    return settings.places.num_neighbours + 2


def follow_one(
    asked: AskedPatient,
    visit: AskedVisit,
    scans: VisitScans,
    place: FollowFolder,
    *,
    settings: FollowSettings,
) -> tuple[str, ...]:
    """Follow all lesions to one visit by those before it, whose files must be there; return what is to be said."""
    given = _given_at(asked, visit, scans)
    before = [_seen(other.name, place) for other in asked.before(visit)]
    before = before[next((number for number, seen in enumerate(before) if seen.rows), len(before)) :]
    moved = _moved_at(visit, scans, place)
    found = follow_visit(visit, before, given, moved, scans, settings=settings)
    if found.masks is not None:
        write_volume(found.masks, place.mask(visit.name))
    else:
        place.mask(visit.name).unlink(missing_ok=True)
    new = {row.lesion: row for row in found.rows if row.state in ("new", "given")}
    known = SeenVisit(
        visit.name, {n: row for n, row in new.items() if _is_first(n, before)}, place.mask_in_use(visit.name)
    )
    back: list[LesionRow] = []
    if known.rows:
        between: list[SeenVisit] = []
        for earlier in reversed(asked.before(visit)):
            rows = look_back(earlier, known, between, scans, settings=settings)
            back += rows
            between.append(SeenVisit(earlier.name, {row.lesion: row for row in rows}, None))
    write_visit(scans.visit(visit.name), place.entry(visit.name))
    write_lesions(back, place.rows_back(visit.name))
    write_lesions(found.rows, place.rows(visit.name))
    said = given.remarks if given is not None else ()
    return (*said, *remarks_on_unlike(visit.name, before[0], scans)) if before else said


def gather(
    patient: str,
    visits: Sequence[str],
    place: FollowFolder,
    *,
    checkpoint_sha256: str,
    settings: FollowSettings,
) -> list[LesionRow]:
    """Write `follow.json` and `lesions.csv` from the files of all visits, and return the rows by lesion and visit.

    What was found of other visits is removed, and this is logged.

    Parameters
    ----------
    patient, visits : their names, the visits in the order of time.
    checkpoint_sha256 : of the model that answered.
    """
    order = {visit: number for number, visit in enumerate(visits)}
    rows = [
        with_correction(row, place)
        for visit in visits
        for path in (place.rows(visit), place.rows_back(visit))
        for row in read_lesions(path)
    ]
    rows.sort(key=lambda row: (row.lesion, order[row.visit]))
    entries = tuple(read_visit(place.entry(visit)) for visit in visits)
    write_record(
        FollowRecord(patient, entries, checkpoint_sha256, settings.model_dump(mode="json")), place.record
    )
    write_lesions(rows, place.lesions)
    former = place.remove_former(visits)
    if former:
        log(f"{place.folder}: removed what was found of {', '.join(former)}, which are no visits now")
    return rows


def key_of(
    model: Model,
    asked: AskedPatient,
    visit: AskedVisit,
    checksums: Mapping[str, str],
    place: FollowFolder,
    *,
    settings: FollowSettings,
) -> str:
    """Return what the files of a visit depend on: itself, those before it, and where a reader moved lesions there."""
    upto = [*asked.before(visit), visit]
    return sha256_of_text(
        canonical_json(
            {
                "model": model.card.checkpoint_sha256,
                "settings": settings.model_dump(mode="json"),
                "reading": str(asked.reading),
                "coordinates": asked.coordinates,
                "visits": [[each.name, str(each.date), checksums[each.name]] for each in upto],
                "lesions": [
                    [each.name, _checksum_of_lesions(asked.lesions[each.name])]
                    for each in upto
                    if each.name in asked.lesions
                ],
                "moved": [str(moved_places(place.decisions, each.name)) for each in upto],
            }
        )
    )


def _states(place: FollowFolder) -> dict[str, str]:
    """Return what the files of each visit were made from, as far as it is known."""
    if not place.key.exists():
        return {}
    try:
        return dict(json.loads(place.key.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}  # then they are made again


def _checksum_of_lesions(path: Path) -> str:
    if not path.is_dir():
        return sha256_of_file(path)
    files = sorted(entry for entry in path.iterdir() if entry.is_file())
    return sha256_of_text(canonical_json([[entry.name, sha256_of_file(entry)] for entry in files]))


def _moved_at(visit: AskedVisit, scans: VisitScans, place: FollowFolder) -> dict[int, PointMm]:
    """Return by lesion where a reader moved it at a visit, which must lie in its scan."""
    moved = moved_places(place.decisions, visit.name)
    for lesion, point_mm in moved.items():
        if not scans.raw(visit.name).grid.contains(point_mm):
            there = ", ".join(f"{value:.1f}" for value in point_mm)
            raise InputFileError(
                place.decisions,
                f"moves lesion {lesion} at {visit.name} to {there} mm, which lies outside the scan; give a place in it "
                "(RAS), or reject the answer",
            )
    return moved


def _given_at(asked: AskedPatient, visit: AskedVisit, scans: VisitScans) -> GivenLesions | None:
    if visit.name not in asked.lesions:
        return None
    raw = scans.raw(visit.name)
    return read_given_lesions(
        asked.lesions[visit.name],
        LabelledScan(raw.grid, raw.frame_of_reference),
        coordinates=asked.coordinates,
        geometry=asked.reading.geometry,
    )


def _seen(name: str, place: FollowFolder) -> SeenVisit:
    """Return a visit as its files know it."""
    rows = {row.lesion: with_correction(row, place) for row in read_lesions(place.rows(name))}
    return SeenVisit(name, rows, place.mask_in_use(name))


def _is_first(lesion: int, before: Sequence[SeenVisit]) -> bool:
    return all(lesion not in seen.rows for seen in before)
