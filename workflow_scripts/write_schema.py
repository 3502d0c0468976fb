"""Write the JSON schema of the configuration, by which editors complete and check it: `make schema`."""

import json
import sys
from pathlib import Path

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.files import written_atomically
from anatomical_embedding.settings.pipeline import PipelineSettings

SCHEMA_PATH = REPOSITORY / "config.schema.json"


def schema_text() -> str:
    """Return the schema as it stands in the repository."""
    return json.dumps(PipelineSettings.model_json_schema(), indent=1, sort_keys=True) + "\n"


def main(path: Path) -> None:
    """Write the schema."""
    with written_atomically(path) as temporary:
        temporary.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else SCHEMA_PATH)
