"""Splits that leave a training or an evaluation nothing are refused before a scan is prepared."""

import pytest

from anatomical_embedding.datasets.listing import list_raw_volumes
from anatomical_embedding.datasets.parts import check_parts
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.settings.pipeline import read_pipeline_settings

NUM_CASES = 6


def check(tmp_path, *, num_test, num_validation):
    """Check a run of SAM that is trained and scored on six patients."""
    for case in range(NUM_CASES):
        (tmp_path / f"c{case}").mkdir(exist_ok=True)
        (tmp_path / f"c{case}" / "ct.nii.gz").touch()
    settings = read_pipeline_settings(
        {
            "title": "Mine",
            "results": "results",
            "datasets": {
                "mine": {
                    "kind": "case_folders",
                    "modality": "ct",
                    "root": str(tmp_path),
                    "split": {"num_test": num_test, "num_validation": num_validation, "seed": 1},
                }
            },
            "models": {"sam": {"recipe": "sam_small", "training": {"mix": {"mine": 2}}}},
            "evaluations": {"landmarks": {"dataset": "mine", "models": ["sam"]}},
        }
    )
    check_parts(settings, {"mine": list_raw_volumes(settings.datasets["mine"], made_folder=tmp_path)})


@pytest.mark.parametrize(
    ("num_test", "num_validation", "problem"),
    [
        (
            5,
            2,
            r"datasets\.mine\.split: 5 test and 2 validation patients are asked for, but the data set has 6",
        ),
        (4, 2, r"models\.sam trains on 'mine', of which no patient is left"),
        (
            0,
            1,
            r"evaluations\.landmarks compares volumes of test patients, of which 'mine' has 0; .*\.num_test",
        ),
        (1, 1, r"evaluations\.landmarks compares volumes of test patients, of which 'mine' has 1; "),
    ],
)
def test_a_split_that_leaves_too_few_is_refused(tmp_path, num_test, num_validation, problem):
    with pytest.raises(SettingsError, match=problem):
        check(tmp_path, num_test=num_test, num_validation=num_validation)


@pytest.mark.parametrize(("num_test", "num_validation"), [(2, 0), (3, 2)])
def test_a_split_that_leaves_enough_is_taken(tmp_path, num_test, num_validation):
    check(tmp_path, num_test=num_test, num_validation=num_validation)
