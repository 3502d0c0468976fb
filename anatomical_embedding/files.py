"""Files that are either whole or absent: atomic writing, checksums, and JSON in one form."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anatomical_embedding.errors import OutputFileError

PARTIAL = ".partial."
"""Stands in the names of files that are not whole yet."""

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What writing fails with on a full disk, beyond a quota, and beyond the largest size of a file."""


@contextmanager
def written_atomically(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends without an error.

    The temporary name keeps the suffixes (`.nii.gz`), so that writers which choose their format by name work.
    A block that raises leaves neither file.

    Raises
    ------
    OutputFileError
        if there is no room for the file.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with written_atomically(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("done")
    >>> [entry.name for entry in folder.iterdir()]
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}{PARTIAL}{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except Exception as error:
        if _error_number(error) in NO_ROOM:
            raise OutputFileError(
                path, f"there is no room to write it ({error}); free space, or write elsewhere, and run again"
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_atomically(path: Path | str) -> Iterator[Path]:
    """Give an empty folder beside `path`; rename it to `path`, in place of what stood there, when the block ends well.

    A block that raises leaves what stood there.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "points"
    >>> with folder_written_atomically(folder) as temporary:
    ...     _ = (temporary / "a.txt").write_text("done")
    >>> [entry.name for entry in folder.iterdir()]
    ['a.txt']
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}{PARTIAL}{path.name}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)  # a folder that holds something cannot be renamed over
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _error_number(error: Exception) -> int | None:
    """Return the system's number of an error; safetensors names it in its text alone."""
    if isinstance(error, OSError):
        return error.errno
    named = re.search(r"\(os error (\d+)\)", str(error))
    return int(named[1]) if named else None


def is_partial(path: Path) -> bool:
    """Say whether a file is being written, or was when its writer was killed.

    Examples
    --------
    >>> is_partial(Path("a/.12.partial.scores.json")), is_partial(Path("a/scores.json"))
    (True, False)
    """
    return path.name.startswith(".") and PARTIAL in path.name


def write_json(path: Path | str, content: Any) -> None:
    """Write `content` atomically as readable JSON with sorted keys; NaN and infinity are refused."""
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False)
    with written_atomically(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def canonical_json(content: Any) -> str:
    """Return the one-line JSON of `content` with sorted keys: equal content gives equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_of_file(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8 as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
