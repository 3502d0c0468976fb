"""The folder that `register` writes into: no file of others is lost there, none of an earlier registration stays."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.points.points_file import NAMES_OF_FORMS, VOXEL_TABLE
from anatomical_embedding.registration.program_files import PROGRAMS
from anatomical_embedding.registration.registered_scans import START_FILE

IMAGE, FIELD, DOUBT, POINTS = "warped.nii.gz", "displacement_field.nii.gz", "doubt.nii.gz", "points.csv"
"""Files of a registration beside its start and its transforms."""
DECISION = "decision"
"""Column of carried points, by which they are known."""


def require_only_own(folder: Path, *inputs: Path | None) -> None:
    """Refuse a folder in which a registration would write over an input, or over files that none has written.

    Raises
    ------
    InputFileError
        naming the file that would be lost.
    """
    own = _own_files(folder)
    for path in filter(None, inputs):
        if any(path.samefile(other) for other in own):
            raise InputFileError(
                path, "is an input and would be overwritten; name another folder for --output"
            )
    foreign, lacking = own, f"{START_FILE} is not beside it"
    if (folder / START_FILE).exists():
        is_carried = DECISION in _columns_of(folder / POINTS)
        foreign, lacking = [] if is_carried else _own_points(folder), f"{POINTS} has no column {DECISION}"
    if foreign:
        raise InputFileError(
            foreign[0],
            f"would be overwritten, but no registration has written it: {lacking}; name another folder for --output",
        )


def remove_former(folder: Path, *, kept: Path | None) -> list[Path]:
    """Remove what an earlier registration left, but for one file, and return what was removed.

    Else its points, or its files for other programs, would lie beside the transforms of other scans.
    """
    former = [path for path in _own_files(folder) if kept is None or not path.samefile(kept)]
    for path in former:
        path.unlink()
    return former


def removed_for_good(folder: Path, former: Sequence[Path]) -> list[str]:
    """Return what to say of removed files that were not written anew."""
    gone = ", ".join(path.relative_to(folder).as_posix() for path in former if not path.exists())
    return [f"{folder}: removed what an earlier registration left there: {gone}"] if gone else []


def _own_files(folder: Path) -> list[Path]:
    """Return the files in a folder that a registration writes, apart from its start."""
    names = [IMAGE, FIELD, DOUBT, *(name for program in PROGRAMS.values() for name in program.files)]
    return [*_own_points(folder), *_files_of(folder, names)]


def _own_points(folder: Path) -> list[Path]:
    return _files_of(folder, [POINTS, VOXEL_TABLE, *NAMES_OF_FORMS.values()])


def _files_of(folder: Path, names: Iterable[str]) -> list[Path]:
    return [path for name in dict.fromkeys(names) if (path := folder / name).is_file()]


def _columns_of(table: Path) -> list[str]:
    """Return the names in the first line of a table; none of a file that is not there."""
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", errors="replace") as stream:
        return stream.readline().strip().split(",")
