"""The command line `match_points`: from stores and queries to matches."""

import json

import numpy as np
import pandas as pd
import pytest

from anatomical_embedding.confidence import SCAN_FEATURES
from anatomical_embedding.embedding import export as export_module
from anatomical_embedding.embedding.store import open_store
from anatomical_embedding.errors import InputFileError, SettingsError, UserError
from anatomical_embedding.evaluation.landmarks.tables import read_matches
from anatomical_embedding.matching.nearest import match_nearest as match_one_by_one
from anatomical_embedding.settings.matching import MatchingSettings
from anatomical_embedding.settings.usage import UsageSettings
from tests.packaged_model import usage_sections
from tests.three_windows import (
    SHIFTS,
    export,
    fixture_dataset,  # noqa: F401
    write_model,
)
from workflow_scripts import match_points

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


def write_queries(folder, rows):
    columns = ["query_id", "template_id", "target_id", "landmark"]
    columns += [f"{kind}_{axis}_mm" for kind in ("query", "truth") for axis in "xyz"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "queries.csv", index=False)


def match(folder, *more, **arguments):
    match_points.main(
        [
            *("--settings", settings_of(arguments), "--queries", f"{folder}/queries.csv"),
            *("--stores", f"{folder}/stores.csv", "--threads", "1", "--output", f"{folder}/matches.csv"),
            *("--method-name", "nearest", "--made-folder", str(folder), *more),
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


def refined_section(folder, *, is_registered):
    """Return what moves the matches between the scans of the data set to the voxel, registered first or not."""
    usage = UsageSettings.model_validate_json(json.dumps(usage_sections()))
    scans = {"kind": "folder", "modality": "ct", "root": str(folder)}
    scans["split"] = {"num_test": 1, "num_validation": 1, "seed": 1}
    return {
        "dataset": scans,
        "largest_gap_mm": 10.0,
        "registration": usage.coarse_registration().model_dump(mode="json") if is_registered else None,
        "refinement": usage_sections()["answers"]["refinement"],
    }


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
    match(
        dataset,
        refined={"dataset": scans, "largest_gap_mm": 10.0, "registration": None, "refinement": refinement},
    )
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
    assert matches.loc["out", "reason"] == "the point lies outside the scan that it belongs to"
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


def test_scans_are_registered_by_the_program_first(dataset, binary, capsys):
    export(dataset)
    ask_of_anatomy(dataset, [(f"q{n}", "b", "b", (18 + n, 18, 15 + n)) for n in range(4)])
    refined = refined_section(dataset, is_registered=True)
    evidence = usage_sections()["confidence"]["evidence"]
    few = evidence | {"anchor_spacing_mm": 8, "anchor_depth_mm": 0}
    match(dataset, "--index", f"{dataset}/index.csv", "--deeds", str(binary), refined=refined, evidence=few)
    found = pd.read_csv(dataset / "matches.csv")
    assert list(found["registered"]) == [1.0] * 4
    assert found["registered_distance_mm"].max() < 8.0  # a fine cell; both lie within half of one
    match(
        dataset,
        "--index",
        f"{dataset}/index.csv",
        "--deeds",
        str(binary),
        refined=refined,
        evidence=evidence | {"max_num_anchors": 8},
    )
    assert list(pd.read_csv(dataset / "matches.csv")["registered"]) == [0.0] * 4  # too few anchors agree
    for given, missing in (
        (("--index", f"{dataset}/index.csv"), "deeds"),
        (("--deeds", str(binary)), "index"),
    ):
        with pytest.raises(SystemExit):
            match(dataset, *given, refined=refined, evidence=evidence)
        assert f"--{missing}: is needed to register scans" in capsys.readouterr().err
    with pytest.raises(SettingsError, match=r"refined\.registration needs evidence"):
        match(dataset, refined=refined)


def test_scans_that_the_program_refuses_are_searched_where_they_match(dataset, capsys):
    """A program that fails otherwise ends the stage: what an evaluation holds must not hang on the machine."""
    export(dataset)
    ask_of_anatomy(dataset, [(f"q{n}", "b", "b", (18 + n, 18, 15 + n)) for n in range(4)])
    refined = refined_section(dataset, is_registered=True)
    few = usage_sections()["confidence"]["evidence"] | {"anchor_spacing_mm": 8, "anchor_depth_mm": 0}
    program = dataset / "deeds"
    program.write_text('#!/bin/sh\necho "deeds: $5: is two-dimensional" >&2\nexit 2\n')  # the moving scan
    program.chmod(0o700)
    given = ("--index", f"{dataset}/index.csv", "--deeds", str(program))
    match(dataset, *given, refined=refined, evidence=few)
    assert list(pd.read_csv(dataset / "matches.csv")["registered"]) == [0.0] * 4
    said = capsys.readouterr().err
    assert "b to b: not registered, searched where they match: deeds: " in said
    assert "moving.nii: is two-dimensional" in said
    for fails, error in (
        ("kill -s KILL $$", r"^b to b: .*was ended by signal 9"),
        (
            "echo 'deeds: pair_displacements.dat: cannot be written' >&2; exit 2",
            "^b to b: .*cannot be written",
        ),
    ):
        program.write_text(f"#!/bin/sh\n{fails}\n")
        with pytest.raises(UserError, match=error):
            match(dataset, *given, refined=refined, evidence=few)


def test_evidence_is_that_of_the_place_that_scans_moved_the_match_to(dataset):
    stores = export(dataset)
    ask_of_anatomy(dataset, [(f"q{n}", "b", "b", (18 + n, 18, 15 + n)) for n in range(4)])
    sections = usage_sections()
    refined = refined_section(dataset, is_registered=False)
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
