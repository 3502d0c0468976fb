"""What a confidence is fitted to in the workflow: patients that the model never saw, in cells and to the voxel."""

import copy
import json

import pandas as pd
import pytest

from anatomical_embedding.index_file import read_index
from tests.integration.tiny_workflow import OVERLAY, planned_jobs, set_up, snakemake, write_overlay

pytestmark = pytest.mark.slow

FITTED = "results/models/sam/nearest.confidence.json"
NUM_TRAINED = 4
COARSE = {
    "answers": {
        "refinement": {
            "correlation": {"step_mm": 8.0, "reach_mm": 8.0, "return_reach_mm": 8.0},
            "descent": {
                "passes": [
                    {
                        "half_size_mm": 24.0,
                        "min_voxels": 100,
                        "step_mm": 8.0,
                        "blur_mm": 4.0,
                        "reach_mm": 8.0,
                        "num_steps": 2,
                        "deviation_mm": 12.0,
                    }
                ]
            },
        }
    }
}
"""Answers are moved by the scans in steps of their voxels."""


def run_file():
    """Return a run of bodies alone, of which four train, in two folds."""
    overlay = copy.deepcopy(OVERLAY) | COARSE
    del overlay["datasets"]["folder_ct"]
    overlay["datasets"]["phantom_ct"]["num_subjects"] = NUM_TRAINED + 3
    overlay["datasets"]["phantom_ct"]["split"] = {"num_test": 2, "num_validation": 1, "seed": 1}
    overlay["models"]["sam"]["training"]["mix"] = {"phantom_ct": 1}
    overlay["models"]["sam"]["confidence_folds"] = 2
    overlay["evaluations"]["phantom_ct"]["methods"] = ["nearest"]
    return overlay


def answers_of(folder):
    """Return the queries of a part of the fit and their matches."""
    queries, matches = (pd.read_csv(folder / name) for name in ("queries.csv", "sam.nearest.matches.csv"))
    assert set(matches["query_id"]) == set(queries["query_id"])
    return queries, matches


@pytest.mark.parametrize(
    ("refined", "refinement", "num_parts"),
    [(False, "voxel", 6), (False, "parabolic", 3), (True, "voxel", 3)],
)
def test_answers_in_cells_are_fitted_to_the_voxel_too_where_users_get_these(
    tmp_path, refined, refinement, num_parts
):
    """Of the validation patients and of two folds; those of an evaluation that is refined are moved as they are."""
    set_up(tmp_path, num_scans=0)
    overlay = run_file() | {"matching": {"refinement": refinement}}
    overlay["evaluations"]["phantom_ct"]["refined"] = refined
    write_overlay(tmp_path, overlay)
    jobs = planned_jobs(tmp_path, "--", FITTED)
    assert {name: jobs[name] for name in ("make_fit_queries", "match_fit_points", "fit_confidence")} == {
        "make_fit_queries": num_parts,
        "match_fit_points": num_parts,
        "fit_confidence": 1,
    }


def test_no_fitted_answer_is_of_a_patient_that_the_model_was_trained_on(tmp_path):
    set_up(tmp_path, num_scans=0)
    write_overlay(tmp_path, run_file())
    done = snakemake(tmp_path, "--", FITTED)
    assert done.returncode == 0, done.stdout + done.stderr
    patient_of = {
        row.volume_id: row.patient_id for row in read_index(tmp_path / "results/volumes/phantom_ct.csv")
    }
    asked = []
    for fold in ("fold_1_of_2", "fold_2_of_2"):
        made = tmp_path / f"results/provenance/train_intra/models/sam/{fold}/trained.safetensors.json"
        manifest = json.loads(made.read_text(encoding="utf-8"))
        (index,) = [name for name in manifest["inputs"] if name.endswith(".csv")]
        assert index == f"volumes/phantom_ct.{fold}.csv"
        rows = read_index(tmp_path / "results" / index)
        learned = {row.patient_id for row in rows if row.split in ("train", "validation")}
        of_fold = {row.patient_id for row in rows} - learned
        assert len(of_fold) == NUM_TRAINED // 2
        for part in (fold, f"{fold}/to_the_voxel"):
            queries, matches = answers_of(tmp_path / "results/evaluations/phantom_ct/fit" / part)
            volumes = {*queries["template_id"], *queries["target_id"]}
            assert {patient_of[name] for name in volumes} == of_fold
            assert queries.get("view_low_mm", pd.Series(dtype=float)).notna().any() == (part == fold)
            # As answers of the evaluation, in cells; and as those of the command, moved by the scans.
            assert (matches.get("refined", pd.Series(dtype=str)) == "yes").any() == (part != fold)
        asked.append(of_fold)
    train = {
        row.patient_id
        for row in read_index(tmp_path / "results/volumes/phantom_ct.csv")
        if row.split == "train"
    }
    assert set.union(*asked) == train
    assert planned_jobs(tmp_path, "--", FITTED) == {}
    without = run_file()
    del without["models"]["sam"]["confidence_folds"]
    write_overlay(tmp_path, without)
    assert planned_jobs(tmp_path, "--", FITTED) == {"fit_confidence": 1}
