"""One spelling for every path of a run file: Snakemake takes another spelling of a path for another input."""

import os
from pathlib import Path
from typing import Any

from anatomical_embedding.settings.pipeline import PipelineSettings


def with_one_spelling(settings: PipelineSettings) -> PipelineSettings:
    """Return the settings with every path of the user's files in the spelling of `one_spelling`.

    Names inside a case folder, which are paths as well, lead nowhere else and stay as they are.
    """
    return PipelineSettings.model_validate(_spelled(settings.model_dump()))


def one_spelling(path: Path) -> Path:
    """Return the one spelling of a path, however a user wrote it.

    From the working folder, where the path lies in that or beside it, so that a run may be moved with its scans;
    absolute elsewhere, so that the run may be moved without them. Links stay, but for those to the working folder.
    A spelling that a run file must not have (braces, a leading `-`) is not chosen.
    """
    here = Path.cwd()
    plain = Path(os.path.normpath(here / path))
    if not _same(plain, here / path):  # a link before `..`, or nothing there
        return path
    beside = [(here.parent, "..")] if here.parent != here.parent.parent else []
    for base, name in [(here, "."), *beside]:
        for folder in (plain, *plain.parents):
            if _same(folder, base):
                short = Path(name, plain.relative_to(folder))
                return plain if str(short).startswith("-") else short
    return path if set("{}") & set(str(plain)) else plain


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _spelled(value: Any) -> Any:
    if isinstance(value, Path):
        return one_spelling(value)
    if isinstance(value, dict):
        return {key: _spelled(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_spelled(each) for each in value)
    return value
