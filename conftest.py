"""What all tests share: one thread per process, which tests share a worker, and the registration program.

The program is the one that DEEDS_BINARY names, else it is built into `deeds/build`.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

from tests import compile_once

SOURCES = Path(__file__).resolve().parent / "deeds"
BUILD = SOURCES / "build"
SHARED_RUNS = ("demo", "tiny_run")
LONGEST_FIRST = (
    *("demo", "tests/integration/test_disturbed_runs.py", "tiny_run"),
    *(f"tests/integration/test_{name}.py" for name in ("cross_sam", "training_processes", "training_resume")),
)
"""Groups of tests that begin first, so that no worker is left alone with one of them in the end."""

# Workers and the stages that they start are as many as the cores already; before anything loads torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Tests start hundreds of processes, each of which would compile the sources again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# What a shell starts in the background ignores Ctrl-C, and so would the programs that tests end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("no_deadline", deadline=None)
hypothesis.settings.load_profile("no_deadline")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Keep the tests of one file, and all files that look at one run, in one worker: what they share is made once."""
    groups = {}
    for item in items:
        shared = [run for run in SHARED_RUNS if run in item.fixturenames]
        groups[item.path] = shared[0] if shared else groups.get(item.path, item.nodeid.partition("::")[0])
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item.path]))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _place_in_queue(groups[item.path]))


def pytest_collection_finish(session):
    """Refuse a pytest under which pytest-xdist does not group: every worker would make the shared runs again."""
    if session.config.getoption("loadgroup", default=False) and not all(
        "@" in item.nodeid for item in session.items
    ):
        raise pytest.UsageError("this pytest and pytest-xdist do not keep groups of tests in one worker")


def _place_in_queue(group):
    if group in LONGEST_FIRST:
        return LONGEST_FIRST.index(group)
    return len(LONGEST_FIRST) + (not group.startswith("tests/integration"))


@pytest.fixture(scope="session", autouse=True)
def _compile_once(tmp_path_factory):
    """Let the compiler take each source once, however many runs of the workflow build the program."""
    workers = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp().parent if workers else tmp_path_factory.getbasetemp()
    os.environ |= compile_once.environment(folder / "objects")


@pytest.fixture(scope="session")
def build_folder():
    """Return the folder of the finished build, with the C++ tests in it."""
    return _built(target="all")


@pytest.fixture(scope="session")
def binary():
    """Return the path of the program."""
    named = os.environ.get("DEEDS_BINARY")
    return Path(named) if named else _built(target="deeds") / "deeds"


def _built(*, target):
    for names in (["cmake"], [os.environ.get("CXX", "c++"), "g++", "clang++"]):
        if not any(shutil.which(name) for name in names):
            pytest.skip(f"deeds cannot be built: none of {', '.join(names)} is installed")
    configure = ["cmake", "-S", SOURCES, "-B", BUILD]
    build = ["cmake", "--build", BUILD, "--target", target, "--parallel", "2"]
    with _locked(BUILD):
        for command in (configure, build):
            done = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8", check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    return BUILD


@contextmanager
def _locked(folder):
    """Wait until no other worker builds in a folder."""
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
