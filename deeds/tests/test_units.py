"""The C++ tests of the program."""

import subprocess

import pytest


@pytest.mark.slow
def test_all_units_pass(build_folder):
    done = subprocess.run(
        ["ctest", "--test-dir", str(build_folder), "--output-on-failure"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "100% tests passed" in done.stdout
