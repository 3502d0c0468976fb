"""Data set kind `deeplesion_tracking`: the volumes that lesion annotations name, and the split that they give."""

import re
from pathlib import Path

from anatomical_embedding.datasets.lesion_annotations import patient_of_file, read_annotations
from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.identifiers import is_identifier, quote_some
from anatomical_embedding.settings.dataset import DeepLesionTrackingSettings
from anatomical_embedding.settings.split import Split


def volume_of_file(name: str) -> str:
    """Return the volume id of a file name.

    Examples
    --------
    >>> volume_of_file("000016_02_01_223-283.nii.gz"), volume_of_file("B.NII")
    ('000016_02_01_223-283', 'B')
    """
    return re.sub(r"\.nii(\.gz)?$", "", name, flags=re.IGNORECASE)


def list_annotated_volumes(settings: DeepLesionTrackingSettings) -> list[RawVolume]:
    """Return the volumes that the annotations name, sorted by id.

    Raises
    ------
    InputFileError
        if an annotation file is malformed or names what is no identifier, or a volume is not in the folder.
    """
    names = sorted({name for path in settings.annotations.values() for name in _files_of(path)})
    bad = [name for name in names if not is_identifier(volume_of_file(name))]
    if bad:
        path = next(iter(settings.annotations.values()))
        raise InputFileError(path, f"names {quote_some(bad)}, expected letters, digits, '_', '.' and '-'")
    absent = [name for name in names if not (settings.root / name).is_file()]
    if absent:
        raise InputFileError(
            settings.root,
            f"lacks {len(absent)} of the {len(names)} volumes that the annotations name: {quote_some(absent)}; "
            "set the data set's root to the folder that holds them",
        )
    return [
        RawVolume(volume_of_file(name), patient_of_file(name), "ct", settings.root / name, {})
        for name in names
    ]


def annotated_splits(settings: DeepLesionTrackingSettings) -> dict[str, Split]:
    """Return the split of every patient: that of the annotation file which names the patient.

    Raises
    ------
    InputFileError
        if two files name one patient.
    """
    splits: dict[str, Split] = {}
    for split, path in settings.annotations.items():
        patients = {patient_of_file(name) for name in _files_of(path)}
        twice = sorted(patients & splits.keys())
        if twice:
            raise InputFileError(path, f"names the patients {quote_some(twice)} of another split as well")
        splits |= dict.fromkeys(patients, split)
    return splits


def _files_of(path: Path) -> set[str]:
    if not path.is_file():
        raise InputFileError(path, "does not exist; set the data set's annotations")
    pairs = read_annotations(path)
    return {*pairs.source_files, *pairs.target_files}
