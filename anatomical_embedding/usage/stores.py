"""Embeddings of scans kept on disk: one store a scan, made once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from anatomical_embedding.embedding.export import STORE_SUFFIX, holds_no_other_volume, is_stored
from anatomical_embedding.embedding.store import write_store
from anatomical_embedding.errors import UserError
from anatomical_embedding.files import held_folder, require_writable_folder
from anatomical_embedding.progress import track
from anatomical_embedding.usage.model import Model
from anatomical_embedding.usage.scans import (
    EmbeddedScan,
    body_mask_path,
    embed_raw_scan,
    origin_of,
    read_scan,
    require_known,
)
from anatomical_embedding.volumes.file_names import is_volume_name
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.raw_scan import Reading, ReadingOptions
from anatomical_embedding.volumes.scan import distinct_names, folder_name, sha256_of_scan
from anatomical_embedding.volumes.volume_file import read_file_header


@dataclass(frozen=True)
class StoredScan:
    """A scan whose embedding is on disk.

    Attributes
    ----------
    scan : its file or folder.
    store : where its embedding lies.
    remarks : what a user should know of it, a sentence each.
    """

    scan: Path
    store: Path
    remarks: tuple[str, ...]


def embed_scans(
    model: Model,
    scans: Iterable[Path | str],
    *,
    folder: Path | str,
    **reading: Unpack[Reading],
) -> list[StoredScan]:
    """Embed scans and write one store for each; what is stored already is left alone.

    A store is called after its scan. Where a store of this name holds another scan, the name of the scan's folder
    comes before it; a store of another scan is never written over.

    Raises
    ------
    UserError
        as `embed_scan`, and if two scans have one name.
    """
    paths = [Path(scan) for scan in scans]
    named = list(zip(paths, distinct_names(paths), strict=True))
    require_writable_folder(folder)
    options = ReadingOptions(**reading)
    for path in paths:
        _require_sound_header(model, path, options, is_alone=len(paths) == 1)
    stored: list[StoredScan] = []
    for path, name in track(named, description="embedding scans", total=len(named)):
        # A scan that is stored need not be read again, unless only its values tell what it is.
        raw = None if options.modality else read_scan(model, path, **reading)
        sha256 = raw.sha256 if raw else sha256_of_scan(path, series=options.series)
        modality = raw.modality if raw else options.modality
        origin = origin_of(model, sha256, modality=modality, options=options)
        taken = {other.store for other in stored}
        place = _place_of_store(path, name, Path(folder), taken=taken, volume_sha256=sha256)
        remarks = raw.notes if raw else ()
        if not is_stored(place.store, origin):
            raw = raw or read_scan(model, path, **reading)
            _, scan = embed_raw_scan(model, raw, origin=origin)
            with held_folder(folder, waits=True):
                # Another command may have stored a scan of this name meanwhile.
                place = _place_of_store(path, name, Path(folder), taken=taken, volume_sha256=sha256)
                save_embedding(scan, place.store)
            remarks = scan.remarks
        stored.append(replace(place, remarks=(*remarks, *place.remarks)))
    return stored


def _require_sound_header(model: Model, scan: Path, options: ReadingOptions, *, is_alone: bool) -> None:
    """Refuse what shows without reading voxels, before the first scan is embedded."""
    if options.modality is not None:
        require_known(model, scan, options.modality, is_stated=True)
    if is_volume_name(scan.name):
        read_file_header(scan, geometry=options.geometry)
    elif not is_alone:
        from anatomical_embedding.volumes.dicom_files import find_series_files  # noqa: PLC0415, loads pydicom

        find_series_files(scan, series=options.series)


def _place_of_store(
    scan: Path, name: str, folder: Path, *, taken: set[Path], volume_sha256: str
) -> StoredScan:
    """Return where the store of a scan goes: under the first name under which no other scan lies."""
    parent = folder_name(scan)
    stores = [folder / f"{name}{STORE_SUFFIX}", folder / f"{parent}_{name}{STORE_SUFFIX}"]
    for place, store in enumerate(stores):
        if store not in taken and holds_no_other_volume(store, volume_sha256=volume_sha256):
            remark = f"{stores[0]} holds another scan, or an earlier version of {scan}; this one is stored as {store}"
            return StoredScan(scan, store, (remark,) if place else ())
    raise UserError(
        f"{scan}: {' and '.join(map(str, stores))} hold other scans, or an earlier version of this one; remove "
        "those that are no longer needed, or give another folder"
    )


def save_embedding(scan: EmbeddedScan, store: Path | str) -> None:
    """Write the store of a scan with the remarks on it, and its body mask beside it."""
    if scan.body_mask is not None:
        write_volume(scan.body_mask, body_mask_path(store))
    embedded = replace(scan.embedded, remarks=scan.remarks, frame_of_reference=scan.frame_of_reference)
    write_store(store, embedded)
