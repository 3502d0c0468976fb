"""What a folder of scans is: its kind is told by names, its modality by a few of its scans."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anatomical_embedding.datasets.listing import CASE_LABELS, SCAN_KINDS
from anatomical_embedding.datasets.scan_entries import (
    CASE_IMAGES,
    case_images,
    entries_of,
    is_scan,
    name_of_scan,
    nested_scan,
    scans_of,
)
from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.identifiers import quote_some
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.dicom_files import find_series_files
from anatomical_embedding.volumes.file_names import is_volume_name, without_ending
from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan
from anatomical_embedding.volumes.value_shares import is_label_map
from anatomical_embedding.volumes.volume_file import read_volume_file

Kind = Literal["folder", "case_folders", "ct_mr_pairs"]

PAIR_NAME = re.compile(r"(.+)_([0-9]{4})")
DEEPLESION_NAME = re.compile(r"[0-9]{6}_[0-9]{2}_[0-9]{2}(_.*)?")
"""Patient, study and series; the slices may be left out."""
DEEPLESION_PATIENT = "^([0-9]+)_"
PATIENT_BEFORE_THE_LAST_WORD = "^(.*[0-9].*)[_.-]"
"""Of names such as pt_07_visit2: a number, and behind it another word."""
PATIENT_IN_THE_FIRST_NUMBER = "^([^0-9]*[0-9][^_.-]*)[_.-]"
"""Of names such as pt_07_visit2_series1: up to the first word with a number, and behind it another word."""
NUM_LOOKED_AT = 3
"""Scans whose voxels tell the modality of a folder; names do not."""


@dataclass(frozen=True)
class ScanFolder:
    """What a folder of scans is.

    Attributes
    ----------
    root : the folder.
    kind : of the data set that it is.
    modality : of all scans; None for pairs of CT and MR.
    num_patients : who have scans in it.
    organs : that it has masks of, sorted.
    patient_pattern : takes the patient out of a volume's id; None where every volume is a patient.
    series : number or UID of the DICOM series to take where a folder holds several, as the user tells it; by volume
        or for all; None where no folder does.
    maybe_one_patient : two volumes that are taken as two patients, and may be of one by their names; else empty.
    maybe_pattern : takes the patient out of such names; None where there are none.
    one_patient : two volumes that are taken as two patients, and are of one by their DICOM headers; else empty.
    not_taken : names of other scans that lie in the folders of the cases, each once, sorted.
    label_maps : those of them that are label maps.
    """

    root: Path
    kind: Kind
    modality: Modality | None
    num_patients: int
    organs: tuple[str, ...] = ()
    patient_pattern: str | None = None
    series: str | dict[str, str] | None = None
    maybe_one_patient: tuple[str, ...] = ()
    maybe_pattern: str | None = None
    one_patient: tuple[str, ...] = ()
    not_taken: tuple[str, ...] = ()
    label_maps: tuple[str, ...] = ()


def look_at_folder(
    root: Path, *, modality: Modality | None, series: str | dict[str, str] | None = None
) -> ScanFolder:
    """Return what a folder of scans is.

    Parameters
    ----------
    root : the folder.
    modality : of its scans, where the user tells it; None looks at some of them.
    series : number or UID of the DICOM series to take where folders hold several, by the name of the folder or for all.

    Raises
    ------
    InputFileError
        naming the folder, if it holds no scans in a layout that is known, CTs and MRs without order, or label maps
        among its scans; or naming a folder of DICOM that holds several series, or none that can be read.
    """
    entries = entries_of(root)
    folders = [Path(entry.path) for entry in entries if entry.is_dir()]
    for named_by in (modality,) if modality else CASE_IMAGES:
        images = [image for folder in folders for image in case_images(folder, modality=named_by)]
        if images:
            cases = sorted({image.parent for image in images})
            masks = [
                path for case in cases for path in (case / CASE_LABELS).glob("*") if is_volume_name(path.name)
            ]
            organs = tuple(sorted({without_ending(path.name) for path in masks}))
            known = _patients_by_headers({image.parent.name: image for image in images}, series)
            others = _other_scans(cases, images)
            return ScanFolder(
                root,
                "case_folders",
                named_by,
                len(cases),
                organs,
                series=series,
                one_patient=_one_patient(known),
                not_taken=tuple(sorted(others)),
                label_maps=tuple(sorted(name for name, path in others.items() if _is_label_map(path))),
            )
    scans = {name_of_scan(entry): Path(entry.path) for entry in scans_of(entries)}
    if scans:
        known = _patients_by_headers(scans, series)
        return _flat_folder(root, scans, known, modality=modality, series=series)
    raise InputFileError(
        root,
        f"holds no scans; expected {SCAN_KINDS}, or one folder per patient with ct.nii.gz or mri.nii.gz; "
        + _what_to_do(root, sorted(folders)),
    )


def _what_to_do(root: Path, folders: Iterable[Path]) -> str:
    """Return what to do where no folder in one holds a scan of a case.

    Folders of patients are more than the scans in one of them, folders of scans and of labels fewer.
    """
    held = {folder.name: [entry.name for entry in scans_of(entries_of(folder))] for folder in folders}
    held = {folder: names for folder, names in held.items() if names}
    if not held:
        return f"name the folder that directly holds the scans{nested_scan(root)}"
    first = next(iter(held))
    if len(held) > max(map(len, held.values())):
        return (
            f"if a folder is a patient, call its scan so, or link it under that name ({first} holds "
            f"{quote_some(held[first])}), else name the folder that directly holds the scans"
        )
    return f"name the folder that directly holds the scans, such as {first} in it"


def _other_scans(cases: Iterable[Path], images: Iterable[Path]) -> dict[str, Path]:
    """Return the first of each name of the scans of cases that are not among their images, such as MRs beside CTs."""
    taken = set(images)
    found: dict[str, Path] = {}
    for case in cases:
        for entry in entries_of(case):
            if Path(entry.path) not in taken and is_scan(entry):
                found.setdefault(entry.name, Path(entry.path))
    return found


def _is_label_map(scan: Path) -> bool:
    """Return whether a scan is a file whose values lie as labels do; what cannot be read is left to the run."""
    if not is_volume_name(scan.name):
        return False
    try:
        return is_label_map(read_volume_file(scan, geometry="sform", require_contrast=False).volume.array)
    except InputFileError:
        return False


def _patients_by_headers(scans: Mapping[str, Path], series: str | dict[str, str] | None) -> dict[str, str]:
    """Return the patient of each volume that is DICOM and names one.

    All headers are read, and folders that hold several series without a choice refused: all faults are told.
    """
    faults, patients = [], {}
    for name, scan in scans.items():
        if not is_volume_name(scan.name):
            try:
                slices = find_series_files(scan, series=_chosen(series, scan)).slices
            except InputFileError as error:
                faults.append(str(error))
            else:
                patients[name] = slices[0].text("PatientID")
    if faults:
        raise UserError("\n".join(faults))
    return {name: patient for name, patient in patients.items() if patient}


def _one_patient(patients: Mapping[str, str]) -> tuple[str, ...]:
    """Return two volumes of one patient; none where all name the same one, as after careless anonymisation."""
    volumes: dict[str, list[str]] = {}
    for name, patient in sorted(patients.items()):
        volumes.setdefault(patient, []).append(name)
    shared = [names for names in volumes.values() if len(names) > 1]
    return tuple(shared[0][:2]) if shared and len(volumes) > 1 else ()


def _chosen(series: str | dict[str, str] | None, scan: Path) -> str | None:
    """Return the series to take of a scan; its case or its own name says which."""
    if not scan.is_dir():
        return None
    return series.get(scan.name, series.get(scan.parent.name)) if isinstance(series, dict) else series


def _flat_folder(
    root: Path,
    scans: Mapping[str, Path],
    patients: Mapping[str, str],
    *,
    modality: Modality | None,
    series: str | dict[str, str] | None,
) -> ScanFolder:
    pairs = [PAIR_NAME.fullmatch(name) for name in scans]
    numbers: dict[str, set[str]] = {}
    for found in pairs:
        if found is not None:
            numbers.setdefault(found[1], set()).add(found[2])
    if all(pairs) and all("0000" in known and len(known) > 1 for known in numbers.values()):
        _require_ct_and_mr(root, scans, series=series)
        return ScanFolder(root, "ct_mr_pairs", None, len(numbers), series=series)
    looked_at = _some_of(list(scans.values()))
    _refuse_label_maps(root, looked_at)
    modality = modality or _modality_of(root, looked_at, series=series)
    if all(DEEPLESION_NAME.fullmatch(name) for name in scans):
        num_patients = len({name.partition("_")[0] for name in scans})
        return ScanFolder(
            root, "folder", modality, num_patients, patient_pattern=DEEPLESION_PATIENT, series=series
        )
    alike, pattern = _maybe_one_patient(scans)
    return ScanFolder(
        root,
        "folder",
        modality,
        len(scans),
        series=series,
        maybe_one_patient=alike,
        maybe_pattern=pattern,
        one_patient=() if alike else _one_patient(patients),
    )


def _require_ct_and_mr(root: Path, scans: Mapping[str, Path], *, series: str | dict[str, str] | None) -> None:
    """Refuse pairs that are no CT and MR by the scans of the first patient: nnU-Net numbers all channels so.

    Where a scan leaves a doubt, as a CT that is not in HU or an MR with values below 0, its name decides.
    """
    first = min(name for name in scans if name.endswith("0000"))
    patient = first.removesuffix("0000")
    for name in sorted(name for name in scans if name[: -len("0000")] == patient):
        wanted: Modality = "ct" if name == first else "mr"
        try:
            found = read_raw_scan(scans[name], ReadingOptions(series=_chosen(series, scans[name]))).modality
        except InputFileError:
            continue  # the run, which is told what the scan is, reads it or says what is wrong
        if found != wanted:
            raise InputFileError(
                scans[name],
                f"is a{'n' if found == 'mr' else ''} {found.upper()}, and by its name the {wanted.upper()} of a pair "
                f"(0000 is the CT); give scans of one modality a folder of their own, outside of {root.name}",
            )


def _maybe_one_patient(names: Iterable[str]) -> tuple[tuple[str, ...], str | None]:
    """Return two names that say one patient, and by which pattern, if all name one and there are several patients."""
    names = sorted(names)
    for pattern in (PATIENT_BEFORE_THE_LAST_WORD, PATIENT_IN_THE_FIRST_NUMBER):
        of_patient: dict[str, list[str]] = {}
        for name in names:
            found = re.search(pattern, name)
            of_patient.setdefault("" if found is None else found[1], []).append(name)
        shared = [found for found in of_patient.values() if len(found) > 1]
        if shared and len(of_patient) > 1 and "" not in of_patient:
            return tuple(shared[0][:2]), pattern
    return (), None


def _some_of(scans: Sequence[Path]) -> list[Path]:
    """Return the first, middle and last scan."""
    places = sorted({round(index * (len(scans) - 1) / (NUM_LOOKED_AT - 1)) for index in range(NUM_LOOKED_AT)})
    return [scans[place] for place in places]


def _refuse_label_maps(root: Path, scans: Iterable[Path]) -> None:
    """Refuse label maps among scans, whose every file would be taken as the scan of a patient."""
    maps = [scan.name for scan in scans if _is_label_map(scan)]
    if maps:
        raise InputFileError(
            root,
            f"holds label maps ({quote_some(maps)}), and every file in a folder of scans is taken as a scan; put the "
            "maps elsewhere, or to use them, each scan and its map into a folder of the patient, the scan as ct or "
            "mri (docs/configuration.md)",
        )


def _modality_of(root: Path, scans: Iterable[Path], *, series: str | dict[str, str] | None) -> Modality:
    """Return the modality of scans, which must be one."""
    found = {
        scan: read_raw_scan(scan, ReadingOptions(series=_chosen(series, scan))).modality for scan in scans
    }
    if len(set(found.values())) > 1:
        named = ", ".join(f"{path.name} is {modality}" for path, modality in found.items())
        raise InputFileError(root, f"holds CTs and MRs ({named}), expected one modality; give each a folder")
    return next(iter(found.values()))
