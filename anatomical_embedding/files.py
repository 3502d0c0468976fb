"""Files that are either whole or absent: atomic writing, checksums, and JSON in one form."""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from anatomical_embedding.errors import OutputFileError

PARTIAL = ".partial."
"""Stands in the names of files that are not whole yet."""

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What writing fails with on a full disk, beyond a quota, and beyond the largest size of a file."""

_HELD: set[tuple[int, int, int]] = set()
"""Folders that threads of this process hold: device, number and thread."""


@contextmanager
def written_atomically(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends without an error.

    The temporary name keeps the suffixes (`.nii.gz`), so that writers which choose their format by name work. The file
    is readable as the user's umask says, whatever its writer would have done. A block that raises leaves neither file.

    Raises
    ------
    OutputFileError
        if there is no room for the file, or it cannot be made there.

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
    temporary = _partial_path(path)
    try:
        _require_no_folder(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = _mode_of_new_file(temporary)
    except OSError as error:
        raise _not_writable(path, error) from error
    try:
        yield temporary
        # safetensors makes files that nobody else can read.
        if stat.S_IMODE(temporary.stat().st_mode) != mode:
            with suppress(PermissionError):  # on a share whose files belong to another user
                temporary.chmod(mode)
        temporary.replace(path)
    except Exception as error:
        if _error_number(error) in NO_ROOM:
            raise _not_writable(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_atomically(path: Path | str) -> Iterator[Path]:
    """Give an empty folder beside `path`; rename it to `path`, in place of what stood there, when the block ends well.

    A block that raises leaves what stood there.

    Raises
    ------
    OutputFileError
        if the folder cannot be made there.

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
    temporary = _partial_path(path)
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise _not_writable(path, error) from error
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)  # a folder that holds something cannot be renamed over
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def held_folder(path: Path | str, *, waits: bool = False) -> Iterator[None]:
    """Hold a folder, so that one command at a time writes into it, and make it if it is not there.

    A folder that was made and is empty when the block ends is removed again. What holds it is the process, so that one
    that was killed holds nothing; within the block the same thread may hold it once more. File systems that know no
    such locks are not held.

    Parameters
    ----------
    waits : whether to wait for the command that holds it instead of refusing.

    Raises
    ------
    OutputFileError
        if another command holds it, or it cannot be made.
    """
    path = Path(path)
    missing = [folder for folder in (path.absolute(), *path.absolute().parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _not_writable(path, error) from error
    place = os.fstat(descriptor)
    key = (place.st_dev, place.st_ino, threading.get_ident())
    is_outermost = key not in _HELD
    try:
        if is_outermost:
            _lock(descriptor, path, waits=waits)
            _HELD.add(key)
        yield
    finally:
        if is_outermost:
            _HELD.discard(key)
        os.close(descriptor)
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()


def _lock(descriptor: int, path: Path, *, waits: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError as error:
        raise OutputFileError(
            path, "another command is writing into it; wait for that one, or give another folder"
        ) from error
    except OSError:  # a file system without locks of folders, such as some of a network
        return


def require_writable_file(path: Path | str) -> None:
    """Refuse the name of a file that cannot be written, before work is done for it; nothing is left behind.

    Raises
    ------
    OutputFileError
        saying why: it is a folder, the disk is full or read-only, a part of the path is not a folder, or may not be
        written to.
    """
    path = Path(path)
    try:
        _require_no_folder(path)
        _try_to_make(path)
    except OSError as error:
        raise _not_writable(path, error) from error


def require_writable_folder(path: Path | str) -> None:
    """Refuse a folder that files cannot be written into, before work is done for them; nothing is left behind.

    Raises
    ------
    OutputFileError
        as `require_writable_file`, and if it is a file.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_dir():
            raise OutputFileError(path, "is a file, expected a folder to write into")
        _try_to_make(path / "file")
    except OSError as error:
        raise _not_writable(path, error) from error


def _require_no_folder(path: Path) -> None:
    if path.is_dir():
        raise OutputFileError(path, "is a folder, expected the name of a file to write")


def _try_to_make(path: Path) -> None:
    """Make what of a path is not there yet as files in its nearest folder, and remove them again."""
    path = path.absolute()
    folder = next(parent for parent in path.parents if parent.exists())
    for name in path.relative_to(folder).parts:
        _mode_of_new_file(_partial_path(folder / name))


def _partial_path(path: Path) -> Path:
    return path.with_name(f".{os.getpid()}{PARTIAL}{path.name}")


def _mode_of_new_file(path: Path) -> int:
    """Return the permissions that a new file gets there, by making one: umask and rules of the folder count."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return mode


def _not_writable(path: Path, error: Exception) -> OutputFileError:
    if _error_number(error) in NO_ROOM:
        return OutputFileError(
            path, f"there is no room to write it ({error}); free space, or write elsewhere, and run again"
        )
    reason = error.strerror if isinstance(error, OSError) else str(error)
    if isinstance(error, FileExistsError):  # a folder that was to be made is a file
        reason = os.strerror(errno.ENOTDIR)
    return OutputFileError(path, f"cannot be written ({reason}); write elsewhere")


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


def append_line(path: Path, line: str, *, header: str) -> None:
    """Add a line to a file of text, on the disk when this returns; a file that is new or empty begins with a header.

    A last line whose end an editor left out is ended first.

    Raises
    ------
    OutputFileError
        if there is no room for it, or the file cannot be written; no part of the line is left then.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as stream:
            size = stream.seek(0, os.SEEK_END)
            before = f"{header}\n"
            if size:
                stream.seek(-1, os.SEEK_END)
                before = "" if stream.read(1) == b"\n" else "\n"
            content = f"{before}{line}\n".encode()
            try:
                if (stream.write(content) or 0) < len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301  (it took a part)
                os.fsync(stream.fileno())
            except OSError:
                stream.truncate(size)
                if size == 0:
                    path.unlink()
                raise
    except OSError as error:
        raise _not_writable(path, error) from error


def sha256_of_file(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
