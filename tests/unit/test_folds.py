"""Cross-fitting: nobody is asked of a model that was trained on him, and everybody is asked once."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.datasets.folds import set_fold_aside
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.index_file import IndexRow
from anatomical_embedding.settings.folds import FoldSettings, fold_models
from anatomical_embedding.settings.pipeline import read_pipeline_settings
from anatomical_embedding.settings.run_file import completed_run_file, read_run_files

ROW = IndexRow("a", "a", "ct", "train", Path("a.nii"), Path("m.nii"), None, "0" * 64, 9, 9, 9, 1.0, 1.0, 1.0)
SPLITS = ["train"] * 7 + ["validation"] * 2 + ["test"] * 3
ROWS = [  # two volumes of each of twelve patients
    replace(ROW, volume_id=f"p{number}_{visit}", patient_id=f"p{number}", split=split)
    for number, split in enumerate(SPLITS)
    for visit in (1, 2)
]


def patients(rows, split):
    return {row.patient_id for row in rows if row.split == split}


def test_every_training_patient_is_set_aside_once_and_never_trains_there():
    folds = [set_fold_aside(ROWS, fold=FoldSettings(number=number, count=3)) for number in (1, 2, 3)]
    asked = [patients(rows, "test") for rows in folds]
    assert sorted(len(each) for each in asked) == [2, 2, 3]
    assert set.union(*asked) == {f"p{number}" for number in range(7)}
    for rows, aside in zip(folds, asked, strict=True):
        assert patients(rows, "train") == {f"p{number}" for number in range(7)} - aside
        assert patients(rows, "validation") == {"p7", "p8"}
        assert len(rows) == 2 * 9  # none of the test patients, both volumes of the others


def test_fewer_patients_than_folds_are_refused():
    with pytest.raises(SettingsError, match="is 8, but there are 7 training patients"):
        set_fold_aside(ROWS, fold=FoldSettings(number=1, count=8))


def headneck(**folds):
    configuration = completed_run_file(read_run_files([REPOSITORY / "configs" / "headneck_sampp.yaml"]))
    configuration = copy.deepcopy(configuration)
    for model in ("sam", "sampp"):
        configuration["models"][model]["confidence_folds"] = folds.get(model)
    return configuration


def test_a_model_of_a_fold_starts_from_the_model_of_the_same_fold():
    settings = read_pipeline_settings(headneck(sam=2, sampp=2))
    found = fold_models(settings.models)
    assert list(found) == ["sam/fold_1_of_2", "sam/fold_2_of_2", "sampp/fold_1_of_2", "sampp/fold_2_of_2"]
    assert found["sampp/fold_2_of_2"].settings.initial_model == "sam/fold_2_of_2"
    assert found["sam/fold_1_of_2"].settings == settings.models["sam"]
    assert fold_models(read_pipeline_settings(headneck()).models) == {}


def test_a_start_that_saw_the_patients_is_refused():
    with pytest.raises(
        SettingsError, match=r"models.sampp.confidence_folds is 2, but 'sam', .* has none; give"
    ):
        read_pipeline_settings(headneck(sampp=2))
    assert read_pipeline_settings(headneck(sam=3)).models["sam"].confidence_folds == 3
