"""Published checkpoints: the same outputs as the published code, and what is refused."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.networks.checkpoint import load_checkpoint
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.networks.published import load_published, published_settings
from workflow_scripts.import_checkpoint import main as import_checkpoint

FIXTURE = Path(__file__).parents[2].parent / "shared" / "data" / "published_checkpoint"
INPUTS = ("base", "odd", "weak")

needs_fixture = pytest.mark.skipif(
    not FIXTURE.is_dir(), reason="../shared/data/published_checkpoint is not at hand"
)


@pytest.fixture(scope="module")
def weights():
    """Weights of a three-head network under the published names."""
    torch.manual_seed(0)
    return EmbeddingNetwork(published_settings(has_semantic_head=True)).state_dict()


def without(weights, *prefixes):
    return {name: tensor for name, tensor in weights.items() if not name.startswith(prefixes)}


@needs_fixture
@pytest.mark.slow
@pytest.mark.real_data
def test_outputs_equal_those_of_the_published_code(tmp_path):
    keys, inputs = FIXTURE / "uae_s" / "keys.csv", tmp_path / "inputs.npz"
    for script, *arguments in (
        ("make_checkpoint.py", keys, tmp_path / "uae_s.pth"),
        ("make_inputs.py", inputs, "--expected", FIXTURE / "uae_s" / "expected.npz"),
    ):
        subprocess.run([sys.executable, FIXTURE / script, *map(str, arguments)], check=True)
    network = load_published(tmp_path / "uae_s.pth")
    outputs = {}
    with np.load(inputs) as volumes, torch.no_grad():
        for name in INPUTS:
            maps = network(torch.from_numpy(volumes[f"{name}.input"]))
            outputs |= {f"{name}.{head}": values.numpy() for head, values in maps._asdict().items()}
    np.savez(tmp_path / "outputs.npz", **outputs)
    checked = subprocess.run(
        [
            sys.executable,
            FIXTURE / "check_outputs.py",
            FIXTURE / "uae_s" / "expected.npz",
            tmp_path / "outputs.npz",
        ],
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count(" ok") == len(INPUTS) * len(maps)


@needs_fixture
@pytest.mark.real_data
def test_names_and_shapes_are_those_of_the_published_key_list(weights):
    rows = runpy.run_path(str(FIXTURE / "make_checkpoint.py"))["read_keys"](FIXTURE / "uae_s" / "keys.csv")
    assert {name: tuple(tensor.shape) for name, tensor in weights.items()} == {
        name: shape for name, shape, _ in rows
    }


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("has_semantic_head", [True, False])
@pytest.mark.parametrize("is_wrapped", [True, False])
def test_prefix_and_number_of_heads_do_not_matter(tmp_path, weights, prefix, has_semantic_head, is_wrapped):
    kept = weights if has_semantic_head else without(weights, "semantic_head.")
    named = {prefix + name: tensor for name, tensor in kept.items()}
    torch.save({"meta": {"iter": 20000}, "state_dict": named} if is_wrapped else named, tmp_path / "a.pth")
    network = load_published(tmp_path / "a.pth")
    assert not network.training
    assert (network.semantic_head is not None) == has_semantic_head
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, kept[name]), name
    with torch.no_grad():
        assert (network(torch.zeros(1, 1, 2, 16, 16)).semantic is not None) == has_semantic_head


def test_missing_and_unexpected_names_are_told(tmp_path, weights):
    wrong = without(weights, "backbone.layer3.1.conv2.bn.", "neck.fpn_convs") | {
        "head.fc.weight": torch.ones(1)
    }
    torch.save({"state_dict": wrong}, tmp_path / "wrong.pth")
    with pytest.raises(
        InputFileError,
        match=r"wrong\.pth: .*7 tensors are missing, the first is backbone\.layer3\.1\.conv2\.bn\.weight; "
        r"1 tensors are unexpected, the first is head\.fc\.weight",
    ):
        load_published(tmp_path / "wrong.pth")


def test_another_width_names_the_tensor(tmp_path, weights):
    name = "backbone.layer2.0.conv1.conv.weight"
    torch.save({"state_dict": dict(weights) | {name: torch.zeros(64, 64, 1, 3, 3)}}, tmp_path / "a.pth")
    with pytest.raises(
        InputFileError, match=rf"{name} has shape \[64, 64, 1, 3, 3\], the network expects \[128, "
    ):
        load_published(tmp_path / "a.pth")


class RunsCode:
    """Something that runs code when it is unpickled."""

    def __reduce__(self):
        return (shutil.rmtree, ("nothing",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {}}, "has no weights"),
        ([1, 2], "has no weights"),
        ({"meta": 1}, "its entry 'meta' is not a tensor"),
        (RunsCode(), "without running code from it"),
        (None, "without running code from it"),
    ],
)
def test_files_that_are_no_checkpoint_are_refused(tmp_path, content, message):
    path = tmp_path / "a.pth"
    if content is None:
        path.write_bytes(b"not a checkpoint")
    else:
        torch.save(content, path)
    with pytest.raises(InputFileError, match=message):
        load_published(path)


def test_truncated_and_missing_files_are_refused(tmp_path, weights):
    path = tmp_path / "a.pth"
    torch.save({"state_dict": dict(weights)}, path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputFileError, match="without running code from it"):
        load_published(path)
    with pytest.raises(InputFileError, match="no such file"):
        load_published(tmp_path / "b.pth")


def test_import_stage_writes_a_checkpoint_of_this_project(tmp_path, weights):
    source, target = tmp_path / "uae_s.pth", tmp_path / "models" / "uae_s.safetensors"
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}}, source)
    import_checkpoint(["--input", str(source), "--output", str(target)])
    network, metadata = load_checkpoint(target)
    assert metadata["preprocessing"]["spacing_mm"] == [2.0, 2.0, 2.0]
    assert metadata["preprocessing"]["ct_clip_hu"] == [-1024.0, 3071.0]
    assert metadata["provenance"]["imported_from"] == "uae_s.pth"
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())
