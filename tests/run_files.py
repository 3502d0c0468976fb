"""The run files that are delivered, and what tests know of them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anatomical_embedding.code_fingerprint import REPOSITORY

CONFIGS = REPOSITORY / "configs"
YARDSTICK = CONFIGS / "known_warps.yaml"
"""Settings of a benchmark, not a run file; it has a schema of its own."""
DELIVERED = [REPOSITORY / "config.yaml", *sorted({*CONFIGS.glob("*.yaml")} - {YARDSTICK})]
ADDED_TO = {
    "headneck_registration.yaml": [CONFIGS / "headneck_ct.yaml"],
    "phantom_moved_pairs.yaml": [REPOSITORY / "config.yaml"],
}
"""Name of a file that adds to a run -> the run files that are named before it."""
LONGEST_RUN_FILE = 60


def lines_that_say_something(path: Path) -> list[str]:
    """Return the lines of a run file that are neither empty nor a comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.strip().startswith("#")]


def put(content: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Put a value where the keys lead in the content of a run file."""
    for key in keys[:-1]:
        content = content[key]
    content[keys[-1]] = value


def readme_example() -> str:
    """Return the run file that README.md shows for a user's own scans."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    assert found is not None
    return found[1]
