"""Phantom settings for tests: the benchmark's, with changes."""

import json
from pathlib import Path
from typing import Any

from anatomical_embedding.settings.phantom import PhantomSettings

SETTINGS_PATH = Path(__file__).parents[1] / "benchmarks" / "phantom_settings.json"


def phantom_settings(changes: dict[str, Any] | None = None) -> PhantomSettings:
    """Return the benchmark's settings; keys of `changes` are dotted, such as `mr.breath_mm`."""
    content = json.loads(SETTINGS_PATH.read_text(encoding="utf-8"))
    for key, value in (changes or {}).items():
        *sections, last = key.split(".")
        section = content
        for name in sections:
            section = section[name]
        section[last] = value
    return PhantomSettings.model_validate_json(json.dumps(content))
