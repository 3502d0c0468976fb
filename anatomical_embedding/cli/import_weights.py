"""The verb `import`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from anatomical_embedding.cli.options import (
    ExistingFile,
    OutputPath,
    json_option,
    print_json,
    require_outputs,
    say_remarks,
)

if TYPE_CHECKING:
    from anatomical_embedding.settings.published_weights import PublishedKind


@click.command("import", short_help="Make a model from published weights.")
@click.argument("checkpoint", type=ExistingFile)
@click.option("--output", type=OutputPath, required=True, help="Model to write (.safetensors).")
@click.option(
    "--kind",
    type=click.Choice(["sam", "sampp", "cross_sam"]),
    help="Method of the weights: SAM, SAM++ (UAE-S) or Cross-SAM (UAE-M); default: recognised by the tensors.",
)
@json_option
def import_weights(checkpoint: Path, output: Path, kind: "PublishedKind | None", as_json: bool) -> None:
    """Make a model from weights (CHECKPOINT.pth) that the authors of SAM, SAM++ or Cross-SAM published.

    The model has the settings of its authors; `describe` says where each value comes from. Its accuracy is not known,
    so its answers have no confidence.
    """
    require_outputs(output, endings=(".safetensors",), inputs=[checkpoint])

    from anatomical_embedding.model_card import card_lines, read_model_card
    from anatomical_embedding.networks.import_published import import_published

    _, remarks = import_published(checkpoint, output, kind=kind)
    said = say_remarks(remarks)
    card, network = read_model_card(output)
    if as_json:
        print_json({"output": str(output), "card": card.model_dump(mode="json"), "remarks": said})
    else:
        click.echo("\n".join(card_lines(card, network)))
