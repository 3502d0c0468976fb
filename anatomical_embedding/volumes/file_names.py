"""Names of the files that hold a volume, by their endings; nothing is opened."""

NIFTI_SUFFIXES = (".nii.gz", ".nii")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
METAIMAGE_SUFFIXES = (".mha", ".mhd")
VOLUME_SUFFIXES = (*NIFTI_SUFFIXES, *NRRD_SUFFIXES, *METAIMAGE_SUFFIXES)
DICOM_SUFFIXES = (".dcm", ".dicom")
DETACHED_SUFFIXES = (".nhdr", ".mhd")
"""Headers whose voxels lie in a file of their own."""
EVEN_COPIES = ("_Tilt_Eq_1", "_Eq_1", "_Tilt_1")
"""What dcm2niix adds to the name of a scan for a copy without tilt or with slices at equal distances (`Eq`). The scan
itself then states equal distances as well, so that its slices lie in wrong places."""
RESOURCE_FORK_PREFIX = "._"  # files that macOS puts beside the real ones


def is_volume_name(name: str) -> bool:
    """Return whether a file is a volume by its name, endings in capitals too.

    Examples
    --------
    >>> is_volume_name("X.NII.GZ"), is_volume_name("x.mhd"), is_volume_name("x.raw")
    (True, True, False)
    """
    return name.lower().endswith(VOLUME_SUFFIXES) and not name.startswith(RESOURCE_FORK_PREFIX)


def without_ending(name: str) -> str:
    """Return the name of a volume without the ending of its format.

    Examples
    --------
    >>> without_ending("first.visit.nii.gz"), without_ending("x.MHA"), without_ending("x.dcm"), without_ending("x.1")
    ('first.visit', 'x', 'x', 'x.1')
    """
    endings = (*VOLUME_SUFFIXES, *DICOM_SUFFIXES)
    ending = next((suffix for suffix in endings if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(ending)]


def even_copies(name: str) -> tuple[str, ...]:
    """Return the names of the copies that dcm2niix may have made of a volume, those to be preferred first.

    Examples
    --------
    >>> even_copies("head.nii.gz")
    ('head_Tilt_Eq_1.nii.gz', 'head_Eq_1.nii.gz', 'head_Tilt_1.nii.gz')
    """
    own = without_ending(name)
    return tuple(f"{own}{added}{name[len(own) :]}" for added in EVEN_COPIES)
