"""The header of a checkpoint: everything but the weights. Needs no torch, so it is read and changed in no time.

The header key `anatomical_embedding` holds JSON: `format` (a number), `network` (the network's settings) and `metadata`
(whatever the writer recorded; a packaged model has its model card there, under `card`).
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from anatomical_embedding.canonical_text import canonical_json
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import sha256_of_file, written_atomically

HEADER_KEY = "anatomical_embedding"
FORMAT = 1
CARD_KEY = "card"


def read_checkpoint_header(path: Path | str) -> dict[str, Any]:
    """Return the JSON header of a checkpoint, its format checked.

    Raises
    ------
    InputFileError
        if the file is missing, damaged, no checkpoint or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise InputFileError(path, "no such file; expected a checkpoint (.safetensors)")
    try:
        with safe_open(path, framework="numpy") as stream:
            text = (stream.metadata() or {}).get(HEADER_KEY)
    except (SafetensorError, OSError) as error:
        raise InputFileError(
            path,
            "is not a model: it is no safetensors file, or is cut short; expected one such as model.safetensors of a "
            "run; import a published .pth file first (`anatomical-embedding import`)",
        ) from error
    if text is None:
        raise InputFileError(
            path,
            f"is not a checkpoint of this project: the header key {HEADER_KEY} is missing; train or import one",
        )
    header = json.loads(text)
    if header.get("format") != FORMAT:
        raise InputFileError(
            path,
            f"has checkpoint format {header.get('format')}, this version reads format {FORMAT}; "
            "use the version that wrote it, or train again",
        )
    return header


def copy_checkpoint(source: Path | str, target: Path | str, *, metadata: dict[str, Any]) -> None:
    """Write the weights of a checkpoint with other metadata, atomically; equal content gives an equal file.

    Raises
    ------
    InputFileError
        if the source is missing, damaged, no checkpoint or of another format.
    """
    header = read_checkpoint_header(source) | {"metadata": metadata}
    with safe_open(source, framework="numpy") as stream:
        weights = {name: stream.get_tensor(name) for name in stream.keys()}
    with written_atomically(target) as temporary:
        save_file(weights, temporary, metadata={HEADER_KEY: canonical_json(header)})


def model_sha256(path: Path | str) -> str:
    """Return what tells a model from others: the checksum of its trained checkpoint.

    A packaged model holds the same weights under another checksum, so it carries that of the checkpoint it was made of.
    Embeddings of one model fit together, whichever of the two files made them.

    Raises
    ------
    InputFileError
        if the file is not a checkpoint.
    """
    card = read_checkpoint_header(path).get("metadata", {}).get(CARD_KEY)
    return card["checkpoint_sha256"] if card is not None else sha256_of_file(path)
