"""Points of DICOM: of reports of measurements (SR) and of structure sets (RTSTRUCT), both in mm of the patient, LPS.

Sources: DICOM PS3.3 C.18.9 (3D spatial coordinates) and C.8.8.6 (contours); PS3.16 TID 1500, 1411 and 1501 (a group of
measurements names its finding). Points in pixels of an image (SCOORD) are found by that image alone, and regions and
lines are no points: these are left out and named.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.points.named_points import NUM_COORDINATES, NamedPoints, as_ras
from anatomical_embedding.volumes.dicom_mark import is_marked_dicom

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

REPORTS = "1.2.840.10008.5.1.4.1.1.88."
"""Begins the UID of every class of reports."""
NAMING_CONCEPTS = ("112039", "363698007", "121071")
"""Tracking Identifier, Finding Site and Finding: the first of them that a group of measurements has is its name."""
PIXELS, SPACE = "SCOORD", "SCOORD3D"
POINT_TYPES = frozenset({"POINT", "MULTIPOINT"})
LARGEST_POSITION_MM = 1e6
STRUCTURES, CONTENT = ("StructureSetROISequence", "ROIContourSequence"), "ContentSequence"


@dataclass(frozen=True)
class _Placed:
    """What a file draws under one name.

    Attributes
    ----------
    name : may be empty.
    positions : numbers of its points, three each, LPS mm.
    frame : of reference, may be empty.
    why_not : why it is no point, empty where it is.
    """

    name: str
    positions: Sequence[float]
    frame: str
    why_not: str = ""


def is_report(path: Path) -> bool:
    """Say whether a file is a DICOM report (SR)."""
    if not (path.is_file() and is_marked_dicom(path)):
        return False
    from anatomical_embedding.volumes.dicom_header import read_dicom_header  # noqa: PLC0415, as below

    header = read_dicom_header(path)
    return header is not None and header.text("SOPClassUID").startswith(REPORTS)


def read_dicom_points(path: Path) -> NamedPoints:
    """Return the points of a report (POINT and MULTIPOINT of SCOORD3D) or of a structure set (POINT), as RAS+ mm.

    A point of a report is called by the tracking identifier of its group, else its finding site or finding; one of a
    structure set by its region. Several of one name are numbered, and one without is called by its place.

    Raises
    ------
    InputFileError
        if the object is of another kind or broken, holds no such point, or points of several frames of reference.
    """
    # The readers of DICOM take longer to load than a table takes to be read.
    from anatomical_embedding.volumes.dicom_header import (  # noqa: PLC0415
        name_of_uid,
        read_dataset,
        without_warnings,
    )

    dataset = read_dataset(path, stop_before_pixels=True)
    if not any(keyword in dataset for keyword in (*STRUCTURES, CONTENT)):
        kind = name_of_uid(str(dataset.get("SOPClassUID") or "")) or "unknown kind"
        raise InputFileError(path, f"is DICOM ({kind}), expected points of a report (SR) or a structure set")
    try:
        with without_warnings():
            drawn = list(_of_report(dataset) if CONTENT in dataset else _of_structures(dataset))
            positions = [np.array(item.positions, dtype=np.float64).ravel() for item in drawn]
    except Exception as error:  # of tags that are not there or not what they should be, in any way
        reason = " ".join(str(error).split())
        raise InputFileError(
            path, f"is not a sound DICOM object of points ({reason}); export it again"
        ) from error
    return _named(drawn, positions, path=path)


def require_frame(asked: NamedPoints, frame_of_reference: str, *, scan: str) -> list[str]:
    """Return what is to be said of the world of points, and refuse those of another one than their scan's.

    Parameters
    ----------
    frame_of_reference, scan : of the scan, empty where it is not known; and what it is called.

    Raises
    ------
    UserError
        if the points lie in another frame of reference.
    """
    if not asked.frame_of_reference or asked.frame_of_reference == frame_of_reference:
        return []
    if not frame_of_reference:
        return [f"the frame of reference of the points cannot be compared with that of {scan}"]
    raise UserError(
        f"the points lie in the frame of reference {asked.frame_of_reference}, {scan} in {frame_of_reference}: they "
        "were placed on another scan; give those of this one"
    )


def _named(drawn: Sequence[_Placed], positions: Sequence[np.ndarray], *, path: Path) -> NamedPoints:
    left_out = [
        f"{path}: {item.name or 'a place without a name'!r} is left out, {item.why_not}"
        for item in drawn
        if item.why_not
    ]
    points: list[np.ndarray] = []
    names: list[str] = []
    frames = set()
    for item, numbers in zip(drawn, positions, strict=True):
        if item.why_not:
            continue
        is_sound = len(numbers) and not len(numbers) % NUM_COORDINATES
        if not is_sound or not (np.abs(numbers) < LARGEST_POSITION_MM).all():
            shown = ", ".join(f"{value:g}" for value in numbers[:4])
            raise InputFileError(
                path, f"the point {item.name!r}: expected three numbers in mm, got {shown!r}"
            )
        points += list(numbers.reshape(-1, NUM_COORDINATES))
        names += [item.name] * (len(numbers) // NUM_COORDINATES)
        frames.add(item.frame)
    if not points:
        raise InputFileError(path, "; ".join(["holds no point in mm of the patient", *_reasons(drawn)]))
    if len(frames) > 1:
        raise InputFileError(
            path, f"holds points of {len(frames)} frames of reference, expected those of one scan"
        )
    points_mm = as_ras(np.array(points), coordinates="lps")
    return NamedPoints(points_mm, tuple(_told_apart(names)), tuple(left_out), frame_of_reference=frames.pop())


def _reasons(drawn: Iterable[_Placed]) -> list[str]:
    """Return why what is drawn is no point, each reason once."""
    return list(dict.fromkeys(f"{item.name or 'what it draws'!r} {item.why_not}" for item in drawn))


def _told_apart(names: Sequence[str]) -> Iterator[str]:
    """Give names of which those that are there more than once are numbered, and empty ones are their place."""
    seen: dict[str, int] = {}
    for place, name in enumerate(names, start=1):
        seen[name] = seen.get(name, 0) + 1
        if not name:
            yield str(place)
        else:
            yield f"{name} {seen[name]}" if names.count(name) > 1 else name


def _of_structures(dataset: "Dataset") -> Iterator[_Placed]:
    regions = {int(item.ROINumber): item for item in dataset.get(STRUCTURES[0]) or []}
    for drawn in dataset.get(STRUCTURES[1]) or []:
        region = regions[int(drawn.ReferencedROINumber)]
        name = str(region.get("ROIName") or "").strip()
        frame = str(region.get("ReferencedFrameOfReferenceUID") or "")
        contours = list(drawn.get("ContourSequence") or [])
        for contour in contours:
            if contour.ContourGeometricType == "POINT":
                yield _Placed(name, list(contour.ContourData or []), frame)
        if not any(contour.ContourGeometricType == "POINT" for contour in contours):
            yield _Placed(name, [], frame, "which is no point but outlines or lines")


def _of_report(item: "Dataset", told: Mapping[str, str] | None = None) -> Iterator[_Placed]:
    """Give what a part of a report draws, called by what it and the parts around it tell: naming concept -> words."""
    children = list(item.get(CONTENT) or [])
    own = {_concept_of(child): _text_of(child) for child in children}
    told = {**(told or {}), **{concept: own[concept] for concept in NAMING_CONCEPTS if own.get(concept)}}
    name = next((told[concept] for concept in NAMING_CONCEPTS if concept in told), "")
    for child in children:
        kind = str(child.get("ValueType") or "")
        if kind == PIXELS:
            yield _Placed(
                name, [], "", "which is given in pixels of an image, not in mm of the patient (SCOORD)"
            )
        elif kind == SPACE and child.GraphicType in POINT_TYPES:
            yield _Placed(name, list(child.GraphicData or []), str(child.ReferencedFrameOfReferenceUID))
        elif kind == SPACE:
            yield _Placed(name, [], "", f"which is no point but of the kind {child.GraphicType}")
        yield from _of_report(child, told)


def _concept_of(item: "Dataset") -> str:
    names = item.get("ConceptNameCodeSequence") or []
    return str(names[0].get("CodeValue") or names[0].get("LongCodeValue") or "") if names else ""


def _text_of(item: "Dataset") -> str:
    """Return the words of a text or a code."""
    codes = item.get("ConceptCodeSequence") or []
    text = item.get("TextValue") or (codes[0].get("CodeMeaning") if codes else "")
    return " ".join(str(text or "").split())
