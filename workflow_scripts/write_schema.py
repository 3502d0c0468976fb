"""Write the JSON schema of run files, by which editors complete and check them: `make schema`."""

import json
from pathlib import Path

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.files import written_atomically
from anatomical_embedding.settings.run_file_schema import run_file_schema
from workflow_scripts.command_line import command_parser, run_stage

SCHEMA_PATH = REPOSITORY / "config.schema.json"


def schema_text() -> str:
    """Return the schema as it stands in the repository."""
    return json.dumps(run_file_schema(), indent=1, sort_keys=True) + "\n"


def main(arguments: list[str]) -> None:
    """Write the schema."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--output", type=Path, default=SCHEMA_PATH, help="file to write; that of the repository if left out"
    )
    options = parser.parse_args(arguments)
    with written_atomically(options.output) as temporary:
        temporary.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    run_stage(main)
