"""The index of a data set from the descriptions of its prepared volumes."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.index_file import IndexRow
from anatomical_embedding.settings.split import Split


def gather_index(
    raw_volumes: Iterable[RawVolume], *, splits: Mapping[str, Split], descriptions_folder: Path
) -> list[IndexRow]:
    """Return one row for each raw volume, from `<volume_id>.json` in the folder.

    Parameters
    ----------
    raw_volumes : the data set's volumes.
    splits : split of each patient.
    descriptions_folder : what the stage `resample_volume` wrote, one description per volume.

    Raises
    ------
    InputFileError
        if a description is missing, cut short or of another modality than its volume.
    """
    return [
        _row(raw, split=splits[raw.patient_id], path=descriptions_folder / f"{raw.volume_id}.json")
        for raw in raw_volumes
    ]


def _row(raw: RawVolume, *, split: Split, path: Path) -> IndexRow:
    description = _read_description(path)
    try:
        if description["modality"] != raw.modality:
            raise InputFileError(
                path, f"describes {description['modality']}, expected {raw.modality}; prepare it again"
            )
        files, grid = description["files"], description["prepared"]
        return IndexRow(
            raw.volume_id,
            raw.patient_id,
            raw.modality,
            split,
            path.parent / files["image"],
            path.parent / files["body_mask"],
            path.parent / files["labels"] if files["labels"] else None,
            files["image_sha256"],
            *grid["shape"],
            *grid["spacing_mm"],
        )
    except (KeyError, TypeError) as error:
        raise InputFileError(
            path, f"is not a description of a prepared volume ({error}); prepare it again"
        ) from error


def _read_description(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputFileError(
            path, f"cannot be read as a description ({error}); prepare the volume first"
        ) from error
