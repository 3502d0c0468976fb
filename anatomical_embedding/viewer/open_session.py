"""From scans on a command line to a session: all of them embedded."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from anatomical_embedding.api import EmbeddedScan, Model, embed_scan
from anatomical_embedding.progress import track
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.viewer.session import Session, ShownScan
from anatomical_embedding.volumes.scan import distinct_names, find_modality, read_scan


def open_session(
    model: Model, scans: Sequence[Path], *, modality: Modality | None, pins_path: Path | None
) -> Session:
    """Return a session of raw scans, embedded now.

    Raises
    ------
    UserError
        if a scan cannot be embedded by the model, or the file of pinned points cannot be used.
    """
    shown = []
    named = list(zip(scans, distinct_names(scans), strict=True))
    for path, name in track(named, description="embedding scans", total=len(named)):
        kind = modality or find_modality(path, read_scan(path))
        scan = embed_scan(model, path, modality=kind)
        named_scan = EmbeddedScan(replace(scan.embedded, volume_id=name), scan.body_mask, scan.matching)
        shown.append(ShownScan(path, kind, named_scan))
    return Session(model, shown, pins_path=pins_path)
