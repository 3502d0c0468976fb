"""Texts that stand for content: equal content gives equal text, and other content another checksum.

The split of patients and the seeds of known moves are drawn from these checksums, so results depend on this module.
"""

import hashlib
import json
from typing import Any


def canonical_json(content: Any) -> str:
    """Return the one-line JSON of `content` with sorted keys.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": [1.5, None]})
    '{"a":[1.5,null],"b":1}'
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_of_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8 as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
