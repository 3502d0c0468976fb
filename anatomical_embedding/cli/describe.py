"""The verb `describe`."""

from pathlib import Path

import click

from anatomical_embedding.cli.options import ExistingFile, json_option, print_json


@click.command(short_help="Print a model's data, settings, accuracy and limits.")
@click.argument("checkpoint", type=ExistingFile)
@json_option
def describe(checkpoint: Path, as_json: bool) -> None:
    """Print the data, settings, measured accuracy and limits of a model (CHECKPOINT, a model.safetensors)."""
    from anatomical_embedding.model_card import card_lines, read_model_card

    card, network = read_model_card(checkpoint)
    if as_json:
        print_json({"card": card.model_dump(mode="json"), "network": network.model_dump(mode="json")})
    else:
        click.echo("\n".join(card_lines(card, network)))
