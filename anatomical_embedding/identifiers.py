"""Names of volumes, patients and organs: they become file names, table cells and words of a command line."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import StringConstraints

IDENTIFIER_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""A letter or digit, then letters, digits, `_`, `.` and `-`: no path, no blank, nothing for a shell."""

Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER_PATTERN)]
"""A setting that is an identifier."""

NUM_SHOWN = 3


def is_identifier(text: str) -> bool:
    """Say whether a text is an identifier.

    Examples
    --------
    >>> [is_identifier(text) for text in ("MED_LYMPH_001", "../x", "", "a b", "-v", "$(id)")]
    [True, False, False, False, False, False]
    """
    return re.fullmatch(IDENTIFIER_PATTERN, text) is not None


def first_clash(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that are the same on a disk which ignores case, or None.

    Examples
    --------
    >>> first_clash(["a", "b", "A"])
    ('a', 'A')
    """
    seen: dict[str, str] = {}
    for name in names:
        key = name.casefold()
        if key in seen:
            return seen[key], name
        seen[key] = name
    return None


def quote_some(names: Iterable[str]) -> str:
    """Return the first few names in quotes, with a count of the rest.

    Examples
    --------
    >>> quote_some(["a", "b c", "d", "e", "f"])
    "'a', 'b c', 'd' and 2 more"
    """
    names = list(names)
    shown = ", ".join(repr(name) for name in names[:NUM_SHOWN])
    return shown if len(names) <= NUM_SHOWN else f"{shown} and {len(names) - NUM_SHOWN} more"
