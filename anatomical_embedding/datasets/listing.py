"""Raw folders in, raw volumes out: by name alone, no image is opened."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from anatomical_embedding.datasets.deeplesion_tracking import list_annotated_volumes
from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.identifiers import first_clash, is_identifier, quote_some
from anatomical_embedding.settings.dataset import (
    CaseFoldersSettings,
    CtMrPairsSettings,
    DatasetSettings,
    DeepLesionTrackingSettings,
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

CASE_IMAGES: dict[Modality, str] = {"ct": "ct.nii.gz", "mr": "mri.nii.gz"}
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
    One system call a file; 10,000 volumes take under a second.
    """
    match settings:
        case FolderSettings():
            return _list_flat_folder(
                settings.root, patient_pattern=settings.patient_pattern, modality=settings.modality
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
    for raw in _list_flat_folder(settings.root, patient_pattern=PAIR_PATTERN, modality="ct"):
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


def _list_flat_folder(root: Path, *, patient_pattern: str, modality: Modality) -> list[RawVolume]:
    paths = [Path(entry.path) for entry in _scan(root) if is_volume_name(entry.name)]
    named = [(without_ending(path.name), path) for path in paths]
    by_id = _by_checked_id(root, named, expected="files such as .nii.gz, .nrrd or .mha")
    return [
        RawVolume(volume_id, _patient_of(volume_id, pattern=patient_pattern, root=root), modality, path, {})
        for volume_id, path in by_id
    ]


def left_out(settings: DatasetSettings) -> list[str]:
    """Return a sentence on what else lies in a folder of volumes, and is no volume by its name."""
    if not isinstance(settings, FolderSettings | CtMrPairsSettings):
        return []
    names = [entry.name for entry in _scan(settings.root) if not entry.name.startswith(".")]
    detached = {without_ending(name) for name in names if name.lower().endswith(DETACHED_SUFFIXES)}
    others = [
        name
        for name in names
        if not is_volume_name(name) and not {Path(name).stem, Path(Path(name).stem).stem} & detached
    ]
    if not others:
        return []
    endings = f"{', '.join(VOLUME_SUFFIXES[:-1])} and {VOLUME_SUFFIXES[-1]}"
    return [f"{settings.root}: left out {quote_some(others)}, only {endings} files are volumes"]


def _list_cases(settings: CaseFoldersSettings) -> list[RawVolume]:
    root, organs, modality = settings.root, settings.organs, settings.modality
    image_name = CASE_IMAGES[modality]
    folders = [(entry.name, Path(entry.path)) for entry in _scan(root) if entry.is_dir()]
    by_id = _by_checked_id(root, folders, expected=f"case folders with {image_name}")
    if organs and settings.label_map is not None:
        return [
            RawVolume(
                case,
                case,
                modality,
                _case_image(folder, name=image_name),
                {},
                _case_map(folder, name=settings.label_map),
            )
            for case, folder in by_id
        ]
    volumes = [
        RawVolume(
            case, case, modality, _case_image(folder, name=image_name), _case_labels(folder, organs=organs)
        )
        for case, folder in by_id
    ]
    nowhere = sorted(set(organs).difference(*(volume.label_paths for volume in volumes)))
    if nowhere:
        raise InputFileError(
            root, f"no case has a mask of {quote_some(nowhere)}; check the spelling of the data set's organs"
        )
    return volumes


def _scan(root: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputFileError(
            root, f"cannot be read as a folder ({error.strerror}); set the data set's root"
        ) from error


def _by_checked_id(root: Path, named: Iterable[tuple[str, Path]], *, expected: str) -> list[tuple[str, Path]]:
    """Return (id, path) sorted by id, once every id is usable and no two are alike."""
    named = sorted(named)
    if not named:
        raise InputFileError(root, f"holds no volume, expected {expected}; set the data set's root")
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


def _case_image(folder: Path, *, name: str) -> Path:
    path = folder / name
    if not path.exists():
        raise InputFileError(
            folder, f"has no {name}; every folder here counts as a case; move other folders away"
        )
    return path


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
