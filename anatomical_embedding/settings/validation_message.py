"""What a user reads when a setting is at fault."""

import pydantic


def describe_validation_error(error: pydantic.ValidationError) -> str:
    """Return one sentence a fault: dotted key, what is wrong, what was got."""
    sentences = []
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"]) or "settings"
        got = "" if fault["type"] in {"missing", "extra_forbidden"} else f", got {fault['input']!r}"
        message = {"missing": "is missing", "extra_forbidden": "is not a known key"}.get(
            fault["type"], fault["msg"]
        )
        sentences.append(f"{key}: {message}{got}")
    return "; ".join(sentences)
