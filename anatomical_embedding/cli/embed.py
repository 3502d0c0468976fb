"""The verb `embed`."""

from pathlib import Path
from typing import Any

import click

from anatomical_embedding.cli.options import (
    ExistingPath,
    OutputPath,
    checkpoint_option,
    json_option,
    load_libraries,
    print_json,
    reading_options,
    say_remarks,
)


@click.command(short_help="Embed scans once, for repeated queries.")
@click.argument("scans", type=ExistingPath, nargs=-1, required=True)
@checkpoint_option
@click.option(
    "--output", "folder", type=OutputPath, required=True, help="Folder for the stores, one per scan."
)
@reading_options
@json_option
def embed(
    scans: tuple[Path, ...], checkpoint: Path, folder: Path, reading: dict[str, Any], as_json: bool
) -> None:
    """Embed scans once and keep the result, for repeated queries.

    Each scan gets a file in the folder of --output, a store, named after the scan. `match` and `propagate` take stores
    in place of scans. Stores of unchanged scans are left alone; those of other scans are never overwritten.
    """
    load_libraries()
    from anatomical_embedding.api import embed_scans, load_model
    from anatomical_embedding.files import require_writable_folder

    require_writable_folder(folder)
    stored = embed_scans(load_model(checkpoint), scans, folder=folder, **reading)
    say_remarks(remark for entry in stored for remark in entry.remarks)
    if as_json:
        print_json(
            [
                {"scan": str(entry.scan), "store": str(entry.store), "remarks": list(entry.remarks)}
                for entry in stored
            ]
        )
    else:
        click.echo("\n".join(str(entry.store) for entry in stored))
