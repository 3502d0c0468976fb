"""The split of patients."""

import hashlib

import pytest
from hypothesis import given, strategies

from anatomical_embedding.datasets.split import assign_splits
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.settings.dataset import SplitSettings

PATIENTS = [f"patient_{number}" for number in range(40)]


def _rule(num_test=8, num_validation=4, seed=1):
    return SplitSettings(num_test=num_test, num_validation=num_validation, seed=seed)


def test_patients_are_ranked_by_hash():
    ranked = sorted(PATIENTS, key=lambda patient: hashlib.sha256(f"1:{patient}".encode()).hexdigest())
    splits = assign_splits(PATIENTS, settings=_rule())
    assert {patient for patient in PATIENTS if splits[patient] == "test"} == set(ranked[:8])
    assert {patient for patient in PATIENTS if splits[patient] == "validation"} == set(ranked[8:12])
    assert {patient for patient in PATIENTS if splits[patient] == "train"} == set(ranked[12:])


def test_order_and_repetition_do_not_matter_but_the_seed_does():
    splits = assign_splits(PATIENTS, settings=_rule())
    assert assign_splits(PATIENTS[::-1] + PATIENTS[:5], settings=_rule()) == splits
    assert assign_splits(PATIENTS, settings=_rule(seed=2)) != splits


@given(newcomer=strategies.text("abcdef0123456789", min_size=1))
def test_a_newcomer_moves_one_patient_across_each_border_at_most(newcomer):
    before = assign_splits(PATIENTS, settings=_rule())
    after = assign_splits([*PATIENTS, newcomer], settings=_rule())
    moved = sorted(
        (before[patient], after[patient]) for patient in PATIENTS if before[patient] != after[patient]
    )
    assert moved in ([], [("validation", "train")], [("test", "validation"), ("validation", "train")])


def test_all_may_be_tested_but_not_more_than_there_are():
    assert set(assign_splits(PATIENTS, settings=_rule(40, 0)).values()) == {"test"}
    with pytest.raises(
        SettingsError, match="split: 38 test and 3 validation patients are asked for, but the data set has 40"
    ):
        assign_splits(PATIENTS, settings=_rule(38, 3))
