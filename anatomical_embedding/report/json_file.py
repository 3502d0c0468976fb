"""Objects in JSON files, as the report reads them."""

import json
from pathlib import Path
from typing import Any

from anatomical_embedding.errors import InputFileError


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises
    ------
    InputFileError
        if it is not JSON or not an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputFileError(path, f"cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputFileError(path, f"holds a {type(content).__name__}, expected an object")
    return content
