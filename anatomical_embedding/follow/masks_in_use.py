"""Which masks count at a visit: those that a user corrected, else those that were found or given."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.record_tables import read_lesions
from anatomical_embedding.follow.records import LesionRow, MaskKind, MeasurementRow


def with_correction(row: LesionRow, place: FollowFolder) -> LesionRow:
    """Return a row whose mask, if it has one, is called corrected where the user has corrected those of its visit."""
    is_corrected = row.mask != "none" and place.corrected(row.visit).exists()
    return replace(row, mask="corrected") if is_corrected else row


def with_corrections(
    rows: Iterable[LesionRow], measured: Iterable[MeasurementRow], place: FollowFolder
) -> list[LesionRow]:
    """Return the rows of `lesions.csv` with what their masks are now.

    Corrected masks may have come since the table was written, also of a lesion that had none; where they went, the
    masks are what they were before.

    Raises
    ------
    InputFileError
        naming the table at fault.
    """
    rows = list(rows)
    sized = {(row.lesion, row.visit) for row in measured}
    gone = {row.visit for row in rows if row.mask == "corrected" and not place.corrected(row.visit).exists()}
    before: dict[tuple[int, str], MaskKind] = {
        (row.lesion, visit): row.mask
        for visit in gone
        for table in (place.rows(visit), place.rows_back(visit))
        if table.exists()
        for row in read_lesions(table)
    }
    return [_now(row, place, before=before, is_sized=(row.lesion, row.visit) in sized) for row in rows]


def _now(
    row: LesionRow, place: FollowFolder, *, before: Mapping[tuple[int, str], MaskKind], is_sized: bool
) -> LesionRow:
    if place.corrected(row.visit).exists():
        return replace(row, mask="corrected") if is_sized else with_correction(row, place)
    if row.mask == "corrected":
        return replace(row, mask=before.get((row.lesion, row.visit), "none"))
    return row
