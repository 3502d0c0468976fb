"""What every stage's command line shares: settings as JSON, user errors as one line and exit code 2."""

import argparse
import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from anatomical_embedding.errors import OutputFileError, SettingsError, UserError
from anatomical_embedding.files import require_writable_file
from anatomical_embedding.provenance import Watch
from anatomical_embedding.settings.validation_message import describe_validation_error
from anatomical_embedding.swift_end import end_process

Section = TypeVar("Section", bound=pydantic.BaseModel)


def command_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that shows a module's docstring as it stands, and takes no shortened options."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )


def stage_parser(description: str | None) -> argparse.ArgumentParser:
    """Return such a parser with `--settings`, the JSON of the settings that the stage may see."""
    parser = command_parser(description)
    parser.add_argument("--settings", required=True, help="the stage's settings section as JSON text")
    return parser


def parse_settings(section: type[Section], text: str) -> Section:
    """Return the settings in a JSON text, checked.

    Raises
    ------
    SettingsError
        naming the first key at fault, what was expected and what was got.
    """
    try:
        return section.model_validate_json(text)
    except pydantic.ValidationError as error:
        raise SettingsError(describe_validation_error(error, content=_parsed(text))) from error


def _parsed(text: str) -> Any:
    """Return what a text holds, None where it is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def run_stage(main: Callable[[list[str]], None]) -> None:
    """Run a stage's `main` on the command line's arguments and exit.

    A `UserError` becomes one line on standard error and exit code 2; any other exception is a defect and keeps its
    traceback (exit code 1). A job of the workflow leaves a manifest.
    """
    # What was loaded stays; the collector, which waited for it (`workflow_scripts/__init__.py`), leaves it out.
    gc.freeze()
    gc.enable()
    watch = Watch(sys.argv[1:])
    status = 0
    try:
        main(sys.argv[1:])
        watch.finish(Path(sys.argv[0]).stem)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    end_process(status)


def existing_file(text: str) -> Path:
    """Turn a command-line argument into the path of a file that exists (an argparse type)."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{path}: no such file")
    return path


def output_file(text: str) -> Path:
    """Turn a command-line argument into the path of a file that can be written (an argparse type)."""
    path = Path(text)
    try:
        require_writable_file(path)
    except OutputFileError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return path


def named_file(text: str) -> tuple[str, Path]:
    """Turn a command-line argument NAME=PATH into the name and the path of a file (an argparse type)."""
    name, separator, path = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(f"expected NAME=PATH, got {text!r}")
    return name, existing_file(path)
