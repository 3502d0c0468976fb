"""The command lines from prepared volumes to matches: export_embeddings and match_points."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter

from anatomical_embedding import provenance
from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.embedding import export as export_module
from anatomical_embedding.embedding.embed_volume import VolumeEmbedder
from anatomical_embedding.embedding.store import Origin, decode, open_store, read_origin
from anatomical_embedding.embedding.store_manifest import read_store_manifest
from anatomical_embedding.errors import InputFileError, SettingsError, UserError
from anatomical_embedding.evaluation.landmarks.tables import read_matches
from anatomical_embedding.matching.found_points import SCAN_FEATURES
from anatomical_embedding.matching.grid_points import match_grid
from anatomical_embedding.matching.nearest import match_nearest as match_one_by_one
from anatomical_embedding.networks import number_formats
from anatomical_embedding.networks.checkpoint import load_checkpoint, save_checkpoint
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.settings.export import ExportSettings
from anatomical_embedding.settings.matching import MatchingSettings
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.registration import GridMatchSettings, MatchGridSettings
from anatomical_embedding.volumes.intensity import network_array, normalise_intensity
from anatomical_embedding.volumes.volume import Volume
from tests.integration.warm_servers import warm_python
from tests.packaged_model import usage_sections
from tests.prepared_volumes import lps_affine, write_prepared, write_prepared_index
from workflow_scripts import export_embeddings, match_points

NETWORK = NetworkSettings(
    stem_channels=4,
    stem_kernel_zyx=(3, 3, 3),
    stem_stride_zyx=(2, 2, 2),
    stage_channels=(4, 6, 8, 8),
    stage_kernels_zyx=((3, 3, 3),) * 4,
    stage_strides_zyx=((1, 1, 1), (1, 2, 2), (2, 2, 2), (1, 1, 1)),
    pool_zyx=(1, 1, 1),
    embedding_channels=16,
    coarse_channels=8,
    has_semantic_head=True,
)
EXPORT = {
    "embedding": {"precision": "fp32", "device": "cpu", "memory_limit_mb": 500, "with_semantic_map": True},
    "store": {"format": "fp16"},
    "intensity": {
        "ct_low_hu": -500,
        "ct_high_hu": 700,
        "mr_low_percentile": 0.2,
        "mr_high_percentile": 99.8,
        "mr_smallest_high": 1,
        "output_span": 255,
        "output_offset": -50,
    },
}
MATCHING = {
    "head_weights": {"fine": 1, "coarse": 1, "semantic": 1},
    "query_interpolation": "trilinear",
    "search": "pruned",
    "num_candidates": 16,
    "scan_precision": "fp32",
    "refinement": "parabolic",
    "max_memory_mb": 200,
    "device": "cpu",
}
STABLE_POINTS = {
    "anchor_radius_steps": 1,
    "anchor_step_cells": 1,
    "num_places": 3,
    "window_radius_cells": 5,  # random weights hardly tell neighbours apart
    "smallest_similarity": 0.0,
    "largest_shift_mm": 40.0,
    "affine_stiffness_mm": 4.0,
    "min_anchors": 4,
}
SHIFTS = {"a": (0, 0, 0), "b": (2, 4, 4), "c": (4, 2, 2)}


@pytest.fixture
def dataset(tmp_path):
    """Write three windows on one anatomy whose world origins say nothing about each other, and a model."""
    random = np.random.default_rng(0)
    anatomy = (gaussian_filter(random.normal(size=(45, 44, 40)), 1.5) * 4000).astype(np.int16)
    rows = []
    for volume_id, (x, y, z) in SHIFTS.items():
        image = Volume(
            anatomy[x : x + 37, y : y + 36, z : z + 34], lps_affine(origin_mm=random.uniform(-99, 99, 3))
        )
        body = Volume(np.ones(image.shape, np.uint8), image.affine)
        rows.append(write_prepared(tmp_path, volume_id, image, body, patient_id=volume_id))
    rows[0] = replace(rows[0], split="train")
    write_prepared_index(tmp_path, rows)
    write_model(tmp_path, seed=0)
    return tmp_path


def write_model(folder, *, seed):
    torch.manual_seed(seed)
    save_checkpoint(folder / "model.safetensors", EmbeddingNetwork(NETWORK), metadata={})


def export_arguments(folder, settings=None, splits=("train", "test")):
    return [
        *("--settings", json.dumps(settings or EXPORT), "--index", f"{folder}/index.csv"),
        *("--checkpoint", f"{folder}/model.safetensors", "--splits", *splits),
        *("--store-folder", f"{folder}/stores", "--output", f"{folder}/stores.csv"),
    ]


def export(folder, settings=None, splits=("train", "test")):
    export_embeddings.main(export_arguments(folder, settings, splits))
    return read_store_manifest(folder / "stores.csv")


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


def write_queries(folder, rows):
    columns = ["query_id", "template_id", "target_id", "landmark"]
    columns += [f"{kind}_{axis}_mm" for kind in ("query", "truth") for axis in "xyz"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "queries.csv", index=False)


def match(folder, **arguments):
    match_points.main(
        [
            *("--settings", settings_of(arguments), "--queries", f"{folder}/queries.csv"),
            *("--stores", f"{folder}/stores.csv", "--threads", "1", "--output", f"{folder}/matches.csv"),
            *("--method-name", "nearest", "--made-folder", str(folder)),
        ]
    )
    return read_matches(folder / "matches.csv")


def settings_of(arguments):
    """Return the settings of the stage as JSON, with other values of the section `matching`."""
    settings = {"method": {"kind": "nearest"}, "evidence": None, "refined": None}
    if "stable_points" in arguments:
        settings["method"] = {"kind": "stable_points"} | arguments.pop("stable_points")
    settings |= {name: arguments.pop(name) for name in list(arguments) if name in settings}
    return json.dumps(settings | {"matching": MATCHING | arguments})


def ask_of_anatomy(folder, points):
    """Write queries for (query id, template, target, voxel of the whole anatomy); a truth column is nonsense."""
    affines = {name: export_module.map_volume(folder / f"{name}.nii").affine for name in SHIFTS}
    rows, truths = [], []
    for query_id, template, target, point in points:
        template_mm, target_mm = (
            affines[name] @ [*(np.array(point) - SHIFTS[name]), 1.0] for name in (template, target)
        )
        rows.append((query_id, template, target, "point", *template_mm[:3], 9, 9, 9))
        truths.append(target_mm[:3])
    write_queries(folder, rows)
    return np.array(truths)


def test_queries_are_answered_in_their_order(dataset):
    stores = export(dataset)
    asked = [
        (f"q{n}", *pair, (16 + n, 18, 17)) for n, pair in enumerate(["ab", "ca", "ab", "bb", "cb", "ba"])
    ]
    ask_of_anatomy(dataset, asked)
    matches = match(dataset)
    assert list(matches["query_id"]) == ["q0", "q1", "q2", "q3", "q4", "q5"]
    assert set(matches["status"]) == {"found"}
    assert set(matches["method"]) == {"nearest"}

    opened = {name: open_store(path) for name, path in stores.items()}
    settings = MatchingSettings.model_validate(MATCHING)
    found_mm = matches[["x_mm", "y_mm", "z_mm"]].to_numpy()
    for row, (_, query) in enumerate(pd.read_csv(dataset / "queries.csv").iterrows()):
        point_mm = [query[f"query_{axis}_mm"] for axis in "xyz"]
        template, target = opened[query["template_id"]], opened[query["target_id"]]
        alone = match_one_by_one(template, target, [point_mm], settings=settings)
        np.testing.assert_allclose(found_mm[row], alone.points_mm[0], atol=1e-3)
        np.testing.assert_allclose(matches["similarity"][row], alone.similarity[0], atol=1e-5)


def test_a_volume_asked_of_itself_answers_the_query(dataset):
    """Even random weights know a place again; the grids of the two sides are the same here."""
    export(dataset)
    asked = [(f"q{n}", "b", "b", (18 + n, 18, 15 + n)) for n in range(5)]
    truth_mm = ask_of_anatomy(dataset, asked)
    error_mm = match(dataset)[["x_mm", "y_mm", "z_mm"]].to_numpy() - truth_mm
    assert np.abs(error_mm).max() < 4.0  # half a fine cell


def test_stable_points_find_the_query_again_and_say_how_sure_they_are(dataset):
    export(dataset)
    asked = [(f"q{n}", "b", "b", (18 + n, 18, 15 + n)) for n in range(5)]
    truth_mm = ask_of_anatomy(dataset, asked)
    error_mm = match(dataset, stable_points=STABLE_POINTS)[["x_mm", "y_mm", "z_mm"]].to_numpy() - truth_mm
    assert np.abs(error_mm).max() < 4.0
    table = pd.read_csv(dataset / "matches.csv")
    assert list(table.columns[-4:]) == ["num_anchors", "residual_mm", "cycle_error_mm", "is_fallback"]
    assert (table["num_anchors"] >= 4).all()
    assert not table["is_fallback"].any()


def test_matches_are_moved_to_the_voxel_by_the_raw_scans(dataset):
    export(dataset)
    asked = [(f"q{n}", "b", "b", (18 + n, 18, 15 + n)) for n in range(4)]
    truth_mm = ask_of_anatomy(dataset, [*asked, ("out", "b", "b", (60, 18, 17))])[:4]
    in_cells = match(dataset)
    scans = {"kind": "folder", "modality": "ct", "root": str(dataset)}
    scans["split"] = {"num_test": 1, "num_validation": 1, "seed": 1}
    refinement = usage_sections()["answers"]["refinement"]
    match(dataset, refined={"dataset": scans, "largest_gap_mm": 10.0, "refinement": refinement})
    table = pd.read_csv(dataset / "matches.csv").set_index("query_id")
    assert list(table["refined"]) == ["yes"] * 4 + ["there is no match to refine"]
    moved = table[["x_mm", "y_mm", "z_mm"]].to_numpy()
    assert np.linalg.norm(moved[:4] - truth_mm, axis=1).max() < 0.2
    shift_mm = np.linalg.norm(moved[:4] - in_cells[["x_mm", "y_mm", "z_mm"]].to_numpy()[:4], axis=1)
    np.testing.assert_allclose(table["refinement_shift_mm"][:4], shift_mm, atol=1e-3)
    assert table["refinement_shift_mm"]["out"] == 0


def test_queries_outside_fail_and_keep_their_row(dataset):
    export(dataset)
    ask_of_anatomy(dataset, [("in", "a", "b", (20, 20, 20)), ("out", "a", "b", (40, 20, 20))])
    matches = match(dataset).set_index("query_id")
    assert matches.loc["out", "status"] == "failed"
    assert matches.loc["out", "reason"] == "the query lies outside the template volume"
    assert np.isnan(matches.loc["out", "x_mm"])
    assert matches.loc["in", "status"] == "found"


def test_no_queries_give_an_empty_table(dataset):
    export(dataset)
    write_queries(dataset, [])
    assert match(dataset).empty


def test_a_query_of_a_volume_without_a_store_is_refused(dataset):
    export(dataset, splits=["test"])
    ask_of_anatomy(dataset, [("q", "a", "b", (20, 20, 20))])
    with pytest.raises(UserError, match="name the volume 'a', which has no embedding store"):
        match(dataset)


def test_stores_of_two_models_are_refused(dataset):
    stores = export(dataset)
    kept = stores["a"].read_bytes()
    write_model(dataset, seed=1)
    export(dataset)
    stores["a"].write_bytes(kept)
    ask_of_anatomy(dataset, [("q", "a", "b", (20, 20, 20))])
    with pytest.raises(
        InputFileError, match=r"a\.safetensors: is a store of model \w{12}, expected model \w{12}"
    ):
        match(dataset)


def test_settings_faults_name_their_key(dataset):
    export(dataset)
    ask_of_anatomy(dataset, [("q", "a", "b", (20, 20, 20))])
    with pytest.raises(SettingsError, match=r"head_weights: .*fine and coarse are both 0"):
        match(dataset, head_weights={"fine": 0, "coarse": 0, "semantic": 1})
    with pytest.raises(SettingsError, match="num_candidates: "):
        match(dataset, num_candidates=0)


def test_evidence_is_that_of_the_place_that_scans_moved_the_match_to(dataset):
    stores = export(dataset)
    ask_of_anatomy(dataset, [(f"q{n}", "b", "b", (18 + n, 18, 15 + n)) for n in range(4)])
    sections = usage_sections()
    scans = {"kind": "folder", "modality": "ct", "root": str(dataset)}
    scans["split"] = {"num_test": 1, "num_validation": 1, "seed": 1}
    refined = {"dataset": scans, "largest_gap_mm": 10.0, "refinement": sections["answers"]["refinement"]}
    match(dataset, refined=refined, evidence=sections["confidence"]["evidence"])
    moved = pd.read_csv(dataset / "matches.csv")
    assert list(moved["moved"]) == [1.0] * 4
    assert moved["moved_correlation"].min() > 0.95
    assert moved["lookalike_distance_mm"].notna().all()
    np.testing.assert_allclose(moved["voxel_mm"], 32**0.5)  # voxels of 4 mm in both scans
    depth_mm = open_store(stores["b"]).depth_mm(moved[["x_mm", "y_mm", "z_mm"]].to_numpy())
    np.testing.assert_allclose(moved["answer_depth_mm"], depth_mm, atol=1e-3)
    match(dataset, evidence=sections["confidence"]["evidence"])
    assert pd.read_csv(dataset / "matches.csv")[list(SCAN_FEATURES)].isna().all(axis=None)
