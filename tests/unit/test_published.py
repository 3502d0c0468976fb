"""Published checkpoints: the outputs of the published code, what is read of a file and what refused, and the model."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from anatomical_embedding.cli.main import main
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.model_card import read_model_card
from anatomical_embedding.networks.checkpoint import initialise_from_file, load_checkpoint
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.networks.published import load_published
from anatomical_embedding.settings.published_weights import published_network

FIXTURE = Path(__file__).parents[2].parent / "shared" / "data" / "published_checkpoint"
INPUTS = ("base", "odd", "weak")

needs_fixture = pytest.mark.skipif(
    not FIXTURE.is_dir(), reason="../shared/data/published_checkpoint is not at hand"
)


@pytest.fixture(scope="module")
def weights():
    """Weights of a three-head network under the published names, its semantic head trained."""
    torch.manual_seed(0)
    drawn = EmbeddingNetwork(published_network("sampp")).state_dict()
    trained = [name for name in drawn if name.startswith("semantic_head.") and name.endswith(".bias")]
    return drawn | {name: drawn[name] + 0.01 for name in trained}


def without(weights, *prefixes):
    return {name: tensor for name, tensor in weights.items() if not name.startswith(prefixes)}


@needs_fixture
@pytest.mark.slow
@pytest.mark.real_data
def test_outputs_equal_those_of_the_published_code(tmp_path, monkeypatch, capsys):
    def run_script(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        return runpy.run_path(str(FIXTURE / name))["main"]()

    keys, inputs = FIXTURE / "uae_s" / "keys.csv", tmp_path / "inputs.npz"
    expected = FIXTURE / "uae_s" / "expected.npz"
    assert not run_script("make_checkpoint.py", keys, tmp_path / "uae_s.pth")
    assert not run_script("make_inputs.py", inputs, "--expected", expected)
    found = load_published(tmp_path / "uae_s.pth")
    assert found.kind == "sampp"
    network = found.network
    outputs = {}
    with np.load(inputs) as volumes, torch.no_grad():
        for name in INPUTS:
            maps = network(torch.from_numpy(volumes[f"{name}.input"]))
            outputs |= {f"{name}.{head}": values.numpy() for head, values in maps._asdict().items()}
    np.savez(tmp_path / "outputs.npz", **outputs)
    capsys.readouterr()
    code = run_script("check_outputs.py", expected, tmp_path / "outputs.npz")
    checked = capsys.readouterr().out
    assert not code, checked
    assert checked.count(" ok") == len(INPUTS) * len(maps)


@needs_fixture
@pytest.mark.real_data
def test_names_and_shapes_are_those_of_the_published_key_list(weights):
    rows = runpy.run_path(str(FIXTURE / "make_checkpoint.py"))["read_keys"](FIXTURE / "uae_s" / "keys.csv")
    assert {name: tuple(tensor.shape) for name, tensor in weights.items()} == {
        name: shape for name, shape, _ in rows
    }


def saved(path, content):
    torch.save(content, path)
    return path


def averaged(weights):
    """Return weights as mmcv's hook for averages saves them: the averages by name, and the last step's beside them."""
    return dict(weights) | {f"ema_{name.replace('.', '_')}": tensor + 1 for name, tensor in weights.items()}


LAYOUTS = {
    "alone": lambda weights: weights,
    "with an optimizer": lambda weights: {
        "meta": {"iter": 20000, "lr": np.float64(0.02), "seen": np.arange(3)},
        "state_dict": weights,
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.02}]},
    },
    "module.": lambda weights: {"state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}},
    "compiled": lambda weights: {"model": {f"_orig_mod.module.{name}": weights[name] for name in weights}},
    "averaged": lambda weights: {"state_dict": averaged(weights)},
    "average of torch": lambda weights: {
        "n_averaged": torch.tensor(5),
        **{f"module.{name}": tensor for name, tensor in weights.items()},
    },
    "half precision": lambda weights: {
        "state_dict": {name: t.half() if t.is_floating_point() else t for name, t in weights.items()}
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_weights_are_read_from_every_layout(tmp_path, weights, layout):
    found = load_published(saved(tmp_path / "a.pth", LAYOUTS[layout](weights)))
    assert not found.network.training
    exact = layout != "half precision"
    for name, tensor in found.network.state_dict().items():
        assert tensor.dtype == weights[name].dtype
        torch.testing.assert_close(
            tensor, weights[name], rtol=0 if exact else 1e-3, atol=0 if exact else 1e-6
        )
    copies = f"{len(weights)} averaged copies of weights are left out"
    assert any(copies in said for said in found.remarks) == (layout == "averaged")


def untrained_semantic_head(weights):
    return {
        name: torch.zeros_like(tensor)
        if name.startswith("semantic_head.") and name.endswith("bias")
        else tensor
        for name, tensor in weights.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "told", "expected"),
    [
        (dict, None, ("sampp", "SAM++ (UAE-S)")),
        (lambda weights: without(weights, "semantic_head."), None, ("sam", "SAM")),
        (untrained_semantic_head, None, ("cross_sam", "Cross-SAM (UAE-M)")),
        (lambda weights: without(weights, "semantic_head."), "cross_sam", ("cross_sam", None)),
        (dict, "sam", ("sam", None)),
    ],
)
def test_the_model_is_told_by_the_tensors_or_by_its_user(tmp_path, weights, change, told, expected):
    kind, title = expected
    found = load_published(saved(tmp_path / "a.pth", {"state_dict": change(weights)}), kind=told)
    assert found.kind == kind
    assert (found.network.semantic_head is not None) == (kind == "sampp")
    assert [said for said in found.remarks if "recognised as" in said] == (
        [f"{tmp_path}/a.pth: it is recognised as {title}; --kind overrides that"] if title else []
    )


@pytest.mark.slow
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


@pytest.mark.slow
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
        (b"not a checkpoint", "is not a PyTorch checkpoint, or is damaged"),
        (b"\x80\x02.", "is not a PyTorch checkpoint, or is damaged"),
    ],
)
def test_files_that_are_no_checkpoint_are_refused(tmp_path, content, message):
    path = tmp_path / "a.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(InputFileError, match=message) as caught:
        load_published(path)
    assert "weights_only" not in str(caught.value), "what torch advises runs the code in the file"


@pytest.mark.slow
def test_truncated_and_missing_files_are_refused(tmp_path, weights):
    path = tmp_path / "a.pth"
    torch.save({"state_dict": dict(weights)}, path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputFileError, match="is not a PyTorch checkpoint, or is damaged"):
        load_published(path)
    with pytest.raises(InputFileError, match="no such file"):
        load_published(tmp_path / "b.pth")


class Foreign:
    """Something plain of another program."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"conv.weight": torch.ones(1)},
            r"no tensor backbone\.conv1\.conv\.weight.*its first is conv\.weight",
        ),
        (
            {"backbone.conv1.conv.weight": torch.ones(1)},
            r"it has no tensors neck\. \(the fine head\), read_out_head\. \(the coarse head\)",
        ),
        ({"state_dict": {}, "meta": Foreign()}, r"it holds \S*test_published\.Foreign beside tensors"),
    ],
)
def test_what_is_missing_is_named(tmp_path, content, message):
    with pytest.raises(InputFileError, match=message):
        load_published(saved(tmp_path / "a.pth", content))


@pytest.mark.slow
def test_a_model_without_a_semantic_head_is_no_sampp(tmp_path, weights):
    path = saved(tmp_path / "a.pth", without(weights, "semantic_head."))
    with pytest.raises(InputFileError, match=r"8 tensors are missing, the first is semantic_head\."):
        load_published(path, kind="sampp")


@pytest.mark.slow
def test_damaged_weights_are_refused(tmp_path, weights):
    name = "neck.fpn_convs.0.conv.bias"
    path = saved(tmp_path / "a.pth", dict(weights) | {name: torch.full((128,), torch.inf)})
    with pytest.raises(InputFileError, match=rf"{name} holds values that are no finite numbers"):
        load_published(path)


@pytest.fixture(scope="module")
def imported(tmp_path_factory, weights):
    """Return the model that the verb makes of a published Cross-SAM."""
    folder = tmp_path_factory.mktemp("imported")
    path = saved(folder / "CrossSAM.pth", {"state_dict": untrained_semantic_head(weights)})
    main(["import", str(path), "--output", str(folder / "models" / "cross.safetensors")])
    return folder / "models" / "cross.safetensors"


@pytest.mark.slow
def test_the_card_has_the_published_values_and_says_where_they_come_from(imported):
    """Numbers of the papers and of the configuration that came with the checkpoints, as docs/method.md names them."""
    card, network = read_model_card(imported)
    usage = card.usage
    assert (card.name, card.modalities, card.confidence, card.evaluations) == ("cross", ("ct", "mr"), {}, ())
    assert usage.volumes.spacing_mm == (2.0, 2.0, 2.0)
    assert (usage.intensity.ct_low_hu, usage.intensity.ct_high_hu) == (-1024.0, 3071.0)
    assert (usage.intensity.mr_low_percentile, usage.intensity.mr_high_percentile) == (0.2, 99.8)
    assert (usage.intensity.output_span, usage.intensity.output_offset) == (255.0, -50.0)
    assert usage.volumes.body_mask.ct.threshold_hu == -300.0
    weights_of_heads = usage.matching.head_weights
    assert weights_of_heads.fine == weights_of_heads.coarse > 0.0
    assert (network.embedding_channels, network.coarse_channels) == (128, 128)
    assert (network.has_semantic_head, network.fine_stride_zyx) == (False, (2, 2, 2))
    assert usage.scan_registration.grid.min_similarity == 0.75
    assert card.origin.file == "CrossSAM.pth"
    assert {"network", "spacing", "orientation", "intensity", "body mask", "similarity"} <= set(
        card.origin.sources
    )
    assert [paper[-10:] for paper in card.origin.papers] == ["2307.03535", "2311.15111"]


@pytest.mark.slow
def test_describe_says_that_the_accuracy_is_not_known(imported, capsys):
    main(["describe", str(imported)])
    said = capsys.readouterr().out
    assert "measured       nothing: how accurate it is, is not known" in said
    assert "imported       Cross-SAM (UAE-M) from CrossSAM.pth" in said


@pytest.mark.slow
def test_a_training_starts_from_an_imported_model(imported, weights):
    network = EmbeddingNetwork(published_network("cross_sam"))
    initialise_from_file(network, imported)
    loaded, _ = load_checkpoint(imported)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, weights[name])
        assert torch.equal(tensor, loaded.state_dict()[name])


@pytest.mark.slow
def test_one_file_taken_for_two_kinds_makes_two_models(tmp_path, imported, capsys):
    source = imported.parents[1] / "CrossSAM.pth"
    main(["import", str(source), "--output", str(tmp_path / "b.safetensors"), "--kind", "sampp", "--json"])
    card = json.loads(capsys.readouterr().out)["card"]
    assert card["origin"]["sha256"] == read_model_card(imported)[0].origin.sha256
    assert card["checkpoint_sha256"] != read_model_card(imported)[0].checkpoint_sha256
