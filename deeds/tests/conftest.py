"""The program under test: the one that DEEDS_BINARY names, else built once into `deeds/build`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[1]
BUILD = SOURCES / "build"


@pytest.fixture(scope="session")
def build_folder():
    """Return the folder of the finished build, with the C++ tests in it."""
    for names in (["cmake"], [os.environ.get("CXX", "c++"), "g++", "clang++"]):
        if not any(shutil.which(name) for name in names):
            pytest.skip(f"deeds cannot be built: none of {', '.join(names)} is installed")
    for command in (["cmake", "-S", SOURCES, "-B", BUILD], ["cmake", "--build", BUILD, "--parallel", "2"]):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return BUILD


@pytest.fixture(scope="session")
def binary(request):
    """Return the path of the program."""
    named = os.environ.get("DEEDS_BINARY")
    return Path(named) if named else request.getfixturevalue("build_folder") / "deeds"


@pytest.fixture(scope="session", autouse=True)
def _name_binary(binary):
    """Tell the helpers of the tests, which are plain functions, where the program is."""
    os.environ["DEEDS_BINARY"] = str(binary)
