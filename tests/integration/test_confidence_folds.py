"""Cross-fitting in the workflow: the answers that a confidence is fitted to are of patients their model never saw."""

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
"""More than a thousand answers are moved by the scans, in steps of their voxels."""


def run_file():
    """Return a run of bodies alone, of which four train, in two folds."""
    overlay = copy.deepcopy(OVERLAY) | COARSE
    del overlay["datasets"]["folder_ct"]
    overlay["datasets"]["phantom_ct"]["num_subjects"] = NUM_TRAINED + 2
    overlay["datasets"]["phantom_ct"]["split"] = {"num_test": 1, "num_validation": 1, "seed": 1}
    overlay["models"]["sam"]["training"]["mix"] = {"phantom_ct": 1}
    overlay["models"]["sam"]["confidence_folds"] = 2
    overlay["evaluations"]["phantom_ct"] |= {"methods": ["nearest"], "refined": True}
    return overlay


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
        answers = tmp_path / "results/evaluations/phantom_ct/fit" / fold
        queries = pd.read_csv(answers / "queries.csv")
        matches = pd.read_csv(answers / "sam.nearest.matches.csv")
        assert set(matches["query_id"]) == set(queries["query_id"])
        assert (matches["refined"] == "yes").any()  # moved by the scans, as the answers that it will judge
        of_fold = {
            patient_of[name] for column in ("template_id", "target_id") for name in queries[column].unique()
        }
        assert len(of_fold) == NUM_TRAINED // 2
        assert not of_fold & learned
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
