"""Write the JSON schema of run files, by which editors complete and check them: `make schema`."""

import json
import sys
from pathlib import Path

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.files import written_atomically
from anatomical_embedding.settings.run_file_schema import run_file_schema

SCHEMA_PATH = REPOSITORY / "config.schema.json"


def schema_text() -> str:
    """Return the schema as it stands in the repository."""
    return json.dumps(run_file_schema(), indent=1, sort_keys=True) + "\n"


def main(path: Path) -> None:
    """Write the schema."""
    with written_atomically(path) as temporary:
        temporary.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else SCHEMA_PATH)
