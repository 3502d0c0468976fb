"""What all tests share: no deadlines on a busy machine, and the registration program.

The program is the one that DEEDS_BINARY names, else it is built into `deeds/build`.
"""

import os
import shutil
import subprocess
from pathlib import Path

import hypothesis
import pytest

SOURCES = Path(__file__).resolve().parent / "deeds"
BUILD = SOURCES / "build"

hypothesis.settings.register_profile("no_deadline", deadline=None)
hypothesis.settings.load_profile("no_deadline")


@pytest.fixture(scope="session")
def build_folder():
    """Return the folder of the finished build, with the C++ tests in it."""
    for names in (["cmake"], [os.environ.get("CXX", "c++"), "g++", "clang++"]):
        if not any(shutil.which(name) for name in names):
            pytest.skip(f"deeds cannot be built: none of {', '.join(names)} is installed")
    for command in (["cmake", "-S", SOURCES, "-B", BUILD], ["cmake", "--build", BUILD, "--parallel", "2"]):
        done = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return BUILD


@pytest.fixture(scope="session")
def binary(request):
    """Return the path of the program."""
    named = os.environ.get("DEEDS_BINARY")
    return Path(named) if named else request.getfixturevalue("build_folder") / "deeds"
