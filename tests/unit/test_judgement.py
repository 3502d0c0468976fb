"""The one judgement of answers: by hand, in the order of its rules, in files, and in packages old and new."""

import json

import numpy as np
import pytest

from anatomical_embedding.checkpoint_header import CARD_KEY, copy_checkpoint, read_checkpoint_header
from anatomical_embedding.confidence import (
    FEATURES,
    WORDS,
    ConfidenceFile,
    FeatureRange,
    feature_table,
    read_confidence,
    write_confidence,
)
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.matching.decision import NOT_FITTED, OUT_OF_VIEW, OUTSIDE_BODY, judge
from anatomical_embedding.model_card import card_lines, confidence_lines, read_model_card
from anatomical_embedding.settings.confidence import DecisionSettings
from tests.confidences import confidence_of, line
from tests.packaged_model import usage_sections, write_model
from workflow_scripts import package_model

SETTINGS = DecisionSettings(found_probability=0.8, range_tolerance=0.1)


def evidence_of(count, **columns):
    """Return evidence that is zero, but for some columns."""
    return {name: np.zeros(count) for name in FEATURES} | {
        name: np.array(values, dtype=float) for name, values in columns.items()
    }


def judged(confidence, evidence, *, failures=None, is_in_body=None):
    """Return a judgement of answers that did not fail, in the body."""
    count = len(next(iter(evidence.values())))
    return judge(
        confidence,
        evidence,
        failures=failures or [""] * count,
        is_in_body=np.ones(count, bool) if is_in_body is None else np.array(is_in_body),
        settings=SETTINGS,
    )


def test_probability_and_radii_by_hand():
    fitted = confidence_of(
        right=line(-6.0, similarity=12.0, cycle_error_mm=-1.5),
        radius={"50": line(0.5), "90": line(1.0, similarity=1.0)},
    )
    answers = judged(fitted, evidence_of(2, similarity=[0.75, 0.5], cycle_error_mm=[3.0, 0.0]))
    # -6 + 12 * 0.75 - 1.5 * ln(1 + 3) = 0.92056; 1 / (1 + e^-0.92056) = 0.715156
    np.testing.assert_allclose(answers.probability, [0.715156, 0.5], atol=1e-5)
    # e^0.5 - 1 = 0.648721; e^1.75 - 1 = 4.754603 and e^1.5 - 1 = 3.481689
    np.testing.assert_allclose(answers.radius_50_mm, [0.648721, 0.648721], atol=1e-5)
    np.testing.assert_allclose(answers.radius_90_mm, [4.754603, 3.481689], atol=1e-5)
    assert answers.reason[0] == "72 % sure to lie within 10 mm"


def test_a_radius_of_more_places_is_never_the_smaller_one():
    fitted = confidence_of(radius={"50": line(3.0), "90": line(1.0)})
    answers = judged(fitted, evidence_of(1))
    assert answers.radius_90_mm[0] == answers.radius_50_mm[0] == pytest.approx(np.expm1(3.0))


def test_every_rule_in_its_order():
    fitted = confidence_of(
        right=line(0.0, similarity=1.0),
        out_of_view=line(0.0, expected_depth_mm=-1.0),
        out_of_view_threshold=0.5,
        features={
            **confidence_of().features,
            "voxel_mm": FeatureRange(unknown=0.0, mean=0.0, scale=1.0, lowest=0.0, highest=np.log(2.0)),
        },
    )
    # log odds of being right in view: 2 is 88.1 %, 1 is 73.1 %; depth 4 is 98.2 % in view, -4 is 98.2 % out
    rows = evidence_of(
        6,
        similarity=[2.0, 1.0, 2.0, 2.0, 2.0, 2.0],
        voxel_mm=[1.1, 0.5, 1.2, 0.5, 0.5, 0.5],  # a tenth of ln(1 + 1) above it is ln(1 + 1.144)
        expected_depth_mm=[4.0, 4.0, 4.0, -4.0, 4.0, 4.0],
    )
    answers = judged(
        fitted,
        rows,
        failures=[""] * 5 + ["the query is not finite"],
        is_in_body=[True, True, True, True, False, True],
    )
    assert set(WORDS) == set(FEATURES)
    assert answers.decision == ("found", "review", "review", "out_of_view", "review", "failed")
    assert answers.reason == (
        "",
        "72 % sure to lie within 10 mm",  # 0.731 * 0.982
        "unlike the answers that the confidence was fitted to: "
        "how coarse the voxels of both scans are (voxel_mm) is 1.2, at most 1 there",
        OUT_OF_VIEW,
        OUTSIDE_BODY,
        "the query is not finite",
    )
    assert np.isnan(answers.probability).tolist() == [False] * 4 + [True] * 2
    assert answers.unlike == ("", "", answers.reason[2], "", "", "")


def test_without_a_confidence_nothing_is_made_up():
    answers = judge(None, None, failures=["", "lost"], is_in_body=np.ones(2, bool), settings=SETTINGS)
    assert answers.decision == ("unknown", "failed")
    assert answers.reason == (NOT_FITTED, "lost")
    assert np.isnan([answers.probability, answers.radius_50_mm, answers.radius_90_mm]).all()


def test_distances_enter_as_logarithms_and_depths_end():
    table = feature_table(
        evidence_of(1, cycle_error_mm=[np.e - 1], answer_depth_mm=[90.0], neighbour_similarity=[np.nan])
    )
    by_name = dict(zip(FEATURES, table[0], strict=True))
    assert by_name["cycle_error_mm"] == pytest.approx(1.0)
    assert by_name["answer_depth_mm"] == 40.0
    assert np.isnan(by_name["neighbour_similarity"])


def test_an_answer_without_scans_was_not_moved_by_them():
    table = feature_table(evidence_of(3, moved=[np.nan, 0.0, 1.0], moved_correlation=[np.nan, 0.1, 0.9]))
    by_name = dict(zip(FEATURES, table.T, strict=True))
    assert by_name["moved"].tolist() == [0.0, 0.0, 1.0]
    assert np.isnan(by_name["moved_correlation"]).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("name", "better", "worse"),
    [
        ("moved_correlation", 0.96, 0.1),
        ("neighbour_distance_mm", 0.0, 9.0),
        ("lookalike_distance_mm", 0.1, 9.0),
    ],
)
def test_evidence_better_than_any_of_the_fit_is_no_reason_to_doubt(name, better, worse):
    """As of a scan matched to itself."""
    low, high = np.sort(FEATURES[name](np.array([0.5, 0.7])))
    seen = FeatureRange(unknown=low, mean=low, scale=1.0, lowest=low, highest=high)
    fitted = confidence_of(features={**confidence_of().features, name: seen})
    words = fitted.unlike(feature_table(evidence_of(2, **{name: [better, worse]})), tolerance=0.1)
    assert words[0] == ""
    assert words[1].endswith(" there") and f"({name}) is {worse:.3g}, at " in words[1]


def test_a_feature_that_the_fit_did_not_see_makes_no_answer_unlike_it():
    unseen = FeatureRange(unknown=0.0, mean=0.0, scale=1.0, lowest=None, highest=None)
    fitted = confidence_of(features={**confidence_of().features, "neighbour_similarity": unseen})
    assert fitted.unlike(feature_table(evidence_of(1, neighbour_similarity=[-7.0])), tolerance=0.0) == ("",)


def test_scans_a_little_coarser_than_the_one_spacing_of_the_fit_are_like_it_and_much_coarser_ones_are_not():
    # a tenth of ln(1 + 5) above it is ln(1 + 6.18)
    one = FeatureRange(unknown=1.8, mean=np.log(6.0), scale=1.0, lowest=np.log(6.0), highest=np.log(6.0))
    fitted = confidence_of(features={**confidence_of().features, "voxel_mm": one})
    little, much = fitted.unlike(feature_table(evidence_of(2, voxel_mm=[6.1, 6.3])), tolerance=0.1)
    assert little == ""
    assert (
        much == "unlike the answers that the confidence was fitted to: "
        "how coarse the voxels of both scans are (voxel_mm) is 6.3, at most 5 there"
    )


def test_an_unknown_feature_takes_the_median_of_the_fit():
    seen = FeatureRange(unknown=2.0, mean=1.0, scale=0.5, lowest=0.0, highest=3.0)
    fitted = confidence_of(
        features={**confidence_of().features, "neighbour_similarity": seen},
        right=line(0.0, neighbour_similarity=1.0),
    )
    # (2 - 1) / 0.5 = 2; 1 / (1 + e^-2) = 0.880797
    assert judged(fitted, evidence_of(1, neighbour_similarity=[np.nan])).probability[0] == pytest.approx(
        0.880797, abs=1e-6
    )


def test_a_file_is_read_as_it_was_written_and_a_foreign_one_refused(tmp_path):
    path = tmp_path / "confidence.json"
    written = ConfidenceFile(confidence=confidence_of(), reason="")
    write_confidence(written, path)
    assert read_confidence(path) == written
    write_confidence(ConfidenceFile(confidence=None, reason="too few"), path)
    assert read_confidence(path).confidence is None
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(InputFileError, match="not a confidence file"):
        read_confidence(path)


def test_a_package_holds_the_confidence_of_each_way_of_matching(tmp_path):
    write_model(tmp_path)
    write_confidence(ConfidenceFile(confidence=confidence_of(), reason=""), tmp_path / "nearest.json")
    write_confidence(ConfidenceFile(confidence=None, reason="too few"), tmp_path / "stable.json")
    output = tmp_path / "packaged.safetensors"
    package_model.main(
        [
            *("--settings", json.dumps(usage_sections()), "--name", "sam", "--modality", "ct"),
            *("--checkpoint", str(tmp_path / "tiny.trained.safetensors"), "--output", str(output)),
            f"--confidence=nearest={tmp_path / 'nearest.json'}",
            f"--confidence=stable_points={tmp_path / 'stable.json'}",
        ]
    )
    card, network = read_model_card(output)
    assert card.confidence == {"nearest": confidence_of()}
    (said,) = [text for text in card_lines(card, network) if text.startswith("confidence")]
    assert "nearest: that an answer lies within 10 mm, fitted to 100 answers of 5 patients (test)" in said


def test_a_card_of_before_is_refused_with_the_command_that_packs_again(tmp_path):
    model = write_model(tmp_path)
    metadata = read_checkpoint_header(model)["metadata"]
    card = metadata[CARD_KEY]
    del card["usage"]["confidence"]
    card["usage"]["answers"]["max_cycle_error_mm"] = 20
    fitted = confidence_of().model_dump(mode="json")
    fitted["features"]["alikeness"] = fitted["features"]["similarity"]
    card["confidence"] = {"nearest": fitted}
    old = tmp_path / "old.safetensors"
    copy_checkpoint(model, old, metadata=metadata)
    with pytest.raises(
        InputFileError,
        match=r"pack it again .*snakemake --cores all --configfile RUN_FILE -- \S+/model\.safetensors",
    ) as refused:
        read_model_card(old)
    assert "usage.confidence: is missing" in str(refused.value)
    assert "confidence.nearest: knows other features than this version: ['alikeness']" in str(refused.value)


def test_a_card_tells_how_well_its_confidence_holds():
    scores = {
        **{
            "method": "nearest",
            "source": "bodies",
            "auroc": 0.875,
            "calibration_error": None,
            "num_queries": 40,
        },
        "risk": [{"accepted": 0.5, "p90_mm": 6.0}, {"accepted": 1.0, "p90_mm": 12.0}],
        "groups": {
            "all": {"num": 40, "radius": {"90": {"covered": 0.925, "median_mm": 11.0}}},
            "rib": {"num": 9, "radius": {"90": {"covered": 1.0, "median_mm": 12.0}}},
        },
    }
    assert confidence_lines(scores) == [
        "reliability    nearest, bodies: AUROC 0.88, calibration error not defined over 40 answers",
        "               9 of 10 answers lie within 12.0 mm, of the surest half within 6.0 mm",
        "               90 % radius 11.0 mm holds 92 %; of each landmark or organ: --json",
    ]
