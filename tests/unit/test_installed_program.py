"""Where the registration program is looked for: in the package, beside Python, on the search path."""

import pytest

from anatomical_embedding.errors import UserError
from anatomical_embedding.registration import installed_program as module
from anatomical_embedding.registration.installed_program import installed_program


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Return the three places in the order in which they count, all empty."""
    folders = [tmp_path / name for name in ("package", "interpreter", "path")]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(module, "PROGRAMS", folders[0])
    monkeypatch.setattr(module.sys, "executable", str(folders[1] / "python"))
    monkeypatch.setenv("PATH", str(folders[2]))
    return folders


def put(folder):
    program = folder / "deeds"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("first", [0, 1, 2])
def test_the_first_place_that_has_it_counts(places, first):
    programs = [put(folder) for folder in places[first:]]
    assert installed_program() == programs[0]


def test_a_checkout_says_how_to_build_it(places):
    with pytest.raises(
        UserError, match=r"a checkout holds only its source; build it .* or install the package"
    ):
        installed_program()


def test_an_installation_without_it_says_what_was_missing(places):
    (places[0] / "why_no_deeds.txt").write_text("there was no CMake when it was built\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"not in this installation: there was no CMake when it was built; install"
    ):
        installed_program()
