"""The folder in which the lesions of one patient are followed: where each of its files lies, and what it holds.

follow.json         patient, visits in their order, model, settings
lesions.csv         one row a lesion and visit: state, place, how it was found (`record_tables.LESION_COLUMNS`)
measurements.csv    one row a lesion and visit that has a mask (`MEASUREMENT_COLUMNS`); made from masks and scans alone
masks/VISIT.nii.gz  lesion numbers, the same at all visits, on the grid of the visit's scan
corrected/VISIT.nii.gz  a user's own masks in the same form; a visit that has one takes no other
decisions.csv       what a user decided, line by line (`DECISION_COLUMNS`); only ever appended to
targets.csv         a user's target lesions (`response.read_targets`)
stores/             embeddings of the visits, made once
visits/VISIT.csv, VISIT.json   rows of `lesions.csv` and entry of `follow.json` of one visit, by those before it
visits/VISIT.back.csv          rows of the lesions that are new at it, at the visits before it
made_from.json      what the files of each visit were made from
dicom/VISIT.seg.dcm, VISIT.sr.dcm   masks and measurements as DICOM objects
The files of the report lie beside these (`report_files`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


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
    def targets(self) -> Path:
        """`targets.csv`."""
        return self.folder / "targets.csv"

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

    def report_files(self, visit: str) -> tuple[Path, ...]:
        """Return where the files of one visit lie that the report writes: for 3D Slicer, and as DICOM."""
        return (
            self.folder / "markups" / f"{visit}.mrk.json",
            *self.dicom_objects(visit),
        )

    def dicom_objects(self, visit: str) -> tuple[Path, Path]:
        """Return where the SEG of the masks of a visit lies, and the SR of its measurements."""
        return self.folder / "dicom" / f"{visit}.seg.dcm", self.folder / "dicom" / f"{visit}.sr.dcm"

    def remove_former(self, visits: Collection[str]) -> list[str]:
        """Remove what was found of visits that are none any more, and return their names; embeddings stay.

        Else their masks and markups would lie among those of the visits. What a user corrected is left.
        """
        entries = {path.stem for path in self.entry("*").parent.glob("*.json")}
        former = sorted(visit for visit in entries - set(visits) if self.rows(visit).exists())
        for visit in former:
            found = (self.mask(visit), self.rows_back(visit), self.rows(visit), self.entry(visit))
            for path in (*self.report_files(visit), *found):  # last what tells of them
                path.unlink(missing_ok=True)
        return former
