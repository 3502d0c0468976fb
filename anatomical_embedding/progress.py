"""Progress of long work: a bar on a terminal, plain lines in a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 10.0


def track(items: Iterable[Item], *, description: str, total: int) -> Iterator[Item]:
    """Pass the items on and show on standard error how far the loop has come.

    Parameters
    ----------
    items : what to loop over.
    description : what is being done, such as "embedding volumes".
    total : number of items.
    """
    if sys.stderr.isatty():
        yield from _track_on_terminal(items, description=description, total=total)
        return
    started = last_line = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if done == total or now - last_line >= SECONDS_BETWEEN_LINES:
            log(f"{description}: {done} of {total}, {now - started:.0f} s")
            last_line = now


def _track_on_terminal(items: Iterable[Item], *, description: str, total: int) -> Iterator[Item]:
    from rich.console import Console  # noqa: PLC0415, takes as long to load as a short stage computes
    from rich.progress import track as rich_track  # noqa: PLC0415

    console = Console(stderr=True)
    return iter(rich_track(items, description=description, total=total, console=console, transient=True))


def log(line: str) -> None:
    """Write one line with the time of day to standard error, at once."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
