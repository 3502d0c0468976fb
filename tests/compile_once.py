"""A launcher of the C++ compiler that keeps its objects: of many builds of the same sources the first one compiles.

CMake puts it before the compiler where the environment says so. Without a folder to keep objects in it only compiles.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "ANATOMICAL_EMBEDDING_TEST_OBJECTS"
SOURCES_PLACE = "@SOURCES@"


def environment(folder: Path) -> dict[str, str]:
    """Return the variables with which CMake's builds share the objects of a folder."""
    return {FOLDER: str(folder), "CMAKE_CXX_COMPILER_LAUNCHER": f"{sys.executable};-I;-S;{__file__}"}


def main(command: list[str]) -> int:
    """Compile, or take what the same command made of the same sources."""
    kept_in = os.environ.get(FOLDER)
    if kept_in is None or not {"-c", "-MF"} <= set(command):
        return subprocess.call(command)
    sources = Path(command[command.index("-c") + 1]).parent.parent
    made = [Path(command[command.index(option) + 1]) for option in ("-o", "-MF")]
    kept = Path(kept_in) / _key(command, sources)
    with _one_at_a_time(kept):
        if not kept.exists():
            code = subprocess.call(command)
            if code == 0:
                _keep(made, kept, sources)
            return code
    shutil.copyfile(kept / "object", made[0])
    made[1].write_text(
        (kept / "needed").read_text(encoding="utf-8").replace(SOURCES_PLACE, str(sources)), encoding="utf-8"
    )
    return 0


@contextmanager
def _one_at_a_time(kept: Path) -> Iterator[None]:
    """Wait until no other worker compiles the same; one that is killed lets go."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.with_suffix(".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _key(command: list[str], sources: Path) -> str:
    """Return a text that changes with the compiler, its options or any source, not with the place of the checkout."""
    compiler = Path(shutil.which(command[0]) or command[0]).stat()
    content = [word.replace(str(sources), SOURCES_PLACE) for word in command]
    content += [compiler.st_size, compiler.st_mtime_ns]
    for path in sorted(sources.glob("*/*.[ch]pp")):
        content += [path.relative_to(sources).as_posix(), path.read_text(encoding="utf-8")]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _keep(made: list[Path], kept: Path, sources: Path) -> None:
    """Keep an object and the list of the files that it needs, whole or not at all."""
    beside = kept.with_name(uuid.uuid4().hex)
    beside.mkdir(parents=True)
    shutil.copyfile(made[0], beside / "object")
    needed = made[1].read_text(encoding="utf-8").replace(str(sources), SOURCES_PLACE)
    (beside / "needed").write_text(needed, encoding="utf-8")
    beside.rename(kept)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
