"""What a NIfTI file calls its labels: a table in an extension of its header, as TotalSegmentator writes it.

Source: the CaretExtension of Connectome Workbench, XML with one `<Label Key="5">liver</Label>` per label, which
TotalSegmentator (nifti_ext_header.py) writes too.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import anatomical_embedding.volumes.nibabel_alone  # noqa: F401, loads nibabel in its own way  # isort: skip
import nibabel
import numpy as np
from nibabel.imageglobals import ErrorLevel, LoggingOutputSuppressor
from numpy.typing import NDArray

DICOM_CODE = 2
"""Of extensions that hold DICOM tags, which are not looked into."""
NO_ERROR = 1000
"""More than any severity of a fault in a header."""
MARK = b"<CaretExtension"
DECLARATIONS = (b"<!DOCTYPE", b"<!ENTITY")
"""A few lines of these can stand for gigabytes; no table has them."""


def names_in_nifti(path: Path) -> dict[int, str]:
    """Return label -> name by the table in a NIfTI file that can be read; empty where it has none, or no sound one."""
    # What is wrong in the header was told as its voxels were read.
    with LoggingOutputSuppressor(), ErrorLevel(NO_ERROR):
        extensions = nibabel.load(path).header.extensions  # type: ignore[attr-defined]
    for extension in extensions:
        content = extension.content  # as it is stored: nibabel does not understand every code
        is_table = extension.get_code() != DICOM_CODE and MARK in content
        if is_table and not any(map(content.__contains__, DECLARATIONS)):
            return _names(content.strip(b"\0 \r\n\t"))
    return {}


def _names(content: bytes) -> dict[int, str]:
    try:
        labels = list(ElementTree.fromstring(content).iter("Label"))  # noqa: S314, without declarations
        found = {int(label.get("Key", "")): (label.text or "").strip() for label in labels}
    except (ElementTree.ParseError, ValueError):
        return {}
    return {label: name for label, name in found.items() if label > 0 and name}


def names_said(names: Mapping[int, str], array: NDArray) -> list[str]:
    """Return what to say of the names of the labels in an array; nothing where they have none."""
    present = [int(label) for label in np.unique(array) if label]
    named = ", ".join(f"{label} {names.get(label, '')}".strip() for label in present)
    return [f"its labels are {named}"] if any(label in names for label in present) else []


def misnamed_labels(names: Mapping[int, str], organs: Sequence[str]) -> dict[int, str]:
    """Return the labels that their file calls by the name of an organ whose label is another one, with what to say.

    Names that are those of no organ may be other words for the same, and tell nothing.

    Examples
    --------
    >>> misnamed_labels({1: "spleen", 2: "Aorta", 3: "lien"}, ["spleen", "liver", "aorta"])
    {2: "is called 'Aorta' in its file, and 'liver' by its number; 'aorta' would be 3"}
    """
    labels = {_plain(organ): label for label, organ in enumerate(organs, start=1)}
    return {
        label: f"is called {name!r} in its file, and {organs[label - 1]!r} by its number; "
        f"{organs[labels[_plain(name)] - 1]!r} would be {labels[_plain(name)]}"
        for label, name in sorted(names.items())
        if label <= len(organs) and labels.get(_plain(name), label) != label
    }


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
