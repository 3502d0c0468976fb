"""The verb `embed`."""

from pathlib import Path
from typing import Any

import click

from anatomical_embedding.cli.options import (
    ExistingPath,
    OutputPath,
    checkpoint_option,
    json_option,
    modality_option,
    print_json,
)


@click.command()
@click.argument("scans", type=ExistingPath, nargs=-1, required=True)
@checkpoint_option
@click.option("--output", "folder", type=OutputPath, required=True, help="Folder of the stores, one a scan.")
@modality_option
@json_option
def embed(scans: tuple[Path, ...], checkpoint: Path, folder: Path, modality: Any, as_json: bool) -> None:
    """Embed scans, so that they can be asked and searched at once.

    Stores of unchanged scans are left alone.
    """
    from anatomical_embedding.api import embed_scans, load_model

    stores = embed_scans(load_model(checkpoint), scans, folder=folder, modality=modality)
    if as_json:
        print_json(
            [{"scan": str(scan), "store": str(store)} for scan, store in zip(scans, stores, strict=True)]
        )
    else:
        click.echo("\n".join(map(str, stores)))
