"""Run pytest again and again without loading libraries again: in a fork for each order on the input.

`benchmarks/mutation_sample.py` starts it in a copy of the sources. A fork imports the project, its tests and its
conftest.py afresh: loaded before are only the packages of others, which take most of the time of a short run.
"""

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
from multiprocessing import popen_fork
from pathlib import Path

import pytest

LIBRARIES = (
    *("numpy", "pandas", "nibabel", "SimpleITK", "pydicom", "yaml", "pydantic.fields", "matplotlib.pyplot"),
    *("torch", "torch.export", "torch.distributed", "torch.utils.data"),
    *("safetensors.torch", "monai.transforms"),
    *("scipy.ndimage", "scipy.spatial", "scipy.optimize", "scipy.interpolate", "scipy.stats"),
    *("sklearn.isotonic", "sklearn.linear_model", "sklearn.model_selection", "sklearn.metrics"),
)
WORDS = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--hypothesis-seed=0")
STARTS = (subprocess.__file__, popen_fork.__file__)
"""Where Python starts processes; what these call is not seen."""
WALL_PER_CPU = 30
"""A test that waits for ever uses no CPU; on a busy machine others take as long."""


class Watch:
    """What of the sources each test calls, and which tests fail; a test shares what was called to set it up."""

    def __init__(self) -> None:
        self.shared: set[tuple[str, int]] = set()
        self.called: dict[str, set[tuple[str, int]]] = {}
        self.failed: set[str] = set()
        self._now = self.shared
        sys.settrace(self._note)

    def _note(self, frame, _event, _argument) -> None:
        code = frame.f_code
        self._now.add((code.co_filename, code.co_firstlineno))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item):
        """Note what is called until the test ends."""
        self._now = self.called[item.nodeid] = set()
        try:
            return (yield)
        finally:
            self._now = self.shared

    def pytest_runtest_logreport(self, report) -> None:
        """Note a test that fails, or cannot begin."""
        if report.failed:
            self.failed.add(report.nodeid)

    def write(self, path: str) -> None:
        """Write the functions of the sources here that each test reaches, by file and line, and the failed tests."""
        sys.settrace(None)
        here = str(Path.cwd()) + os.sep

        def of_sources(called: set) -> list:
            processes = [("", 0)] if any(name in STARTS for name, _ in called) else []
            return processes + sorted(
                (name.removeprefix(here), line) for name, line in called if name.startswith(here)
            )

        reached = {test: of_sources(called | self.shared) for test, called in self.called.items()}
        Path(path).write_text(json.dumps([reached, sorted(self.failed)]), encoding="utf-8")


class Choice:
    """Leave all tests out but some; None leaves none out."""

    def __init__(self, only: list[str] | None) -> None:
        self.only = None if only is None else set(only)

    def pytest_collection_modifyitems(self, items) -> None:
        """Take out of the list what is not to run."""
        items[:] = [item for item in items if self.only is None or item.nodeid in self.only]


def main() -> None:
    """Answer each order with the exit code of pytest and the CPU seconds that it took."""
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # what the collector looks at is copied in every fork
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)


def run(
    files: list[str], *, marks: str, only: list[str] | None, cpu_seconds: float, watch: str | None
) -> tuple[int, float]:
    """Run the tests of some files that have some marks in a fork.

    All of them if they are to be watched, else up to the first that fails.
    Returns the exit code, negative for a fork that was ended, and its CPU seconds.
    """
    process = os.fork()
    if process == 0:
        _become_pytest(["-m", marks, *files], Choice(only), cpu_seconds=cpu_seconds, watch=watch)
    ended = os.pidfd_open(process)
    if not select.select([ended], [], [], WALL_PER_CPU * cpu_seconds)[0]:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
    os.close(ended)
    _, status, used = os.wait4(process, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime


def _become_pytest(asked: list[str], choice: Choice, *, cpu_seconds: float, watch: str | None) -> None:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds) + 1, int(cpu_seconds) + 1))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    code = 1
    with contextlib.suppress(BaseException):
        watching = Watch() if watch else None
        words = [*WORDS, *asked] if watch else [*WORDS, "-x", *asked]
        code = int(pytest.main(words, plugins=[choice, *([watching] if watching else [])]))
        if watching:
            watching.write(watch)
    os._exit(code)


if __name__ == "__main__":
    main()
