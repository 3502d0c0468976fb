"""Paths that a user writes into the configuration: blanks, quotes and what a shell knows are welcome in them."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def _usable(path: Path) -> Path:
    text = str(path)
    if any(character in text for character in "{}\0"):
        raise ValueError(
            "must be a path without { } or NUL: braces would be taken for a wildcard; rename it or link to it"
        )
    if text.startswith("-"):
        raise ValueError(
            "must not begin with '-', which would be taken for an option; write the absolute path"
        )
    return path


InputPath = Annotated[Path, AfterValidator(_usable)]
"""A setting that is the path of a file or folder to read."""


def _inside(path: Path) -> Path:
    if path.is_absolute() or ".." in path.parts or path == Path():
        raise ValueError("must be the name of a file inside each case folder, not a path that leaves it")
    return _usable(path)


PathInCase = Annotated[Path, AfterValidator(_inside)]
"""A setting that is the path of a file below a folder."""
