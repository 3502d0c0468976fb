"""The command `anatomical-embedding`: a trained model in a user's hands.

Every verb is one module here and imports the library when it runs, so that help comes at once.
"""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

import click

from anatomical_embedding.cli.apply import apply, carry_points
from anatomical_embedding.cli.describe import describe
from anatomical_embedding.cli.embed import embed
from anatomical_embedding.cli.follow import follow
from anatomical_embedding.cli.follow_report import follow_report
from anatomical_embedding.cli.import_weights import import_weights
from anatomical_embedding.cli.match import match
from anatomical_embedding.cli.new import new
from anatomical_embedding.cli.propagate import propagate
from anatomical_embedding.cli.register import register
from anatomical_embedding.cli.score import score
from anatomical_embedding.cli.settings import settings
from anatomical_embedding.cli.view import view
from anatomical_embedding.errors import UserError
from anatomical_embedding.files import NO_ROOM
from anatomical_embedding.swift_end import STATUS_OF_LOST_OUTPUT, end_process, say_lost_output

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="anatomical-embedding")
def commands() -> None:
    """Find the same anatomy in other CT and MR scans with a trained model.

    A model is the file model.safetensors of a run, or made from published weights by `import`; `describe` prints what
    it was trained on and how accurate it is.

    Scans are NIfTI, NRRD or MetaImage files, multi-frame DICOM files, or folders of a DICOM series. Points are world
    millimetres, RAS+ unless --coordinates says otherwise.
    """


for command in (
    *(embed, match, propagate, follow, register, apply, carry_points, follow_report, view, score),
    *(describe, import_weights, new, settings),
):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0, or 2 with one line on standard error for errors that a user can fix."""
    # Threads that wait must sleep: on a busy machine those that spin make two threads many times slower than one.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Some network file systems refuse locks, which HDF5 asks for where this is not set before ITK is loaded.
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    if threading.current_thread() is threading.main_thread():
        # As after Ctrl-C: files that are not whole are removed, and deeds does not go on alone.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    try:
        commands.main(args=arguments, prog_name="anatomical-embedding", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        print(f"error: {_one_line(error.format_message())}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except UserError as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except OSError as error:
        if error.errno not in NO_ROOM or error.filename is not None:
            raise
        say_lost_output(error)  # files that are not whole raise an error of their own
        sys.exit(STATUS_OF_LOST_OUTPUT)


def run() -> NoReturn:
    """Run the command line as a process of its own and end it."""
    try:
        main()
    except SystemExit as stop:
        end_process(int(stop.code or 0))
    end_process(0)


def _one_line(message: str) -> str:
    return " ".join(message.split())


if __name__ == "__main__":
    run()
