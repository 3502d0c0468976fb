"""The settings of the landmark evaluation: what is refused, what a stage may see."""

import pydantic
import pytest

from anatomical_embedding.settings.evaluation import LandmarkEvaluationSettings

VALID = {
    "dataset": "phantom",
    "models": ["sam"],
    "methods": ["nearest"],
    "refined": False,
    "split": "test",
    "pairs": {"num_pairs": 16, "seed": 1},
    "bootstrap": {"num_resamples": 1000, "seed": 2, "confidence_level": 0.95},
    "baselines": ["same_coordinate", "body_affine", "ncc", "untrained"],
    "ncc": {"cube_mm": 44.0, "spacing_mm": 4.0, "search_radius_mm": None},
}


def test_queries_stage_sees_split_and_pairs_alone():
    settings = LandmarkEvaluationSettings.model_validate(VALID)
    pairs = {"num_pairs": 16, "seed": 1, "template": None}
    pairs |= {"template_modality": None, "target_modality": None}
    asked = {"split": "test", "pairs": pairs, "landmarks": None, "with_cuts": False, "may_be_empty": False}
    assert settings.queries().model_dump() == asked


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (None, "split", "holdout"),
        (None, "baselines", ["nearest"]),
        (None, "methods", []),
        ("pairs", "num_pairs", 0),
        ("bootstrap", "confidence_level", 95),
        ("bootstrap", "num_resamples", 3),
        ("ncc", "search_radius_mm", -1.0),
        ("ncc", "cube_vox", 3),
    ],
)
def test_bad_values_are_refused(section, key, value):
    content = {name: dict(part) if isinstance(part, dict) else part for name, part in VALID.items()}
    (content if section is None else content[section])[key] = value
    with pytest.raises(pydantic.ValidationError, match=key):
        LandmarkEvaluationSettings.model_validate(content)


def test_a_change_of_ncc_concerns_no_other_baseline():
    settings = LandmarkEvaluationSettings.model_validate(VALID)
    assert settings.baseline("ncc").ncc == settings.ncc
    assert settings.baseline("same_coordinate").model_dump() == {"method": "same_coordinate", "ncc": None}
