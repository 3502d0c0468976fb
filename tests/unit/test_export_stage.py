"""The command line `export_embeddings`: from prepared volumes to stores."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from anatomical_embedding import provenance
from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.embedding import export as export_module
from anatomical_embedding.embedding.embed_volume import VolumeEmbedder
from anatomical_embedding.embedding.store import Origin, decode, open_store, read_origin
from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.grid_points import match_grid
from anatomical_embedding.networks import number_formats
from anatomical_embedding.networks.checkpoint import load_checkpoint
from anatomical_embedding.settings.export import ExportSettings
from anatomical_embedding.settings.matching import MatchingSettings
from anatomical_embedding.settings.registration import GridMatchSettings, MatchGridSettings
from anatomical_embedding.volumes.intensity import network_array, normalise_intensity
from anatomical_embedding.volumes.volume import Volume
from tests.integration.warm_servers import warm_python
from tests.packaged_model import usage_sections
from tests.prepared_volumes import write_prepared, write_prepared_index
from tests.three_windows import (
    EXPORT,
    export,
    export_arguments,
    fixture_dataset,  # noqa: F401
    write_model,
)
from workflow_scripts import export_embeddings


def export_by_two(folder):
    """Export in two processes, started as the rule starts them."""
    command = [sys.executable, "-m", "workflow_scripts.start_processes", "--gpus", "2", "--nodes", "1"]
    return subprocess.run(
        [*command, "--threads", "2", "export_embeddings", *export_arguments(folder)],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHON_EXEC": warm_python()},
    )


def changed(section, **values):
    return EXPORT | {section: EXPORT[section] | values}


def written_stores(folder, settings=None):
    """Export again and return the volumes whose store was written."""
    before = {path: path.stat().st_mtime_ns for path in (folder / "stores").iterdir()}
    export(folder, settings)
    after = {path: path.stat().st_mtime_ns for path in (folder / "stores").iterdir()}
    return {path.stem for path, written in after.items() if before.get(path) != written}


def test_bodies_are_matched_alike_where_vectors_are_made_round_them_alone(dataset):
    settings = ExportSettings.model_validate_json(json.dumps(EXPORT))
    embedder = export_module.StoreEmbedder(dataset / "model.safetensors", settings=settings)
    volumes = [export_module.map_volume(dataset / f"{name}.nii") for name in "ab"]
    bodies = []
    for volume in volumes:
        mask = np.zeros(volume.shape, np.uint8)
        mask[tuple(slice(size // 3, size - size // 4) for size in volume.shape)] = 1
        bodies.append(Volume(mask, volume.affine))
    matching = MatchingSettings.model_validate(usage_sections()["matching"] | {"refinement": "parabolic"})
    lattice = GridMatchSettings(spacing_mm=(8.0, 8.0, 8.0), min_similarity=-1.0, max_return_distance_mm=None)
    found, shares = [], []
    for masks in ([None, None], bodies):
        embedded = [
            embedder.embed(volume, modality="ct", volume_id="a", origin=Origin("", "", ""), body=mask)
            for volume, mask in zip(volumes, masks, strict=True)
        ]
        shares.append((embedded[0].fine.values != 0).any(axis=-1).mean())
        settings_of_grid = MatchGridSettings(grid=lattice, matching=matching)
        found.append(
            match_grid(*embedded, fixed_body=bodies[0], moving_body=bodies[1], settings=settings_of_grid)
        )
    assert shares[1] < 0.7 < shares[0]
    assert len(found[0].fixed_mm) > 10
    for name in ("fixed_mm", "moving_mm", "similarity", "return_distance_mm"):
        np.testing.assert_allclose(getattr(found[1], name), getattr(found[0], name), atol=1e-3)


def test_a_store_holds_the_maps_of_the_network(dataset):
    stores = export(dataset)
    assert list(stores) == ["a", "b", "c"]
    stored = open_store(stores["b"])
    network, _ = load_checkpoint(dataset / "model.safetensors")
    settings = ExportSettings.model_validate_json(json.dumps(EXPORT))
    volume = export_module.map_volume(dataset / "b.nii")
    array = normalise_intensity(network_array(volume), modality="ct", settings=settings.intensity)
    maps = VolumeEmbedder(network, settings=settings.embedding).embed(array)
    for head, expected in zip((stored.fine, stored.coarse, stored.semantic), maps, strict=True):
        found = decode(head.values, scale=head.scale)
        np.testing.assert_allclose(found.transpose(3, 0, 1, 2), expected[0].numpy(), atol=5e-4)
    assert (stored.fine.stride_vox, stored.coarse.stride_vox) == ((2, 2, 2), (8, 8, 4))
    np.testing.assert_array_equal(stored.affine, volume.affine)
    assert stored.shape == volume.shape


@pytest.mark.parametrize("is_fast", [True, False])
def test_stores_the_log_and_the_manifest_say_the_precision_that_was_computed_in(
    dataset, monkeypatch, capsys, is_fast
):
    monkeypatch.setattr(number_formats, "has_bfloat16", lambda: is_fast)
    monkeypatch.setattr(provenance, "_remarks", [])
    store = export(dataset, changed("embedding", precision="bf16"), splits=["train"])["a"]
    said = [] if is_fast else ["embedding.precision: bf16 is slow on this processor; computing in fp32"]
    assert open_store(store).precision == ("bf16" if is_fast else "fp32")
    assert capsys.readouterr().err.count("note: ") == len(said)
    assert provenance._remarks == said
    monkeypatch.setattr(number_formats, "has_bfloat16", lambda: not is_fast)
    assert written_stores(dataset, changed("embedding", precision="bf16")) == {"b", "c"}


def test_only_the_splits_that_are_asked_for(dataset):
    assert list(export(dataset, splits=["test"])) == ["b", "c"]


def test_what_is_stored_for_the_same_origin_is_left_alone(dataset, monkeypatch):
    export(dataset)
    monkeypatch.setattr(
        export_module, "load_checkpoint", lambda path: pytest.fail("loaded the model for nothing")
    )
    assert written_stores(dataset) == set()
    assert written_stores(dataset, changed("embedding", memory_limit_mb=400, device="auto")) == set()


def test_a_replaced_volume_embeds_itself_only(dataset):
    export(dataset)
    image = export_module.map_volume(dataset / "c.nii")
    other = Volume(np.flip(image.array, axis=0).copy(), image.affine)
    body = Volume(np.ones(image.shape, np.uint8), image.affine)
    rows = [row for row in export_embeddings.read_index(dataset / "index.csv") if row.volume_id != "c"]
    rows.append(write_prepared(dataset, "c", other, body, patient_id="c"))
    write_prepared_index(dataset, rows)
    assert written_stores(dataset) == {"c"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        changed("embedding", precision="bf16"),
        changed("store", format="int8"),
        changed("intensity", ct_low_hu=-600),
    ],
)
def test_other_preprocessing_embeds_all_again(dataset, settings):
    export(dataset)
    assert written_stores(dataset, settings) == {"a", "b", "c"}


def test_another_model_or_a_damaged_store_is_embedded_again(dataset):
    stores = export(dataset)
    stores["b"].write_bytes(stores["b"].read_bytes()[:1000])
    assert written_stores(dataset) == {"b"}
    before = read_origin(stores["a"])
    write_model(dataset, seed=1)
    assert written_stores(dataset) == {"a", "b", "c"}
    assert read_origin(stores["a"]).checkpoint_sha256 != before.checkpoint_sha256


def test_a_bad_volume_names_itself_and_the_others_are_stored(dataset):
    (dataset / "b.nii").write_bytes(b"not an image")
    with pytest.raises(
        UserError, match=r"could not embed 'b'; the other 2 volumes are stored; first fault: b: .*b\.nii"
    ):
        export(dataset)
    assert not (dataset / "stores.csv").exists()
    assert sorted(path.name for path in (dataset / "stores").iterdir()) == ["a.safetensors", "c.safetensors"]


@pytest.mark.slow
def test_two_processes_store_what_one_stores(dataset):
    alone = {volume: path.read_bytes() for volume, path in export(dataset).items()}
    listed = (dataset / "stores.csv").read_bytes()
    for path in [dataset / "stores.csv", *(dataset / "stores").iterdir()]:
        path.unlink()
    done = export_by_two(dataset)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("embedding volumes:") == 2  # both had something to do
    assert {path.stem: path.read_bytes() for path in (dataset / "stores").iterdir()} == alone
    assert (dataset / "stores.csv").read_bytes() == listed


@pytest.mark.slow
def test_two_processes_embed_what_is_missing_and_tell_what_they_cannot(dataset):
    stores = export(dataset)
    (dataset / "stores.csv").unlink()
    stores["a"].unlink()
    stores["c"].unlink()
    (dataset / "c.nii").write_bytes(b"not an image")
    before = stores["b"].stat().st_mtime_ns
    done = export_by_two(dataset)
    assert done.returncode != 0
    assert "3 volumes, 1 of them stored already" in done.stderr
    assert "could not embed 'c'; the other 2 volumes are stored" in done.stderr
    assert stores["a"].exists()
    assert stores["b"].stat().st_mtime_ns == before
    assert not (dataset / "stores.csv").exists()
