"""What a user reads when a setting is at fault."""

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic


def describe_validation_error(error: pydantic.ValidationError, *, content: Any) -> str:
    """Return one sentence per fault: dotted key, what is wrong, what was got.

    Parameters
    ----------
    error : what was wrong.
    content : what was checked; its keys, and no others, are named.
    """
    sentences = []
    for fault in error.errors(include_url=False):
        key = ".".join(_keys(fault["loc"], content)) or "settings"
        # A section that disagrees with another names the keys itself; repeating it whole would bury them.
        is_plain = fault["type"] not in {"missing", "extra_forbidden"} and not isinstance(
            fault["input"], Mapping
        )
        got = f", got {fault['input']!r}" if is_plain else ""
        message = {"missing": "is missing", "extra_forbidden": "is not a known key"}.get(
            fault["type"], fault["msg"]
        )
        sentences.append(f"{key}: {message}{got}")
    return "; ".join(sentences)


def _keys(location: Sequence[int | str], content: Any) -> list[str]:
    """Return the keys that lead to a fault, without the kind of a section that pydantic names among them."""
    keys = []
    for part in location:
        if isinstance(content, Mapping) and part not in content and part in _texts(content):
            continue
        keys.append(str(part))
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            content = None
    return keys


def _texts(section: Mapping[str, Any]) -> list[str]:
    return [value for value in section.values() if isinstance(value, str)]
