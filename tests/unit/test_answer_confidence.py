"""The confidence of answers: the odds by hand, a known law found again, and nothing where nothing can be learned."""

import json

import numpy as np
import pandas as pd
import pytest

from anatomical_embedding.evaluation.confidence.answer_confidence import fit_answer_confidence
from anatomical_embedding.evaluation.landmarks.tables import ERROR_COLUMNS, write_table
from anatomical_embedding.model_card import AnswerConfidence, read_model_card
from tests.packaged_model import usage_sections, write_model
from workflow_scripts import package_model

LAW = {"intercept": -6.0, "per_similarity": 12.0, "per_log_cycle": -1.5}


def answers(count, *, seed=0, num_targets=10):
    """Return answers whose being right follows the law."""
    random = np.random.default_rng(seed)
    similarity, cycle = random.uniform(0.3, 1.0, count), random.exponential(8.0, count)
    odds = LAW["intercept"] + LAW["per_similarity"] * similarity + LAW["per_log_cycle"] * np.log1p(cycle)
    is_right = random.uniform(size=count) < 1 / (1 + np.exp(-odds))
    return pd.DataFrame(
        {
            "similarity": similarity,
            "cycle_error_mm": cycle,
            "error_mm": np.where(is_right, 3.0, 30.0),
            "target_id": [f"volume_{number % num_targets}" for number in range(count)],
        }
    )


def test_odds_by_hand():
    fitted = AnswerConfidence(
        within_mm=10,
        **LAW,
        evaluations=("e",),
        num_answers=1,
        num_targets=1,
        share_right=0.5,
        calibration_error=0,
        area_under_curve=1,
    )
    # -6 + 12 * 0.75 - 1.5 * ln(1 + 3) = 0.92056; 1 / (1 + e^-0.92056) = 0.715156
    np.testing.assert_allclose(fitted.probability([0.75, 0.5], [3.0, 0.0]), [0.715156, 0.5], atol=1e-5)
    assert np.isnan(fitted.probability([np.nan], [3.0]))[0]


def test_a_known_law_is_found_again():
    fitted = fit_answer_confidence(answers(20_000), evaluations=["b", "a"])
    assert fitted.per_similarity == pytest.approx(LAW["per_similarity"], rel=0.05)
    assert fitted.per_log_cycle == pytest.approx(LAW["per_log_cycle"], rel=0.05)
    assert fitted.intercept == pytest.approx(LAW["intercept"], rel=0.07)
    assert fitted.calibration_error < 0.02
    assert fitted.area_under_curve > 0.8
    assert fitted.evaluations == ("a", "b") and fitted.num_targets == 10


def test_answers_without_numbers_say_nothing():
    table = answers(500)
    without = pd.concat(
        [table, table.head(50).assign(error_mm=np.inf), table.head(9).assign(similarity=np.nan)]
    )
    assert fit_answer_confidence(without, evaluations=["a"]) == fit_answer_confidence(
        table, evaluations=["a"]
    )


@pytest.mark.parametrize(
    "table",
    [
        answers(500).assign(error_mm=3.0),
        answers(500).assign(error_mm=30.0),
        answers(500, num_targets=1),
        answers(0),
    ],
    ids=["all right", "all wrong", "one volume", "none"],
)
def test_nothing_is_learned_from_too_little(table):
    assert fit_answer_confidence(table, evaluations=["a"]) is None


def test_a_package_holds_the_confidence_of_each_way_of_matching(tmp_path):
    write_model(tmp_path)
    table = answers(400)
    table["query_id"] = [f"query_{number}" for number in range(len(table))]
    folder = tmp_path / "evaluation"
    folder.mkdir()
    filled = dict.fromkeys((*ERROR_COLUMNS, "x_mm", "y_mm", "z_mm"), 0.0)
    whole = table.assign(**{name: value for name, value in filled.items() if name not in table})
    whole = whole.assign(method="nearest", status="found", reason="", template_id="t", landmark="l")
    write_table(whole.drop(columns="error_mm"), folder / "sam.nearest.matches.csv")
    write_table(whole.sample(frac=1, random_state=0), folder / "sam.nearest.errors.csv")
    output = tmp_path / "packaged.safetensors"
    package_model.main(
        [
            *("--settings", json.dumps(usage_sections()), "--name", "sam", "--modality", "ct"),
            *("--checkpoint", str(tmp_path / "tiny.trained.safetensors"), "--output", str(output)),
            *("--answers", "nearest", str(folder / "sam.nearest.matches.csv")),
            str(folder / "sam.nearest.errors.csv"),
        ]
    )
    (fitted,) = read_model_card(output)[0].confidence.items()
    expected = fit_answer_confidence(table.round(6), evaluations=["evaluation"])
    assert fitted[0] == "nearest"
    assert fitted[1].per_similarity == pytest.approx(expected.per_similarity, rel=1e-3)
