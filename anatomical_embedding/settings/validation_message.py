"""What a user reads when a setting is at fault."""

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

PLAIN_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known key",
    "union_tag_not_found": "is missing",
    "model_type": "expected a section with keys of its own",
    "model_attributes_type": "expected a section with keys of its own",
    "dict_type": "expected a section with keys of its own",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "expected a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "expected a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "expected true or false"),
    "string_type": "expected a text",
    "path_type": "expected a path",
}
"""Type of a fault -> what is said of it in place of what pydantic says."""
WITHOUT_VALUE = {"missing", "extra_forbidden", "union_tag_not_found", "union_tag_invalid"}


def describe_validation_error(error: pydantic.ValidationError, *, content: Any) -> str:
    """Return one sentence per fault: dotted key, what is wrong, what was got.

    Parameters
    ----------
    error : what was wrong.
    content : what was checked; its keys, and no others, are named.
    """
    sentences = []
    for fault in error.errors(include_url=False):
        keys = _keys(fault["loc"], content)
        if "discriminator" in fault.get("ctx", {}):
            keys.append(fault["ctx"]["discriminator"].strip("'"))
        # A section that disagrees with another names the keys itself; repeating it whole would bury them.
        is_plain = fault["type"] not in WITHOUT_VALUE and not isinstance(fault["input"], Mapping)
        got = f", got {fault['input']!r}" if is_plain else ""
        sentences.append(": ".join(filter(None, [".".join(keys), f"{_message(fault)}{got}"])))
    return "; ".join(sentences)


def _message(fault: Any) -> str:
    """Return what is wrong, in words that do not ask the reader to know pydantic."""
    if fault["type"] == "union_tag_invalid":
        return f"expected one of {fault['ctx']['expected_tags']}, got {fault['ctx']['tag']!r}"
    said = PLAIN_WORDS.get(fault["type"], fault["msg"])
    return str(said).removeprefix("Value error, ").removeprefix("Input ")


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
