"""What a model card quotes."""

import json

import pytest

from anatomical_embedding.checkpoint_header import copy_checkpoint, read_checkpoint_header
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.networks.checkpoint import initialise_from_file, read_checkpoint_settings
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.usage.model import load_model
from anatomical_embedding.weights_checksum import CHECKSUM_KEY, weights_sha256_of_file
from tests.packaged_model import usage_sections, write_model
from workflow_scripts import package_model
from workflow_scripts.package_model import last_row


def test_the_last_validation_is_quoted_without_its_time(tmp_path):
    """The time differs from run to run, and with it the bytes of the package would."""
    log = tmp_path / "validation_log.csv"
    log.write_text("step,seconds,median_mm\n10,1.5,9\n20,2.75,8.5\n", encoding="utf-8")
    assert last_row(log) == {"step": 20.0, "median_mm": 8.5}


def test_a_log_without_rows_gives_nothing(tmp_path):
    log = tmp_path / "validation_log.csv"
    log.touch()
    assert last_row(log) == {}


def test_why_there_is_no_confidence_is_a_limit_of_the_model(tmp_path):
    trained, reason = write_model(tmp_path), tmp_path / "nearest.confidence.json"
    reason.write_text(json.dumps({"confidence": None, "reason": "too few answers"}), encoding="utf-8")
    package_model.main(
        [
            *("--settings", json.dumps(usage_sections()), "--name", "tiny", "--checkpoint", str(trained)),
            *("--confidence", f"nearest={reason}", "--limit", "Random weights."),
            *("--output", str(tmp_path / "packed.safetensors")),
        ]
    )
    limits = load_model(tmp_path / "packed.safetensors").card.limits
    assert limits == ("Random weights.", "No confidence for nearest: too few answers.")


def test_a_byte_of_the_weights_that_was_changed_is_noticed(tmp_path):
    path = write_model(tmp_path)
    content = bytearray(path.read_bytes())
    assert load_model(path).embedder is not None
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=r"tiny\.safetensors: is damaged: its weights are not those"):
        _ = load_model(path).embedder
    # A training may start from a packed model, too.
    network = EmbeddingNetwork(read_checkpoint_settings(path)[0])
    with pytest.raises(InputFileError, match=r"tiny\.safetensors: is damaged: its weights are not those"):
        initialise_from_file(network, path)


def test_a_model_that_was_packed_without_a_checksum_is_used(tmp_path):
    path = write_model(tmp_path)
    metadata = read_checkpoint_header(path)["metadata"]
    assert metadata.pop(CHECKSUM_KEY) == weights_sha256_of_file(path)
    copy_checkpoint(path, tmp_path / "before.safetensors", metadata=metadata)
    assert load_model(tmp_path / "before.safetensors").embedder is not None
