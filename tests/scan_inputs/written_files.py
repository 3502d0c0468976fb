"""What several formats do with the files of an input: pack, cut, divide, leave out."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.scan_inputs.marked_scan import HU

SLICE_FILES = "\n".join(f"slice{number:02d}.raw" for number in range(HU.shape[2]))
"""Names of the files that `write_parts` gives to the slices, a line each."""


def changed(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """Rewrite a file with its bytes changed, and return its path."""
    path.write_bytes(change(path.read_bytes()))
    return path


def zipped(path: Path) -> Path:
    """Put a file into a zip archive and return the archive's path."""
    archive = path.with_name("scans.zip")
    with zipfile.ZipFile(archive, "w") as stream:
        stream.write(path, path.name)
    return archive


def without_file(path: Path, name: str) -> Path:
    """Remove a file that lies beside a path, and return the path."""
    (path.parent / name).unlink()
    return path


def write_parts(folder: Path, files: str, plain: NDArray, pack: Callable[[bytes], bytes]) -> None:
    """Write the voxels into the files that a header names: one, or one a slice."""
    if "%" in files or files.startswith("LIST"):
        pattern = "slice%02d.raw"
        for number in range(plain.shape[2]):
            (folder / (pattern % number)).write_bytes(pack(plain[..., number].tobytes(order="F")))
    else:
        (folder / files).write_bytes(pack(plain.tobytes(order="F")))


def in_folder(*writers: Callable[[Path], Any]) -> Callable[[Path], Path]:
    """Return a writer of a folder."""

    def write(folder: Path) -> Path:
        for writer in writers:
            writer(folder)
        return folder

    return write


def as_text(content: bytes) -> bytes:
    """Return 16-bit numbers as text."""
    return "\n".join(map(str, np.frombuffer(content, "<i2"))).encode()
