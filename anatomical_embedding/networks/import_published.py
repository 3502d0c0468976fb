"""Published weights as a model of this project, ready for every verb, with a card that says what is known of them."""

from pathlib import Path

from anatomical_embedding.canonical_text import sha256_of_text
from anatomical_embedding.checkpoint_header import CARD_KEY
from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.model_card import ModelCard, PublishedOrigin
from anatomical_embedding.networks.checkpoint import save_checkpoint
from anatomical_embedding.networks.published import load_published
from anatomical_embedding.settings.published_weights import (
    PublishedKind,
    published_usage,
    published_weights,
)
from anatomical_embedding.weights_checksum import CHECKSUM_KEY, weights_sha256

LIMITS = (
    "For research; not a medical device.",
    "How accurate it is, is not known here: nothing was measured with these weights, so answers have no confidence.",
)


def import_published(
    checkpoint: Path | str, output: Path | str, *, kind: PublishedKind | None = None
) -> tuple[ModelCard, tuple[str, ...]]:
    """Write a published checkpoint as a packaged model; return its card and remarks, a sentence each.

    Parameters
    ----------
    checkpoint : `.pth` file of SAM, SAM++ or Cross-SAM.
    output : by custom `<name>.safetensors`; its name without the ending is the name of the model.
    kind : which model it is; None to tell by its tensors.

    Raises
    ------
    InputFileError
        as `load_published`.
    """
    checkpoint, output = Path(checkpoint), Path(output)
    found = load_published(checkpoint, kind=kind)
    published = published_weights(found.kind)
    sha256 = sha256_of_file(checkpoint)
    card = ModelCard(
        name=output.stem,
        # One file taken for two kinds makes two models, whose embeddings do not fit together.
        checkpoint_sha256=sha256_of_text(f"{found.kind} {sha256}"),
        usage=published_usage(found.kind),
        modalities=published.modalities,
        training_data=(),
        validation={},
        evaluations=(),
        confidence={},
        limits=LIMITS,
        origin=PublishedOrigin(
            title=published.title,
            file=checkpoint.name,
            sha256=sha256,
            trained_on=published.trained_on,
            papers=published.papers,
            license=published.license,
            sources=published.sources,
        ),
    )
    weights = {name: tensor.numpy() for name, tensor in found.network.state_dict().items()}
    metadata = {CARD_KEY: card.model_dump(mode="json"), CHECKSUM_KEY: weights_sha256(weights)}
    save_checkpoint(output, found.network, metadata=metadata)
    return card, found.remarks
