"""The fit of a confidence: known laws and quantiles are found again, nothing is learned from too little."""

from dataclasses import fields, replace

import numpy as np
import pytest

from anatomical_embedding.confidence import FEATURES, SCAN_FEATURES
from anatomical_embedding.evaluation.confidence import fit
from anatomical_embedding.evaluation.confidence.fit import (
    conformal_quantile,
    fit_confidence,
    threshold_of_false_alarms,
)
from anatomical_embedding.evaluation.confidence.known_answers import KnownAnswers
from anatomical_embedding.evaluation.confidence.reliability import area_under_curve, calibration_error
from anatomical_embedding.settings.confidence import FitSettings

SETTINGS = FitSettings(within_mm=10, regularisation=40, num_folds=4, false_alarm_share=0.05)
COLUMN = {name: place for place, name in enumerate(FEATURES)}


def test_threshold_and_conformal_quantile_by_hand():
    # of 20 in view one may be called out: just above the second highest, 0.18
    threshold = threshold_of_false_alarms(np.arange(20) / 100, share=0.05)
    assert 0.18 < threshold < 0.19
    # of 9 scores, ceil(10 * 0.9) = 9th smallest; of 19, ceil(20 * 0.5) = 10th; of 3 too few for 90 %: the largest
    assert conformal_quantile(np.arange(9.0), share=0.9) == 8.0
    assert conformal_quantile(np.arange(19.0), share=0.5) == 9.0
    assert conformal_quantile(np.arange(3.0), share=0.9) == 2.0


def of_one(answers):
    """Return the sources of answers that are all of one evaluation, or landmarks that are all one."""
    return np.full(len(answers), "a")


def drawn(seed, num):
    """Return answers that follow a law: errors are exponential with a scale that the first feature tells."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(num, len(FEATURES)))
    scale_mm = 4.0 * np.exp(0.8 * features[:, COLUMN["similarity"]])
    errors = generator.exponential(scale_mm)
    is_in_view = features[:, COLUMN["expected_depth_mm"]] > -1.5
    patients = generator.integers(0, 20, num).astype(str)
    answers = KnownAnswers(
        features,
        np.where(is_in_view, errors, np.nan),
        is_in_view,
        patients,
        template_patient_ids=patients,
        landmarks=of_one(patients),
        sources=np.where(np.arange(num) % 2, "b", "a"),
    )
    return answers, scale_mm


@pytest.mark.slow
def test_fit_is_calibrated_and_its_radii_cover_on_fresh_draws():
    fitted = fit_confidence(drawn(1, 3000)[0], settings=SETTINGS).confidence
    fresh, scale_mm = drawn(2, 6000)
    right, out = fitted.probabilities(fresh.features)
    assert calibration_error(right, fresh.errors_mm <= 10) < 0.05
    assert area_under_curve(out, ~fresh.is_in_view) > 0.95
    called = out >= fitted.out_of_view_threshold
    assert called[fresh.is_in_view].mean() < 0.08
    assert called[~fresh.is_in_view].mean() > 0.9
    in_view = fresh.is_in_view
    for level, share in (("50", 0.5), ("90", 0.9)):
        radius_mm = fitted.radii_mm(fresh.features)[level]
        assert (fresh.errors_mm <= radius_mm)[in_view].mean() == pytest.approx(share, abs=0.025)
        # The quantile of an exponential law is -scale * ln(1 - share).
        expected_mm = -scale_mm * np.log(1 - share)
        assert np.median(np.abs(np.log1p(radius_mm) - np.log1p(expected_mm))[in_view]) < 0.15
    assert (fitted.sources, fitted.num_answers, fitted.num_patients) == (("a", "b"), 3000, 20)
    assert fitted.num_out_of_view == np.sum(~drawn(1, 3000)[0].is_in_view)


def test_the_order_of_the_answers_changes_nothing(monkeypatch):
    """Of more answers than the line of a radius is fitted to, too, where each third one counts."""
    monkeypatch.setattr(fit, "MOST_FOR_RADII", 150)
    answers = drawn(7, 400)[0]
    shuffled = answers.part(np.random.default_rng(7).permutation(400))
    fits = [fit_confidence(each, settings=SETTINGS).confidence for each in (answers, shuffled)]
    assert fits[0] is not None and fits[0] == fits[1]


def test_what_was_not_fitted_has_no_score():
    """Two places out of view are too few to tell others by; a half would look like a judge who guesses."""
    answers, _ = drawn(1, 300)
    rows = np.concatenate([np.flatnonzero(answers.is_in_view), np.flatnonzero(~answers.is_in_view)[:2]])
    fitted = fit_confidence(answers.part(rows), settings=SETTINGS).confidence
    assert fitted.out_of_view is None and fitted.num_out_of_view == 2
    assert fitted.unseen["out_of_view_auroc"] is None and fitted.unseen["out_of_view_found"] is None
    assert fitted.unseen["auroc"] is not None


def test_other_cuts_of_the_error_tell_what_decides_about_one():
    """Right answers tell nothing; of the wrong ones a feature tells those of 12 from those of 30 mm.

    So it tells nothing about 10 mm alone, and the less, as one expects of a feature, about 20 mm.
    """
    halves = np.repeat([0.0, 1.0], 100)
    errors_mm = np.concatenate([np.full(100, 4.0), np.where(np.arange(100) % 2, 12.0, 30.0)])
    features = np.zeros((200, len(FEATURES)))
    features[:, COLUMN["similarity"]] = np.where(np.arange(200) % 2, 1.0, -1.0)
    patients = (np.arange(200) // 2 % 10).astype(str)
    answers = KnownAnswers(
        features, errors_mm, np.ones(200, bool), patients, patients, of_one(halves), of_one(halves)
    )
    fitted = fit_confidence(answers, settings=SETTINGS).confidence
    assert fitted.right.weights["similarity"] > 0.2
    right, _ = fitted.probabilities(features)
    # 4 and 12 mm against 4 and 30 mm: half of either is right
    assert right.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.slow
def test_the_log_odds_of_a_known_law_are_found_again():
    generator = np.random.default_rng(3)
    features = generator.normal(size=(20_000, len(FEATURES)))  # of which the radii see a part
    odds = (
        0.5 + 1.5 * features[:, COLUMN["neighbour_similarity"]] - 1.0 * features[:, COLUMN["cycle_error_mm"]]
    )
    is_right = generator.random(20_000) < 1 / (1 + np.exp(-odds))
    every = np.ones(len(features), bool)
    patients = (np.arange(20_000) % 5).astype(str)
    answers = KnownAnswers(
        features,
        np.where(is_right, 3.0, 30.0),
        every,
        patients,
        patients,
        landmarks=of_one(patients),
        sources=of_one(patients),
    )
    fitted = fit_confidence(answers, settings=SETTINGS).confidence
    weights = {
        name: fitted.right.weights[name] / fitted.features[name].scale
        for name in ("neighbour_similarity", "cycle_error_mm")
    }
    assert weights == pytest.approx({"neighbour_similarity": 1.5, "cycle_error_mm": -1.0}, abs=0.06)
    right, _ = fitted.probabilities(np.zeros((1, len(FEATURES))))
    assert right[0] == pytest.approx(1 / (1 + np.exp(-0.5)), abs=0.02)
    assert fitted.out_of_view is None and fitted.out_of_view_threshold is None


@pytest.mark.slow
def test_radii_cover_patients_that_differ():
    """A patient whose answers are all worse is covered by what unseen patients widen the radii to."""
    generator = np.random.default_rng(4)

    def patients(first, count):
        ids = np.repeat(np.arange(first, first + count), 40)
        worse = np.exp(np.repeat(generator.normal(0, 0.6, count), 40))
        features = np.zeros((len(ids), len(FEATURES)))
        errors = generator.exponential(5.0 * worse)
        names = ids.astype(str)
        return KnownAnswers(features, errors, np.ones(len(ids), bool), names, names, of_one(ids), of_one(ids))

    fitted = fit_confidence(patients(0, 60), settings=SETTINGS).confidence
    fresh = patients(100, 200)
    covered = fresh.errors_mm <= fitted.radii_mm(fresh.features)["90"]
    assert covered.mean() == pytest.approx(0.9, abs=0.03)


@pytest.mark.slow
def test_what_is_called_unseen_saw_neither_the_target_nor_the_template():
    """Every template is worse or better than the others, and a feature that names it tells by how much."""
    generator = np.random.default_rng(5)
    num_patients = 10
    template, target, _ = np.indices((num_patients, num_patients, 6)).reshape(3, -1)
    template, target = (ids[template != target] for ids in (template, target))
    scale_mm = np.where(generator.permutation(num_patients) < 5, 2.0, 40.0)[template]
    features = np.zeros((len(template), len(FEATURES)))
    for place in range(9):  # nine features name a template each
        features[:, place] = template == place
    answers = KnownAnswers(
        features,
        generator.exponential(scale_mm),
        np.ones(len(template), bool),
        target.astype(str),
        template.astype(str),
        landmarks=of_one(target),
        sources=of_one(target),
    )
    settings = SETTINGS.model_copy(update={"num_folds": num_patients})
    fitted = fit_confidence(answers, settings=settings).confidence
    right, _ = fitted.probabilities(features)
    assert area_under_curve(right, answers.errors_mm <= 10) > 0.85  # of templates that were seen
    own = fit_confidence(replace(answers, template_patient_ids=target.astype(str)), settings=settings)
    assert own.confidence.unseen["auroc"] > 0.85  # as if templates needed not be unseen
    assert fitted.unseen["auroc"] < 0.6


def between_patients(generator, *, num_patients, num_each, scale_mm, level, source):
    """Return answers of every patient in every other one, told apart from those of another level by a feature."""
    of_pair = [(one, other) for one in range(num_patients) for other in range(num_patients) if one != other]
    templates, targets = np.repeat(of_pair, num_each, axis=0).T
    features = np.zeros((len(targets), len(FEATURES)))
    features[:, COLUMN["similarity"]] = level
    return KnownAnswers(
        features,
        generator.exponential(scale_mm, len(targets)),
        np.ones(len(targets), bool),
        np.char.add(source, targets.astype(str)),
        np.char.add(source, templates.astype(str)),
        landmarks=np.tile(np.arange(num_each).astype(str), len(of_pair)),
        sources=np.full(len(targets), source),
    )


def of_lesions(generator):
    """Return answers within three patients each, mostly right, of another level than those between patients."""
    lesions = between_patients(generator, num_patients=3, num_each=30, scale_mm=1, level=1, source="lesions")
    return replace(lesions, template_patient_ids=lesions.patient_ids)


def joined(*parts):
    """Return answers of several sources as one list."""
    return KnownAnswers(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(KnownAnswers))
    )


@pytest.mark.parametrize(("num_each", "num_folds"), [(300, 4), (30, 2)])
def test_answers_between_two_patients_are_told_by_others_between_them(num_each, num_folds):
    """Lesions in one patient tell nothing of them, also where both patients are so small that they share a fold."""
    generator = np.random.default_rng(6)
    organs = {"num_patients": 2, "scale_mm": 8, "level": 0, "source": "organs"}
    answers = joined(between_patients(generator, num_each=num_each, **organs), of_lesions(generator))
    settings = SETTINGS.model_copy(update={"num_folds": num_folds})
    fitted = fit_confidence(answers, settings=settings).confidence
    fresh = between_patients(generator, num_each=2000, **organs)
    radius_mm = fitted.radii_mm(fresh.features)["90"]
    assert (fresh.errors_mm <= radius_mm).mean() < 0.96
    assert fitted.unseen["calibration_error"] < 0.1


def test_a_landmark_found_there_and_back_between_two_patients_is_unseen_both_ways():
    """Features tell landmarks apart and nothing else: an answer is known by that of the other way, and by no other."""
    generator = np.random.default_rng(7)
    num = 3 * len(FEATURES)  # so few that lines follow them
    organs = between_patients(generator, num_patients=2, num_each=num, scale_mm=8, level=0, source="organs")
    one_way, errors = generator.normal(size=(num, len(FEATURES))), generator.exponential(8, num)
    answers = replace(organs, features=np.tile(one_way, (2, 1)), errors_mm=np.tile(errors, 2))
    settings = SETTINGS.model_copy(update={"regularisation": 0.1})  # weights follow every landmark
    fitted = fit_confidence(answers, settings=settings).confidence
    assert fitted.unseen["auroc"] < 0.6 and fitted.unseen["calibration_error"] > 0.2
    radius_mm = fitted.radii_mm(generator.normal(size=(4000, len(FEATURES))))["90"]
    spread = (0.9 * 0.1 / num) ** 0.5  # of a share of so many landmarks
    assert (generator.exponential(8, 4000) <= radius_mm).mean() == pytest.approx(0.9, abs=2 * spread)


def test_of_two_landmarks_between_two_patients_each_is_told_by_the_other():
    """One is mostly right and one mostly wrong, and no feature tells them apart: each is foretold the other's share."""
    generator = np.random.default_rng(13)
    organs = between_patients(generator, num_patients=2, num_each=200, scale_mm=8, level=0, source="organs")
    is_first = np.tile(np.arange(200) < 100, 2)
    is_right = generator.random(400) < np.where(is_first, 0.9, 0.1)
    answers = replace(
        organs, landmarks=np.where(is_first, "first", "second"), errors_mm=np.where(is_right, 3.0, 30.0)
    )
    unseen = fit_confidence(answers, settings=SETTINGS).confidence.unseen
    assert unseen["calibration_error"] == pytest.approx(0.8, abs=0.1)
    assert unseen["auroc"] < 0.2


def test_the_size_of_the_body_tells_scans_of_another_part_and_no_answers():
    """However well it seems to tell the answers of few patients: a head is no narrow trunk."""
    answers = drawn(9, 400)[0]
    column = COLUMN["body_width_mm"]
    answers.features[:, column] = np.where(answers.errors_mm < 10.0, 300.0, 340.0)
    fitted = fit_confidence(answers, settings=SETTINGS).confidence
    lines = (fitted.right, fitted.out_of_view, *fitted.radius.values())
    assert [line.weights["body_width_mm"] for line in lines] == [0.0] * 4
    head = answers.features.copy()
    head[:, column] = 160.0
    np.testing.assert_array_equal(fitted.probabilities(head), fitted.probabilities(answers.features))
    assert set(fitted.unlike(answers.features, tolerance=0.1)) == {""}
    assert set(fitted.unlike(head, tolerance=0.1)) == {
        "unlike the answers that the confidence was fitted to: "
        "how wide the body is there (body_width_mm) is 160, at least 300 there"
    }


def test_scans_do_not_tell_what_is_out_of_view():
    """Where only answers in cells, of cut targets, are known to be out of view, those of scans are called so alike."""
    answers, _ = drawn(9, 2000)
    features = answers.features.copy()
    has_scans = answers.is_in_view & (np.arange(2000) % 2 == 0)  # of whole targets alone
    for name in SCAN_FEATURES:
        features[:, COLUMN[name]] = np.where(
            has_scans, 1.0, 0.0 if name in ("moved", "registered") else np.nan
        )
    fitted = fit_confidence(replace(answers, features=features), settings=SETTINGS).confidence
    assert {fitted.out_of_view.weights[name] for name in SCAN_FEATURES} == {0.0}
    _, out = fitted.probabilities(features)
    called = out >= fitted.out_of_view_threshold
    in_cells = answers.is_in_view & ~has_scans
    assert called[has_scans].mean() == pytest.approx(called[in_cells].mean(), abs=0.03)
    assert fitted.right.weights["moved"] != 0.0


def test_answers_of_few_patients_weigh_less():
    """The penalty is one for each patient, however many answers they have."""
    answers = drawn(11, 400)[0]
    of_two = replace(answers, patient_ids=(np.arange(400) % 2).astype(str))
    lines = [
        fit_confidence(each, settings=SETTINGS.model_copy(update={"regularisation": strength})).confidence
        for each, strength in ((answers, 20.0), (of_two, 2.0), (of_two, 20.0))
    ]
    assert lines[0].right == lines[1].right
    weight, of_more_patients = (abs(line.right.weights["similarity"]) for line in (lines[2], lines[1]))
    assert weight < of_more_patients


def test_folds_and_moved_answers_belong_to_their_evaluation():
    """What is asked of a fold, or moved to the voxel, tells of the rest of its evaluation."""
    generator = np.random.default_rng(8)
    organs = between_patients(generator, num_patients=2, num_each=60, scale_mm=8, level=0, source="organs")
    parts = np.where(organs.patient_ids == "organs0", "organs/fold_1_of_2", "organs/fold_2_of_2/to_the_voxel")
    lesions = of_lesions(generator)
    whole = fit_confidence(joined(organs, lesions), settings=SETTINGS).confidence
    divided = fit_confidence(joined(replace(organs, sources=parts), lesions), settings=SETTINGS).confidence
    assert divided.sources == ("lesions", "organs/fold_1_of_2", "organs/fold_2_of_2/to_the_voxel")
    assert divided.model_copy(update={"sources": whole.sources}) == whole


def test_a_feature_that_is_rarely_measured_has_the_scale_of_its_measurements():
    """Over medians that stand in it would be a tenth of it, and weights would lead far beyond what was seen."""
    answers = drawn(9, 400)[0]
    column = answers.features[:, COLUMN["lookalike_distance_mm"]]
    column[4:] = np.nan
    column[:4] = [1.0, 2.0, 3.0, 10.0]
    seen = fit_confidence(answers, settings=SETTINGS).confidence.features["lookalike_distance_mm"]
    assert (seen.unknown, seen.mean, seen.lowest, seen.highest) == (2.5, 4.0, 1.0, 10.0)
    assert seen.scale == pytest.approx(np.sqrt((9 + 4 + 1 + 36) / 4))


def test_a_feature_that_does_not_vary_says_nothing_of_answers_written_with_fewer_digits():
    """All scans of the fit may have one spacing; its deviation is what rounding leaves, and no measure."""
    answers = drawn(12, 400)[0]
    answers.features[:, COLUMN["voxel_mm"]] = np.log1p(5.66213)
    fitted = fit_confidence(answers, settings=SETTINGS).confidence
    again = answers.features.copy()
    again[:, COLUMN["voxel_mm"]] += 1e-7
    for known, told in zip(fitted.probabilities(answers.features), fitted.probabilities(again), strict=True):
        assert told == pytest.approx(known, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"errors_mm": np.full(300, 3.0), "is_in_view": np.ones(300, bool)},
            "300 answers are within 10 mm and 0 are not",
        ),
        (
            {"errors_mm": np.full(300, 30.0), "is_in_view": np.ones(300, bool)},
            "0 answers are within 10 mm and 300 are not",
        ),
        ({"patient_ids": np.full(300, "one")}, "one patient"),
    ],
)
def test_nothing_is_learned_from_too_little(change, reason):
    table = drawn(1, 300)[0]
    fitted = fit_confidence(replace(table, **change), settings=SETTINGS)
    assert fitted.confidence is None
    assert reason in fitted.reason
