"""The visits of one patient: checked before work is done, embedded once, and few in memory at a time."""

import datetime
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from anatomical_embedding.embedding.export import is_stored
from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.places import pair_anchors, swap_anchors
from anatomical_embedding.follow.recent_scans import RecentScans
from anatomical_embedding.follow.records import Visit
from anatomical_embedding.identifiers import is_identifier
from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.progress import log
from anatomical_embedding.settings.follow import PlaceSettings
from anatomical_embedding.usage.model import Model
from anatomical_embedding.usage.scans import (
    EmbeddedScan,
    embed_raw_scan,
    open_embedding,
    origin_of,
    require_known,
)
from anatomical_embedding.usage.stores import save_embedding
from anatomical_embedding.volumes.dicom_mark import entries_of_dicom
from anatomical_embedding.volumes.file_names import is_volume_name
from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions
from anatomical_embedding.volumes.scan import distinct_names, sha256_of_scan

DICOM_DATES = ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate")
"""Where a date is looked for, in this order; files of many frames have the second in place of the first."""
DATE_LETTERS = len("20260331")
"""Of a DICOM date, and of the date in a DICOM time stamp."""
PATIENT_ID, STUDY_UID = "PatientID", "StudyInstanceUID"
NUM_PAIRS_KEPT = 16
"""Of visits whose matched points stay in memory, some 100 KB each."""


@dataclass(frozen=True)
class AskedVisit:
    """A visit as its user names it.

    Attributes
    ----------
    name : unique, an identifier.
    scan : file, or folder of one DICOM series.
    date : None where nothing tells it.
    """

    name: str
    scan: Path
    date: datetime.date | None


def name_visits(
    scans: Sequence[Path], dates: Sequence[datetime.date | None], *, series: str | None = None
) -> list[AskedVisit]:
    """Return the visits of some scans in their order, called after the scans, or `visit0` and so on.

    A date that is not told is read from a DICOM scan: from the series of it that is taken.
    """
    names = distinct_names(scans) if len(set(scans)) == len(scans) else []
    if not names or not all(map(is_identifier, names)):
        names = [f"visit{number}" for number in range(len(scans))]
    return [
        AskedVisit(name, scan, date or date_of_scan(scan, series=series))
        for name, scan, date in zip(names, scans, dates, strict=True)
    ]


def require_order(visits: Sequence[AskedVisit], *, series: str | None = None) -> dict[str, str]:
    """Return the checksums of the scans by visit, if each is another scan and no date falls.

    Raises
    ------
    UserError
        naming the two visits at fault.
    """
    checksums: dict[str, str] = {}
    dated: AskedVisit | None = None
    for visit in visits:
        checksum = sha256_of_scan(visit.scan, series=series)
        for name, other in checksums.items():
            if other == checksum:
                raise UserError(
                    f"visits {name} and {visit.name} are the same scan ({visit.scan}); give each visit its own"
                )
        checksums[visit.name] = checksum
        if visit.date is None:
            continue
        if dated is not None and dated.date is not None and visit.date < dated.date:
            raise UserError(
                f"visit {visit.name} is of {visit.date}, before visit {dated.name} of {dated.date}; "
                "give the visits in the order of time"
            )
        dated = visit
    return checksums


def remarks_on_patients(visits: Sequence[AskedVisit], *, series: str | None = None) -> list[str]:
    """Return what to say where DICOM scans of the visits name several patients, a sentence for each after the first."""
    named = [(visit, _header_texts(visit.scan, (PATIENT_ID,), series=series)) for visit in visits]
    known = [(visit, patient) for visit, (patient, *_) in named if patient]
    return [
        f"{visit.scan}: is of the patient {patient!r} by its header, visit {known[0][0].name} of {known[0][1]!r}; "
        "they are followed as of one"
        for visit, patient in known[1:]
        if patient != known[0][1]
    ]


def remarks_on_studies(visits: Sequence[AskedVisit], *, series: str | None = None) -> list[str]:
    """Return what to say where DICOM scans of two visits are series of one study, a sentence for each after the first.

    Phases of one examination are no visits: what differs between them is contrast agent.
    """
    first: dict[str, AskedVisit] = {}
    said = []
    for visit in visits:
        study = _header_texts(visit.scan, (STUDY_UID,), series=series)[0]
        before = first.setdefault(study, visit) if study else visit
        if before is not visit:
            said.append(
                f"{visit.scan}: is of the same study as visit {before.name} by its header; it is followed as another "
                "visit"
            )
    return said


def remarks_on_dates(visits: Sequence[AskedVisit], *, series: str | None = None) -> list[str]:
    """Return what to say where the told dates of visits contradict those in their DICOM headers.

    Dates that all differ by the same number of days were moved by an anonymiser, and nothing is said.
    """
    known = [
        (visit, visit.date, stated)
        for visit in visits
        if visit.date is not None and (stated := date_of_scan(visit.scan, series=series)) is not None
    ]
    shifts = {given - stated for _, given, stated in known}
    if shifts == {datetime.timedelta(0)} or (len(shifts) == 1 and len(known) > 1):
        return []
    return [
        f"{visit.scan}: visit {visit.name} is of {given}, as given, but of {stated} by its header"
        for visit, given, stated in known
        if given != stated
    ]


def date_of_scan(scan: Path, *, series: str | None = None) -> datetime.date | None:
    """Return the date in the header of a DICOM scan; None where there is none, or the scan is no DICOM.

    Parameters
    ----------
    scan : file or folder.
    series : number or UID of the series that is taken of a folder that holds several.
    """
    for text in _header_texts(scan, DICOM_DATES, series=series):
        try:
            return datetime.datetime.strptime(text[:DATE_LETTERS], "%Y%m%d").date()
        except ValueError:
            continue
    return None


def _header_texts(scan: Path, tags: Sequence[str], *, series: str | None) -> list[str]:
    """Return the values of some tags in the first slice of a DICOM scan, empty where it has none; of other scans too.

    All slices of a series name one patient and one day, so that the first header which can be read speaks for all.
    What lies beside them, such as a segmentation, may be of another day.
    """
    files: Iterable[Path] = ()
    if scan.is_dir():
        files = (entry for entry in entries_of_dicom(scan) if entry.is_file())
    elif not is_volume_name(scan.name):
        files = [scan]
    wanted = series if scan.is_dir() else None
    return next(
        filter(None, (_texts_of_slice(path, tags, series=wanted) for path in files)), [""] * len(tags)
    )


def _texts_of_slice(path: Path, tags: Sequence[str], *, series: str | None) -> list[str]:
    """Return the values of some tags in a file; none if it is no slice of a scan, or of another series than asked."""
    import pydicom  # noqa: PLC0415

    from anatomical_embedding.volumes.dicom_files import names_of_series, read_slice_header  # noqa: PLC0415
    from anatomical_embedding.volumes.dicom_header import without_warnings  # noqa: PLC0415

    try:
        file = read_slice_header(path)
        if file is None or (series is not None and series not in names_of_series(file)):
            return []
        with without_warnings():
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags), force=True)
            return [str(header.get(tag, "") or "") for tag in tags]
    except Exception:  # a parser of any bytes whatever may fail in any way; reading the scan says so
        return []


class VisitScans:
    """The scans of the visits, embedded once and read when they are needed; those used last stay in memory.

    Parameters
    ----------
    model : that embeds them.
    folder : of the patient; stores lie in it.
    visits : by name.
    checksums : of the scans by visit, from `require_order`.
    num_kept : embedded scans in memory at a time, however many visits there are.
    recent : reads the scans.
    options : what the scans do not say themselves.
    """

    def __init__(
        self,
        model: Model,
        folder: FollowFolder,
        visits: Sequence[AskedVisit],
        *,
        checksums: Mapping[str, str],
        num_kept: int,
        recent: RecentScans,
        options: ReadingOptions,
    ):
        self.model = model
        self._folder = folder
        self._asked = {visit.name: visit for visit in visits}
        self._checksums = checksums
        self._num_kept = num_kept
        self._recent = recent
        self._recent.checksums |= {visit.scan: checksums[visit.name] for visit in visits}
        self._options = options
        self._open: OrderedDict[str, EmbeddedScan] = OrderedDict()
        self._anchors: OrderedDict[tuple[str, str], Anchors] = OrderedDict()
        self.remarks: list[str] = []

    def __getitem__(self, name: str) -> EmbeddedScan:
        """Return the embedded scan of a visit, with its voxels.

        Raises
        ------
        UserError
            if it cannot be read or embedded.
        """
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        while len(self._open) >= self._num_kept:
            self._open.popitem(last=False)
        raw = self.raw(name)
        self._open[name] = self._embedded(
            raw, self._checksums[name], self._folder.stores / f"{name}.safetensors"
        )
        return self._open[name]

    def raw(self, name: str) -> RawScan:
        """Return the scan of a visit as it is read, not embedded.

        Raises
        ------
        UserError
            if it cannot be read, or is of a kind that the model does not know.
        """
        raw = self._recent.read(self._asked[name].scan, self._options)
        require_known(self.model, raw.path, raw.modality, is_stated=self._options.modality is not None)
        return raw

    def anchors(self, template: str, target: str, *, settings: PlaceSettings) -> Anchors:
        """Return the points of the body that are matched between two visits, found once for those used last.

        They are matched from the earlier visit to the later one and back, so that both ways take the same points.
        """
        names = list(self._asked)
        if names.index(template) > names.index(target):
            return swap_anchors(
                self.anchors(target, template, settings=settings), self[target], settings=settings
            )
        pair = (template, target)
        if pair not in self._anchors:
            if len(self._anchors) >= NUM_PAIRS_KEPT:
                self._anchors.popitem(last=False)
            self._anchors[pair] = pair_anchors(self[template], self[target], settings=settings)
        return self._anchors[pair]

    def _embedded(self, raw: RawScan, sha256: str, store: Path) -> EmbeddedScan:
        origin = origin_of(self.model, sha256, modality=raw.modality, options=raw.options)
        if is_stored(store, origin):
            scan = open_embedding(self.model, store)
        else:
            log(f"embedding {raw.path}")
            _, scan = embed_raw_scan(self.model, raw, origin=origin)
            save_embedding(scan, store)
            self.remarks += scan.remarks
        return replace(scan, raw=raw)

    def visit(self, name: str) -> Visit:
        """Return what the record says of a visit; reads its scan."""
        raw = self[name].raw
        if raw is None:
            raise InputFileError(self._asked[name].scan, "holds no image")
        affine = tuple(tuple(map(float, row)) for row in raw.volume.affine)
        asked = self._asked[name]
        chosen = {name: value for name, value in asdict(self._options).items() if value is not None}
        return Visit(
            name,
            asked.date,
            asked.scan,
            self._checksums[name],
            raw.volume.shape,
            affine,
            raw.modality,
            chosen,
        )
