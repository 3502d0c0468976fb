"""Where the program `deeds` lies that an installation brought along.

The wheel holds the program, or one line on why it could not be built (`setup.py`); a checkout holds neither, and its
`make environment` puts the program beside Python.
"""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from anatomical_embedding.errors import UserError

PROGRAMS = Path(__file__).parents[1] / "bin"
NAME = "deeds"
REASON = "why_no_deeds.txt"


def installed_program() -> Path:
    """Return the program of this installation: in the package, else beside the interpreter, else on the search path.

    Raises
    ------
    UserError
        if there is none, saying why and how to get it.
    """
    in_package = PROGRAMS / NAME
    if in_package.is_file():
        return in_package
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = shutil.which(NAME, path=places)
    if found is None:
        raise UserError(_how_to_get_it())
    return Path(found)


def program_if_installed() -> Path | None:
    """Return the program of this installation, or None where there is none."""
    with suppress(UserError):
        return installed_program()
    return None


def _how_to_get_it() -> str:
    reason = PROGRAMS / REASON
    if reason.is_file():
        why = reason.read_text(encoding="utf-8").strip()
        return (
            f"the registration program deeds is not in this installation: {why}; install CMake, a C++ compiler and "
            "zlib and install anatomical-embedding again, or name a built program by --deeds"
        )
    return (
        "there is no registration program deeds beside Python or on the search path, and a checkout holds only its "
        "source; build it (`make environment`), or install the package with `pip install .`, which brings it along"
    )
