"""Slices of two stacks that lie among each other: one volume, or two of different times or contrasts.

A scanner may take a volume in turns, every second slice first. Two scans whose slices happen to interleave look the
same by their places; then neighbours differ more than the slices beyond them, which are of one stack.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.dicom_header import STACK_TAGS, DicomFile

MOST_OF_SECOND_NEIGHBOUR = 1.1
"""By how much neighbours may differ in a volume taken in turns, in times what slices two apart do."""


def how_to_part(file: DicomFile) -> str:
    """Return what to do where the images of a folder, or of a file, are of several volumes."""
    if file.frame is None:
        return "put the slices of one in a folder of its own"
    return "write the frames of one as a file of its own and name that"


def require_one_acquisition(folder: Path, files: Sequence[DicomFile]) -> None:
    """Refuse slices of several acquisitions, or reconstructions, that lie among each other at unequal distances."""
    for keyword in STACK_TAGS:
        first = _first_turn(files, keyword)
        if first is not None:
            told = _told(files, keyword, first, how=" at unequal distances")
            raise InputFileError(folder, f"{told}; {how_to_part(files[0])}")


def look_at_turns(folder: Path, files: Sequence[DicomFile], array: NDArray, *, remarks: list[str]) -> None:
    """Say that a volume was taken in turns, or refuse two stacks whose images do not go together.

    Parameters
    ----------
    files : sorted by their places.
    array : (X, Y, slices) their values.
    remarks : gets a sentence.

    Raises
    ------
    InputFileError
        naming the tag and two of the slices.
    """
    for keyword in STACK_TAGS:
        first = _first_turn(files, keyword)
        if first is None:
            continue
        told = _told(files, keyword, first)
        if _stacks_differ(array, [file.text(keyword) for file in files]):
            differ = "their images differ more than those of each alone"
            raise InputFileError(folder, f"{told}, and {differ}; {how_to_part(files[0])}")
        remarks.append(f"{told}; their images go together, so they are taken as one volume.")
        return


def _first_turn(files: Sequence[DicomFile], keyword: str) -> int | None:
    """Return the first slice of another value than the one before; None where each value has a part of its own."""
    values = [file.text(keyword) for file in files]
    changes = [place for place in range(1, len(values)) if values[place] != values[place - 1]]
    return changes[0] if len(changes) >= len(set(values)) else None


def _told(files: Sequence[DicomFile], keyword: str, place: int, *, how: str = "") -> str:
    num = len({file.text(keyword) for file in files})
    one, other = files[place - 1], files[place]
    what = "acquisitions" if keyword == "AcquisitionNumber" else "stacks"
    return (
        f"holds {num} {what} whose slices lie among each other{how}, such as {one.name} ({keyword} "
        f"{one.text(keyword) or 'none'}) and {other.name} ({other.text(keyword) or 'none'})"
    )


def _stacks_differ(array: NDArray, values: Sequence[str]) -> bool:
    """Return whether neighbours of two stacks differ more than slices two apart of one."""
    one_apart = [place for place in range(1, len(values)) if values[place] != values[place - 1]]
    two_apart = [place for place in range(2, len(values)) if values[place] == values[place - 2]]
    if not two_apart:
        return False
    other, same = (
        np.mean([_difference(array, place - step, place) for place in places])
        for step, places in ((1, one_apart), (2, two_apart))
    )
    return bool(other > MOST_OF_SECOND_NEIGHBOUR * same)


def _difference(array: NDArray, one: int, other: int) -> float:
    return float(np.abs(array[:, :, one].astype(np.float64) - array[:, :, other]).mean())
