"""A disk of a few kilobytes that a test can fill."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted_small_disk(folder: Path, *, kilobytes: int) -> Iterator[Path]:
    """Mount a disk of a size at an empty folder; skip the test with the reason where that cannot be done."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily, because some writers keep a file open whose writing failed.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(folder: Path, *, all_but_kilobytes: int) -> Path:
    """Fill a small disk but for some room and return the file that fills it."""
    path = folder / "filler"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_bsize
    path.write_bytes(bytes(free - all_but_kilobytes * 1024))
    return path


def grow(folder: Path, *, kilobytes: int) -> None:
    """Give a small disk another size."""
    command = ["mount", "-o", f"remount,size={kilobytes}k", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
