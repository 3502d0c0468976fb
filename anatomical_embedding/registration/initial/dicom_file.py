"""DICOM Spatial Registration objects: each item leads a frame of reference to the registered one, LPS mm (C.20.2)."""

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


def read_dicom_matrix(path: Path, *, fixed: RawScan, moving: RawScan) -> InitialStart:
    """Return the start in a Spatial Registration object.

    The scans' own frames of reference say which item is whose. Where a scan has none, as NIfTI files have not, the
    frame of reference of the object is taken for the fixed scan's, the only other one for the moving scan's, and said.

    Raises
    ------
    InputFileError
        if it is another object, or one of other frames of reference, or no single matrix.
    """
    # pydicom takes longer to load than most starts take to read.
    from pydicom import dcmread  # noqa: PLC0415
    from pydicom.errors import InvalidDicomError  # noqa: PLC0415

    try:
        dataset = dcmread(path, stop_before_pixels=True)
        kind = dataset.SOPClassUID
    except (InvalidDicomError, AttributeError, OSError, ValueError) as error:
        raise InputFileError(path, f"cannot be read as a DICOM object ({error})") from error
    if kind != SPATIAL_REGISTRATION:
        raise InputFileError(path, f"is an object of {kind.name}, expected a Spatial Registration")
    to_registered = _matrices(dataset, path)
    fixed_uid, moving_uid, remarks = _frames(path, list(to_registered), dataset, fixed, moving)
    lps = invert_affine(to_registered[moving_uid]) @ to_registered[fixed_uid]
    return InitialStart(RAS_TO_LPS @ lps @ RAS_TO_LPS, remarks)


def _matrices(dataset: "Dataset", path: Path) -> dict[str, NDArray[np.float64]]:
    """Return the (4, 4) map, LPS mm, of each frame of reference to the registered one, which is among them."""
    found = {}
    for item in dataset.get("RegistrationSequence", []):
        uid = str(item.get("FrameOfReferenceUID", ""))
        try:
            (registration,) = item.MatrixRegistrationSequence
            (step,) = registration.MatrixSequence
            matrix = np.array(step.FrameOfReferenceTransformationMatrix, dtype=np.float64).reshape(4, 4)
        except (AttributeError, ValueError) as error:
            raise InputFileError(
                path, f"holds no single 4x4 matrix for the frame of reference {uid or '(unnamed)'}"
            ) from error
        if not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix[:3, :3]) < len(matrix[:3]):
            raise InputFileError(path, f"holds a singular matrix for the frame of reference {uid}")
        if uid in found:
            raise InputFileError(path, f"holds several matrices for the frame of reference {uid}")
        found[uid] = matrix
    found.setdefault(str(dataset.get("FrameOfReferenceUID", "")), np.eye(4))
    return found


def _frames(
    path: Path, known: list[str], dataset: "Dataset", fixed: RawScan, moving: RawScan
) -> tuple[str, str, tuple[str, ...]]:
    """Return which frames of reference of the object are those of the scans, and what was assumed."""
    for scan in (fixed, moving):
        if scan.frame_of_reference and scan.frame_of_reference not in known:
            raise InputFileError(
                path,
                f"is between the frames of reference {', '.join(known)}; {scan.path} is of {scan.frame_of_reference}",
            )
    fixed_uid, moving_uid = fixed.frame_of_reference, moving.frame_of_reference
    if fixed_uid and moving_uid:
        return fixed_uid, moving_uid, ()
    registered = str(dataset.get("FrameOfReferenceUID", ""))
    if not fixed_uid:
        fixed_uid = registered if registered != moving_uid else _only_other(known, moving_uid, path)
    moving_uid = moving_uid or _only_other(known, fixed_uid, path)
    remark = f"{path}: is taken from the frame of reference {fixed_uid} for the fixed scan to {moving_uid}"
    return fixed_uid, moving_uid, (remark,)


def _only_other(known: list[str], uid: str, path: Path) -> str:
    """Return the one frame of reference beside another, or refuse the file."""
    others = [name for name in known if name != uid]
    if len(others) != 1:
        raise InputFileError(
            path,
            f"is between {len(known)} frames of reference, and not both scans say theirs; give their DICOM folders",
        )
    return others[0]
