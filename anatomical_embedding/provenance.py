"""What each job of a run was made with: settings, code, versions, device, cost, and checksums of its files.

The workflow names a folder in an environment variable, and every stage that ends well leaves a manifest there. It is no
output of a rule, so it reruns nothing, and a stage that a user starts by hand writes none.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from anatomical_embedding.code_fingerprint import code_of
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import is_partial, sha256_of_file, write_json
from anatomical_embedding.progress import log
from anatomical_embedding.versions import library_versions

FOLDER_VARIABLE = "ANATOMICAL_EMBEDDING_PROVENANCE"
CODE_VARIABLE = "ANATOMICAL_EMBEDDING_CODE"
LARGEST_HASHED_BYTES = 2**28
"""Larger files are known by their size alone; the checksums of prepared volumes stand in the index."""
KILOBYTES_PER_MEGABYTE = 1024.0


@dataclass(frozen=True)
class Manifest:
    """One job.

    Attributes
    ----------
    stage : module of `workflow_scripts`.
    settings : the section that it saw.
    code : fingerprint of the code that it can reach.
    versions : of this project, the interpreter and the libraries.
    device : where torch could compute; `cpu` for a stage without torch.
    seconds, cpu_seconds : wall clock and processor time.
    peak_memory_mb : of the largest of its processes.
    inputs, outputs : path relative to the results, or as it was given -> checksum, or size for large files.
    remarks : what was corrected or chosen in what it read, a sentence each that begins with the file.
    """

    stage: str
    settings: dict[str, Any]
    code: str
    versions: dict[str, str]
    device: str
    seconds: float
    cpu_seconds: float
    peak_memory_mb: float
    inputs: dict[str, str]
    outputs: dict[str, str]
    remarks: list[str] = field(default_factory=list)


_remarks: list[str] = []
"""Of the one stage that this process runs."""


def note_remarks(remarks: Iterable[str]) -> None:
    """Write remarks to the log, and keep them for the manifest of the stage that runs."""
    for remark in remarks:
        log(f"note: {remark}")
        _remarks.append(remark)


class Watch:
    """Notes what a stage costs, from now on, and writes its manifest at the end.

    Parameters
    ----------
    arguments : of the stage's command line.
    """

    def __init__(self, arguments: Sequence[str]):
        self._arguments = arguments
        self._files_before = {path: _state(path) for path in _named_files(arguments)}
        self._started, self._cpu_started = time.monotonic(), _cpu_seconds()

    def finish(self, stage: str) -> None:
        """Write the manifest where the environment variable says; without it, or beside a first process, do nothing."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder or os.environ.get("RANK", "0") != "0":
            return
        results = Path(folder).parent
        inputs: dict[str, str] = {}
        outputs: dict[str, str] = {}
        for path in _named_files(self._arguments):
            is_input = self._files_before.get(path) == _state(path)
            (inputs if is_input else outputs)[_name(path, results=results)] = _checksum(path)
        manifest = Manifest(
            stage=stage,
            settings=_settings(self._arguments),
            code=os.environ.get(code_variable(stage)) or code_of(stage),
            versions=library_versions(),
            device=_device(),
            seconds=round(time.monotonic() - self._started, 3),
            cpu_seconds=round(_cpu_seconds() - self._cpu_started, 3),
            peak_memory_mb=round(_peak_memory_mb(), 1),
            inputs=dict(sorted(inputs.items())),
            outputs=dict(sorted(outputs.items())),
            remarks=list(dict.fromkeys(_remarks)),
        )
        named_after = min(manifest.outputs, default=stage).removeprefix("/")
        write_json(Path(folder) / stage / f"{named_after}.json", asdict(manifest))


def code_variable(stage: str) -> str:
    """Return the environment variable in which the workflow tells a stage the fingerprint of its code.

    The workflow knows it from planning; to take it again costs a short stage a fifth of its time.
    """
    return f"{CODE_VARIABLE}_{stage.upper()}"


def read_manifests(folder: Path) -> dict[str, Manifest]:
    """Return name -> manifest of all jobs below a folder, sorted; the name is stage and first output.

    Raises
    ------
    InputFileError
        naming a file that is not a manifest.
    """
    manifests = {}
    for path in sorted(folder.rglob("*.json")):
        if is_partial(path):  # of a job that runs beside this one, or was killed
            continue
        try:
            manifest = Manifest(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputFileError(path, f"is not a manifest of a job ({error}); remove it") from error
        manifests[path.relative_to(folder).as_posix().removesuffix(".json")] = manifest
    return manifests


def differences(first: Manifest, second: Manifest) -> Iterator[str]:
    """Yield what differs between two runs of one job, a line each; cost does not count."""
    for key, old, new in _different_values(first.settings, second.settings):
        yield f"settings {key}: {old} -> {new}"
    if first.code != second.code:
        yield f"code: {first.code} -> {second.code}"
    for name in sorted(first.versions.keys() | second.versions.keys()):
        old, new = first.versions.get(name, "none"), second.versions.get(name, "none")
        if old != new:
            yield f"version of {name}: {old} -> {new}"
    if first.device != second.device:
        yield f"device: {first.device} -> {second.device}"
    for kind in ("inputs", "outputs"):
        old_files, new_files = getattr(first, kind), getattr(second, kind)
        for name in sorted(old_files.keys() | new_files.keys()):
            if old_files.get(name) != new_files.get(name):
                state = "differs" if name in old_files and name in new_files else "is in one run only"
                yield f"{kind.removesuffix('s')} {name} {state}"
    for remark in sorted(set(first.remarks) ^ set(second.remarks)):
        yield f"remark in one run only: {remark}"


def _different_values(first: Any, second: Any, *, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield dotted key, old and new value of settings that differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        for name in sorted(first.keys() | second.keys()):
            inner = f"{key}.{name}" if key else name
            yield from _different_values(first.get(name), second.get(name), key=inner)
    elif first != second:
        yield key, first, second


def _named_files(arguments: Sequence[str]) -> list[Path]:
    """Return the files that a command line names: as a word, after `--option=` or after `NAME=`."""
    found = []
    for word in arguments:
        ending = word.rpartition("=")[2]
        path = next((Path(text) for text in (word, ending) if _is_file(text)), None)
        if path is not None and path not in found:
            found.append(path)
    return found


def _is_file(text: str) -> bool:
    try:
        return bool(text) and Path(text).is_file()
    except (OSError, ValueError):  # the settings are too long for a name
        return False


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino


def _name(path: Path, *, results: Path) -> str:
    try:
        return path.resolve().relative_to(results.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def _checksum(path: Path) -> str:
    size = path.stat().st_size
    return sha256_of_file(path) if size <= LARGEST_HASHED_BYTES else f"{size} bytes"


def _settings(arguments: Sequence[str]) -> dict[str, Any]:
    if "--settings" not in arguments:
        return {}
    content = json.loads(arguments[list(arguments).index("--settings") + 1])
    return content if isinstance(content, dict) else {}


def _device() -> str:
    """Return the GPU that torch sees; torch is not imported for this."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return "cpu"
    return str(torch.cuda.get_device_name())


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _peak_memory_mb() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return max(usage.ru_maxrss for usage in used) / KILOBYTES_PER_MEGABYTE
