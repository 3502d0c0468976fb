"""DICOM Spatial Registration objects: each item leads one world to the registered one, LPS mm (PS3.3 C.20.2).

An item names its world by a frame of reference, or by its images where both scans lie in one frame of reference.
"""

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.registration.initial.start import InitialStart
from anatomical_embedding.registration.itk_transform import RAS_TO_LPS
from anatomical_embedding.volumes.affine import invert_affine
from anatomical_embedding.volumes.raw_scan import RawScan

if TYPE_CHECKING:
    from pydicom import Dataset

SPATIAL_REGISTRATION = "1.2.840.10008.5.1.4.1.1.66.1"
DEFORMABLE_REGISTRATION = "1.2.840.10008.5.1.4.1.1.66.3"
PAIR = 2
SAME_NUMBER = 1e-6


@dataclass(frozen=True)
class _Item:
    """What leads one world to the registered one.

    Attributes
    ----------
    frame : its frame of reference; empty where the item names images alone.
    images : instance UIDs that it names.
    matrix : (4, 4) LPS mm.
    remark : what is to be said of the matrix; empty for nothing.
    """

    frame: str
    images: frozenset[str]
    matrix: NDArray[np.float64]
    remark: str = ""

    @property
    def name(self) -> str:
        """What the item is called in messages."""
        return self.frame or f"(of {len(self.images)} images)"


def read_dicom_matrix(path: Path, *, fixed: RawScan, moving: RawScan) -> InitialStart:
    """Return the start in a Spatial Registration object.

    The scans' own frames of reference and images say which item is whose. Where a scan has none, as NIfTI files have
    not, what leads the registered world to itself is taken for the fixed scan's, the only other one for the moving
    scan's, and said.

    Raises
    ------
    InputFileError
        if it is another object, or one of other worlds, or no single matrix.
    """
    # pydicom takes longer to load than most starts take to read.
    from pydicom import dcmread  # noqa: PLC0415
    from pydicom.errors import InvalidDicomError  # noqa: PLC0415

    try:
        dataset = dcmread(path, stop_before_pixels=True)
        kind = dataset.SOPClassUID
    except (InvalidDicomError, AttributeError, OSError, ValueError) as error:
        raise InputFileError(path, f"cannot be read as a DICOM object ({error})") from error
    if kind == DEFORMABLE_REGISTRATION:
        raise InputFileError(
            path,
            "is a deformable registration; a start is an affine map, as a DICOM Spatial Registration holds it",
        )
    if kind != SPATIAL_REGISTRATION:
        raise InputFileError(path, f"is an object of {kind.name}, expected a Spatial Registration")
    items = _items(dataset, path)
    first, second = (_item_of(scan, items, path) for scan in (fixed, moving))
    remarks = []
    if first is None or second is None:
        first, second = _by_elimination(items, first, second, path)
        remarks.append(f"{path}: is taken from {first.name} for the fixed scan to {second.name}")
    remarks += [f"{path}: {item.remark}" for item in (first, second) if item.remark]
    lps = invert_affine(second.matrix) @ first.matrix
    return InitialStart(RAS_TO_LPS @ lps @ RAS_TO_LPS, tuple(remarks))


def _items(dataset: "Dataset", path: Path) -> list[_Item]:
    """Return what leads each world to the registered one; that one first where no item is of it."""
    found = [_item(item, path) for item in dataset.get("RegistrationSequence", [])]
    registered = str(dataset.get("FrameOfReferenceUID", ""))
    frames = [item.frame for item in found if item.frame]
    if len(set(frames)) < len(frames):
        raise InputFileError(path, "holds several matrices for one frame of reference")
    if len(frames) == len(found) and registered not in frames:
        found.insert(0, _Item(registered, frozenset(), np.eye(4)))
    return found


def _item(item: "Dataset", path: Path) -> _Item:
    """Return what an item of the object says, its matrices multiplied in their order (PS3.3 table C.20.2-1)."""
    frame = str(item.get("FrameOfReferenceUID", ""))
    images = frozenset(
        str(image.get("ReferencedSOPInstanceUID", "")) for image in item.get("ReferencedImageSequence", [])
    )
    whose = frame or "an item"
    try:
        (registration,) = item.MatrixRegistrationSequence
        matrices = [
            np.array(step.FrameOfReferenceTransformationMatrix, dtype=np.float64).reshape(4, 4)
            for step in registration.MatrixSequence
        ]
        matrix = reduce(np.matmul, matrices)
    except (AttributeError, TypeError, ValueError) as error:
        raise InputFileError(path, f"holds no single 4x4 matrix, or chain of them, for {whose}") from error
    if not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix[:3, :3]) < len(matrix[:3]):
        raise InputFileError(path, f"holds a singular matrix for {whose}")
    remark = ""
    if not np.allclose(matrix, reduce(np.matmul, matrices[::-1]), atol=SAME_NUMBER):
        remark = (
            f"states {len(matrices)} matrices for {whose}, multiplied in the order of their items, so that the last "
            "moves a point first"
        )
    return _Item(frame, images, matrix, remark)


def _item_of(scan: RawScan, items: list[_Item], path: Path) -> _Item | None:
    """Return the item of a scan, None for a scan that is no DICOM series."""
    if not scan.frame_of_reference:
        return None
    for item in items:
        if item.frame == scan.frame_of_reference:
            return item
    if not all(item.frame for item in items):
        from anatomical_embedding.volumes.dicom_source import read_dicom_source  # noqa: PLC0415

        source = read_dicom_source(scan.path, series=scan.options.series)
        own = {instance for _, instance in source.images}
        for item in items:
            if item.images & own:
                return item
    raise InputFileError(
        path,
        f"is between {', '.join(item.name for item in items)}; {scan.path} is of {scan.frame_of_reference}",
    )


def _by_elimination(
    items: list[_Item], first: _Item | None, second: _Item | None, path: Path
) -> tuple[_Item, _Item]:
    """Return the items of the fixed and the moving scan where one of them, or none, is known."""
    if len(items) != PAIR:
        raise InputFileError(
            path, f"is between {len(items)} worlds, and not both scans say theirs; give their DICOM folders"
        )
    if first is None and second is None:
        still = [np.array_equal(item.matrix, np.eye(4)) for item in items]
        if sum(still) != 1:
            raise InputFileError(
                path,
                "does not say which of its worlds is the fixed scan's, nor do the scans; give their DICOM folders",
            )
        first = items[still.index(True)]
    one, other = items
    if first is None:
        first = other if second is one else one
    return first, second or (other if first is one else one)
