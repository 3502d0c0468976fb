"""Who wrote a DICOM object, which lesion it speaks of, and the UIDs by which readers tell one object from another."""

import uuid
from collections.abc import Sequence

from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.follow.history import History
from anatomical_embedding.follow.records import Visit
from anatomical_embedding.versions import __version__

MANUFACTURER, MODEL_NAME = "anatomical-embedding", "anatomical-embedding follow"


def tracking_of(history: History, lesion: int) -> tuple[str, str]:
    """Return the identifier of a lesion for people and its unique one, the same at all visits."""
    return f"lesion {lesion}", uid_of("lesion", history.patient, history.record.visits[0].sha256, str(lesion))


def uid_of(*parts: str) -> str:
    """Return a UID that is the same for the same words, and else another (DICOM PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, chr(0).join(parts)).int}"


def content_words(history: History, visit: Visit) -> Sequence[str]:
    """Return what an object of a visit is made from, for its own UID: another content is another object."""
    rows = [str(row) for row in history.lesions if row.visit == visit.name]
    sizes = [str(row) for row in history.measurements if row.visit == visit.name]
    masks = history.folder.mask_in_use(visit.name)
    masks_sha256 = "" if masks is None else sha256_of_file(masks)
    return (__version__, history.patient, visit.name, visit.sha256, masks_sha256, *rows, *sizes)
