"""The end of a process whose libraries are left to the system, where Python would take them down piece by piece.

After torch that takes 0.1 s. Python does the same first: it waits for threads, does what was asked for by `atexit`, and
writes out what was printed.
"""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

STATUS_OF_LOST_OUTPUT = 120
"""With which Python ends where standard output cannot be written."""


def say_lost_output(error: Exception) -> None:
    """Say on standard error that standard output is not whole."""
    with suppress(OSError):  # standard error may be lost as well
        print(f"error: what was printed could not be written whole ({error})", file=sys.stderr)


def end_process(status: int) -> NoReturn:
    """End this process with a status."""
    threading._shutdown()  # type: ignore[attr-defined]  # tells pools to end, and waits for threads
    atexit._run_exitfuncs()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError) as error:  # the disk is full, or who reads has ended
        if status != STATUS_OF_LOST_OUTPUT:
            say_lost_output(error)
        status = status or STATUS_OF_LOST_OUTPUT
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    os._exit(status)
