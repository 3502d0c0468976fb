"""One file that holds a volume, in any format that is read: NIfTI, NRRD or MetaImage, told by its name."""

from pathlib import Path

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.volumes.file_names import (
    DETACHED_SUFFIXES,
    METAIMAGE_SUFFIXES,
    NRRD_SUFFIXES,
    VOLUME_SUFFIXES,
)
from anatomical_embedding.volumes.metaimage import read_metaimage_header
from anatomical_embedding.volumes.nifti import read_header, read_nifti
from anatomical_embedding.volumes.nifti_geometry import require_extent
from anatomical_embedding.volumes.nrrd import read_nrrd_header
from anatomical_embedding.volumes.text_header import TextHeader, volume_of
from anatomical_embedding.volumes.volume import FoundVolume, VolumeHeader

OTHER_FORMATS = (
    ".hdr",
    ".img",
    ".mgz",
    ".mgh",
    ".mnc",
    ".vtk",
    ".gipl",
    ".png",
    ".jpg",
    ".tif",
    ".tiff",
    ".npy",
    ".raw",
)
"""Named as what they are; a file of any other name is read as NIfTI, and refused if it is none."""


def read_volume_file(
    path: Path | str, *, geometry: Geometry | None, require_contrast: bool = True
) -> FoundVolume:
    """Return the volume in a file.

    Parameters
    ----------
    path : of a name that tells the format.
    geometry : form that places a NIfTI file whose header states two places; None refuses such a file.
    require_contrast : refuse a volume of one constant value; label masks may be constant.

    Raises
    ------
    InputFileError
        for what `read_nifti` and the readers of text headers refuse.
    """
    path = Path(path)
    header = _text_header(path)
    if header is not None:
        return volume_of(header, require_contrast=require_contrast)
    return read_nifti(path, geometry=geometry, require_contrast=require_contrast)


def read_file_header(path: Path | str, *, geometry: Geometry | None = None) -> VolumeHeader:
    """Return shape and affine of the volume in a file, without its voxels.

    Raises
    ------
    InputFileError
        for everything that `read_volume_file` refuses and that shows in the header.
    """
    path = Path(path)
    header = _text_header(path)
    if header is None:
        return read_header(path, geometry=geometry)
    require_extent(header.affine, shape=header.volume_shape, unit="mm", path=path)
    return VolumeHeader(header.volume_shape, header.affine)


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files that a volume consists of: its own, and those that its header names for the voxels."""
    header = _text_header(path) if path.name.lower().endswith(DETACHED_SUFFIXES) else None
    return (path,) if header is None else tuple(dict.fromkeys((path, *header.files)))


def _text_header(path: Path) -> TextHeader | None:
    name = path.name.lower()
    if path.is_dir():
        raise InputFileError(path, "is a folder, expected a file with a volume; put the file there")
    if name.endswith(NRRD_SUFFIXES):
        return read_nrrd_header(path)
    if name.endswith(METAIMAGE_SUFFIXES):
        return read_metaimage_header(path)
    if name.endswith(OTHER_FORMATS):
        raise InputFileError(
            path,
            f"is of a format that is not read; expected {', '.join(VOLUME_SUFFIXES)}, a DICOM file or a folder of one "
            "series; convert it first",
        )
    return None
