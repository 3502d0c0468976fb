"""Write the JSON schemas by which editors complete and check run files and configs/known_warps.yaml: `make schema`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.files import written_atomically
from anatomical_embedding.settings.known_warps import KnownWarpsSettings
from anatomical_embedding.settings.run_file_schema import run_file_schema
from workflow_scripts.command_line import command_parser, run_stage

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS: dict[Path, Callable[[], dict[str, Any]]] = {
    REPOSITORY / "config.schema.json": run_file_schema,
    REPOSITORY / "configs" / "known_warps.schema.json": KnownWarpsSettings.model_json_schema,
}


def schema_text(schema: dict[str, Any]) -> str:
    """Return a schema as it stands in the repository."""
    return json.dumps({"$schema": DIALECT, **schema}, indent=1, sort_keys=True) + "\n"


def main(arguments: list[str]) -> None:
    """Write the schemas."""
    command_parser(__doc__).parse_args(arguments)
    for path, schema in SCHEMAS.items():
        with written_atomically(path) as temporary:
            temporary.write_text(schema_text(schema()), encoding="utf-8")


if __name__ == "__main__":
    run_stage(main)
