"""Raw folders in, raw volumes out: by name, and of folders by whether they hold DICOM; no image is read."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from anatomical_embedding.datasets.deeplesion_tracking import list_annotated_volumes
from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.datasets.scan_entries import (
    CASE_IMAGES,
    case_images,
    copied_evenly,
    entries_of,
    is_scan,
    name_of_scan,
    nested_scan,
    scans_of,
)
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.identifiers import first_clash, is_identifier, quote_some
from anatomical_embedding.settings.dataset import (
    CaseFoldersSettings,
    CtMrPairsSettings,
    DatasetSettings,
    DeepLesionTrackingSettings,
    FlatFolderSettings,
    FolderSettings,
)
from anatomical_embedding.settings.phantom import (
    PhantomSettings,
    PhantomTrackingSettings,
    subject_id,
    tracked_patient_id,
    tracked_volume_id,
    volume_id,
)
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.file_names import (
    DETACHED_SUFFIXES,
    VOLUME_SUFFIXES,
    is_volume_name,
    without_ending,
)

SCAN_KINDS = "files such as .nii.gz, .nrrd or .mha, or folders of one DICOM series each"
PHANTOM_LANDMARKS = "landmarks.csv"
PHANTOM_LABEL_MAPS: dict[Modality, str] = {"ct": "labels.nii.gz", "mr": "mr_labels.nii.gz"}
CASE_LABELS = "segmentations"
PAIR_PATTERN = "^(.+)_[0-9]{4}$"
PAIR_CT = "_0000"


def list_raw_volumes(settings: DatasetSettings, *, made_folder: Path) -> list[RawVolume]:
    """Return the raw volumes of a data set, sorted by id.

    Parameters
    ----------
    settings : the data set.
    made_folder : where the workflow writes the bodies of a data set of kind `phantom`, or scans that it moves; they
        need not be there yet. Other kinds have a `root` and do not look at it.

    Raises
    ------
    InputFileError
        naming the folder, if it is missing or holds no volume; if names are no identifiers or clash; if a
        case has no image, or no case has one of the organs; if the patient of a volume cannot be told; if
        annotations are malformed or name a volume that is not there.

    Notes
    -----
    One system call a file; 10,000 volumes take under a second. Of each folder one file is opened.
    """
    match settings:
        case FolderSettings():
            return _list_flat_folder(
                settings, patient_pattern=settings.patient_pattern, modality=settings.modality
            )
        case DeepLesionTrackingSettings():
            return list_annotated_volumes(settings)
        case CaseFoldersSettings():
            return _list_cases(settings)
        case CtMrPairsSettings():
            return _list_ct_mr_pairs(settings, made_folder=made_folder)
        case PhantomSettings():
            return _list_phantoms(settings, folder=made_folder)
        case PhantomTrackingSettings():
            return _list_tracked_phantoms(settings, folder=made_folder)


def phantom_landmarks_path(raw: RawVolume) -> Path:
    """Return the landmarks that lie beside the image of a phantom."""
    return raw.image_path.with_name(PHANTOM_LANDMARKS)


def _list_phantoms(settings: PhantomSettings, *, folder: Path) -> list[RawVolume]:
    return [
        RawVolume(
            volume_id(index, modality),
            subject_id(index),
            modality,
            folder / subject_id(index) / f"{modality}.nii.gz",
            {},
            folder / subject_id(index) / PHANTOM_LABEL_MAPS[modality] if settings.organs else None,
        )
        for index in range(settings.num_subjects)
        for modality in sorted(settings.modalities)
    ]


def _list_tracked_phantoms(settings: PhantomTrackingSettings, *, folder: Path) -> list[RawVolume]:
    scans = [
        (tracked_volume_id(index, time_point=time_point), tracked_patient_id(index))
        for index in range(settings.num_subjects)
        for time_point in (1, 2)
    ]
    return [RawVolume(scan, patient, "ct", folder / f"{scan}.nii.gz", {}) for scan, patient in scans]


def _list_ct_mr_pairs(settings: CtMrPairsSettings, *, made_folder: Path) -> list[RawVolume]:
    """Return the volumes of `<patient>_<four digits>.nii.gz`; 0000 is the CT, all others are MRs."""
    volumes = []
    for raw in _list_flat_folder(settings, patient_pattern=PAIR_PATTERN, modality="ct"):
        if raw.volume_id.endswith(PAIR_CT):
            volumes.append(raw)
            continue
        path = made_folder / f"{raw.volume_id}.nii.gz" if settings.known_move else raw.image_path
        volumes.append(replace(raw, modality="mr", image_path=path))
    modalities: dict[str, set[str]] = {}
    for raw in volumes:
        modalities.setdefault(raw.patient_id, set()).add(raw.modality)
    single = sorted(patient for patient, known in modalities.items() if len(known) < len(get_args(Modality)))
    if single:
        raise InputFileError(
            settings.root,
            f"patients {quote_some(single)} have no CT or no MR; expected <patient>{PAIR_CT}.nii.gz (CT) and "
            "<patient>_0001.nii.gz (MR) of each",
        )
    return volumes


def _list_flat_folder(
    settings: FlatFolderSettings, *, patient_pattern: str, modality: Modality
) -> list[RawVolume]:
    root = settings.root
    named = [(name_of_scan(entry), Path(entry.path)) for entry in scans_of(entries_of(root))]
    volumes = []
    for name, path in _by_checked_id(root, named, expected=SCAN_KINDS):
        patient = _patient_of(name, pattern=patient_pattern, root=root)
        series = settings.series_of(name) if path.is_dir() else None
        volumes.append(RawVolume(name, patient, modality, path, {}, series=series))
    _require_chosen(settings, volumes)
    return volumes


def _require_chosen(settings: FlatFolderSettings | CaseFoldersSettings, volumes: Sequence[RawVolume]) -> None:
    """Refuse a choice of a series for what is no volume, or no folder of DICOM."""
    if isinstance(settings.series, dict):
        folders = {volume.volume_id for volume in volumes if volume.image_path.is_dir()}
        unknown = sorted(set(settings.series) - folders)
        if unknown:
            raise InputFileError(
                settings.root,
                f"holds no folder of DICOM for {quote_some(unknown)}, of which `series` takes one; expected volume ids",
            )


def left_out(settings: DatasetSettings) -> list[str]:
    """Return sentences on what lies in a folder of volumes and is none by its name, or has a better copy there."""
    if not isinstance(settings, FolderSettings | CtMrPairsSettings):
        return []
    entries = [entry for entry in entries_of(settings.root) if not entry.name.startswith(".")]
    names = [entry.name for entry in entries]
    scans = {entry.name for entry in entries if is_scan(entry)} or {entry.name for entry in scans_of(entries)}
    detached = {without_ending(name) for name in names if name.lower().endswith(DETACHED_SUFFIXES)}
    others = [
        name
        for name in names
        if name not in scans and not {Path(name).stem, Path(Path(name).stem).stem} & detached
    ]
    remarks = []
    if others:
        endings = f"{', '.join(VOLUME_SUFFIXES[:-1])} and {VOLUME_SUFFIXES[-1]}"
        remarks.append(
            f"{settings.root}: left out {quote_some(others)}, only {endings} files, DICOM files and folders that hold "
            "DICOM files themselves (where there is nothing else, in folders below them) are volumes"
        )
    if copied := copied_evenly(scans):
        remarks.append(
            f"{settings.root}: left out {quote_some(copied)}, whose slices are tilted or not equally far apart; "
            f"taken are the copies that dcm2niix made of them, {quote_some(copied.values())}"
        )
    return remarks


def _list_cases(settings: CaseFoldersSettings) -> list[RawVolume]:
    root, organs, modality = settings.root, settings.organs, settings.modality
    folders = [(entry.name, Path(entry.path)) for entry in entries_of(root) if entry.is_dir()]
    by_id = _by_checked_id(root, folders, expected=f"case folders with {CASE_IMAGES[modality]}.nii.gz")
    volumes = []
    for case, folder in by_id:
        image = _case_image(folder, modality=modality)
        series = settings.series_of(case) if image.is_dir() else None
        one_map = _case_map(folder, name=settings.label_map) if organs and settings.label_map else None
        masks = {} if one_map else _case_labels(folder, organs=organs)
        volumes.append(RawVolume(case, case, modality, image, masks, one_map, series))
    _require_chosen(settings, volumes)
    if settings.label_map is not None:
        return volumes
    nowhere = sorted(set(organs).difference(*(volume.label_paths for volume in volumes)))
    if nowhere:
        raise InputFileError(
            root, f"no case has a mask of {quote_some(nowhere)}; check the spelling of the data set's organs"
        )
    return volumes


def _by_checked_id(root: Path, named: Iterable[tuple[str, Path]], *, expected: str) -> list[tuple[str, Path]]:
    """Return (id, path) sorted by id, once every id is usable and no two are alike."""
    named = sorted(named)
    if not named:
        raise InputFileError(
            root, f"holds no volume, expected {expected}; set the data set's root{nested_scan(root)}"
        )
    bad = [name for name, _ in named if not is_identifier(name)]
    if bad:
        raise InputFileError(
            root,
            f"volume ids must be letters, digits, '_', '.' and '-' and begin with a letter or digit, "
            f"got {quote_some(bad)}; rename the files",
        )
    clash = first_clash(name for name, _ in named)
    if clash:
        raise InputFileError(
            root, f"holds the volume {clash[0]!r} twice ({clash[0]!r} and {clash[1]!r}); rename or remove one"
        )
    return named


def _patient_of(volume_id: str, *, pattern: str, root: Path) -> str:
    found = re.search(pattern, volume_id)
    if found is None or not is_identifier(found[1] or ""):
        raise InputFileError(
            root,
            f"no patient in the volume id {volume_id!r} by patient_pattern {pattern!r}; adjust the pattern",
        )
    return found[1]


def _case_image(folder: Path, *, modality: Modality) -> Path:
    found, name = case_images(folder, modality=modality), CASE_IMAGES[modality]
    if not found:
        raise InputFileError(
            folder,
            f"has no {name}.nii.gz, nor {name} in another format; every folder here counts as a case; move other "
            "folders away",
        )
    if len(found) > 1:
        raise InputFileError(
            folder, f"holds several scans, {quote_some([path.name for path in found])}; remove all but one"
        )
    return found[0]


def _case_map(folder: Path, *, name: Path) -> Path:
    path = folder / name
    if not path.exists():
        raise InputFileError(
            folder, f"has no {name}, the label map of the data set; move the case away or set label_map"
        )
    return path


def _case_labels(folder: Path, *, organs: Sequence[str]) -> dict[str, Path]:
    if not organs:
        return {}
    labels = folder / CASE_LABELS
    try:
        names = sorted(filter(is_volume_name, os.listdir(labels)))  # noqa: PTH208 - one call per case, names alone
    except FileNotFoundError:
        return {}
    by_organ: dict[str, str] = {}
    for name in names:
        organ = without_ending(name)
        if organ in organs and by_organ.setdefault(organ, name) != name:
            raise InputFileError(
                labels, f"holds the mask of {organ!r} twice, {by_organ[organ]!r} and {name!r}; remove one"
            )
    return {organ: labels / by_organ[organ] for organ in organs if organ in by_organ}
