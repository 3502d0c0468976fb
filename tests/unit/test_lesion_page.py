"""The lesions of a tracking, worst first: the order, the page, the section of the report and the table of results."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from anatomical_embedding.index_file import read_index
from anatomical_embedding.report.inputs import ReportInputs
from anatomical_embedding.report.lesion_page import render_lesion_page
from anatomical_embedding.report.lesions import error_text, lesions_of
from anatomical_embedding.report.results_csv import results_table
from anatomical_embedding.report.sections.confidence import confidence
from anatomical_embedding.report.sections.tracking import tracking, tracking_sentence
from anatomical_embedding.report.tracking_inputs import TrackedAnswers
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine, write_prepared, write_prepared_index

NAMES = ("found", "far", "failed", "gone", "missed")
PROTOCOLS = ("dlt", "uae", "uae_released")


CONFIDENCE = {
    "num_queries": 5,
    "num_out_of_view": 2,
    "within_mm": 10.0,
    "auroc": 0.75,
    "calibration_error": 0.125,
    "reliability": [{"predicted": 0.5, "observed": 0.25, "num": 5}],
    "risk": [{"accepted": 0.5, "p90_mm": 4.0}, {"accepted": 1.0, "p90_mm": 9.0}],
    "false_alarm_share": 0.05,
    "out_of_view_found": 0.5,
    "out_of_view_called": 0.5,
    "in_view_called": 0.0,
    "decisions": {
        name: {"num": int(name != "unknown"), "right": None}
        for name in ("found", "review", "out_of_view", "failed", "unknown")
    },
    "groups": {
        "all": {
            "num": 3,
            "right_share": 0.5,
            "radius": {
                "50": {"covered": 0.25, "median_mm": 3.0},
                "90": {"covered": 0.875, "median_mm": 12.5},
            },
        }
    },
}


def figures(med_mm):
    keys = ("cpm_10mm", "cpm_radius", "med_mm", "med_x_mm", "med_y_mm", "med_z_mm", "median_mm", "p95_mm")
    values = dict.fromkeys(keys, med_mm) | {"cpm_10mm": 0.5, "cpm_radius": 0.25, "p95_mm": None}
    counts = {"num_pairs": 3, "num_failed": 1}
    interval = dict.fromkeys(keys, (0.1, 0.9)) | {"p95_mm": None}
    return values | counts | {"ci95": interval}


def scores(med_mm):
    strata = {"radius_mm": {label: figures(med_mm) for label in ("10 to 20", "5 to 10")}}
    return {name: figures(med_mm) | {"strata": strata} for name in PROTOCOLS}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracked")
    generator = np.random.default_rng(0)
    affine = lps_affine(origin_mm=[0.0, 0.0, 0.0])
    array = (gaussian_filter(generator.normal(size=(20, 20, 20)), 2.0) * 2000).astype(np.int16)
    body = Volume(np.ones(array.shape, np.uint8), affine)
    rows = [write_prepared(folder, name, Volume(array, affine), body, patient_id="p") for name in ("a", "b")]
    write_prepared_index(folder, rows)
    query = affine[:3, :3] @ [10.0, 10.0, 10.0] + affine[:3, 3]
    queries = pd.DataFrame({"query_id": NAMES, "template_id": "a", "target_id": "b", "landmark": "lesion"})
    queries[["query_x_mm", "query_y_mm", "query_z_mm"]] = query
    queries[["truth_x_mm", "truth_y_mm", "truth_z_mm"]] = query
    queries["is_in_view"] = [True, True, True, False, False]
    queries.loc[3:, ["truth_x_mm", "truth_y_mm", "truth_z_mm"]] = np.nan
    matches = pd.DataFrame({"query_id": NAMES, "similarity": 0.5, "status": "found", "reason": ""})
    matches[["x_mm", "y_mm", "z_mm"]] = query
    matches.loc[2, ["x_mm", "y_mm", "z_mm"]] = np.nan
    matches.loc[2, "status"] = "failed"
    pairs = pd.DataFrame(
        {"pair_id": NAMES[:3], "slice_thickness_mm": 5.0, "radius_mm": 7.5, "error_mm": [1.0, 30.0, np.nan]}
    )
    errors = pd.DataFrame({"query_id": NAMES, "error_mm": [1.0, 30.0, np.inf, np.inf, np.inf]})
    judged = pd.DataFrame(
        {
            "query_id": NAMES,
            "confidence": [0.9, 0.2, np.nan, 0.1, 0.85],
            "radius_90_mm": [4.0, 40.0, np.nan, 50.0, 5.0],
            "decision": ["found", "review", "failed", "out_of_view", "found"],
        }
    )
    return TrackedAnswers(
        tracking="followed",
        dataset="bodies",
        split="test",
        model="sam",
        method="nearest",
        scores=scores(4.0),
        start_scores=scores(40.0),
        comparison={
            name: {share: {"p_value": 0.03} for share in ("cpm_10mm", "cpm_radius")} for name in PROTOCOLS
        },
        pairs=pairs,
        start_pairs=pairs,
        queries=queries,
        matches=matches,
        errors=errors,
        volumes={row.volume_id: row for row in read_index(folder / "index.csv")},
        judged=judged,
        confidence=CONFIDENCE,
    )


def report_inputs(answers):
    return ReportInputs(
        evaluations=[],
        trainings=[],
        stage_times=pd.DataFrame(),
        settings={},
        versions={},
        registrations=[],
        trackings=[answers],
        manifests=[],
    )


def test_worst_come_first_and_a_lesion_rightly_called_out_of_view_last(answers):
    lesions = lesions_of(answers)
    assert lesions["query_id"].tolist() == ["failed", "missed", "far", "found", "gone"]
    texts = [error_text(row) for row in lesions.to_dict("records")]
    assert texts == ["failed", "out of view", "30.0", "1.0", "out of view"]


def test_page_links_to_the_pictures_that_it_holds(answers):
    page = render_lesion_page(answers, title="Lesions <followed>")
    assert "<title>Lesions &lt;followed&gt;</title>" in page
    for name in ("found", "far", "missed", "gone"):
        assert f'href="#lesion-{name}"' in page
        assert f'id="lesion-{name}"' in page
    assert "lesion-failed" not in page  # it has no place to show
    assert page.index('id="lesion-missed"') < page.index('id="lesion-far"') < page.index('id="lesion-found"')
    assert page.count('class="mark truth"') == 6  # three planes of the two lesions with a true point
    assert "found, 85 % sure, 90 % within 5.0 mm" in page


def test_section_names_definitions_and_sorts_sizes_by_number(answers):
    section = tracking(report_inputs(answers))
    assert section is not None
    assert section.index("radius 5 to 10 mm") < section.index("radius 10 to 20 mm")
    assert "distance &lt;= min(radius, 10 mm)" in section
    assert 'href="trackings/followed/test/sam.nearest.lesions.html"' in section
    assert "4.0 mm from the truth on average (affine start 40.0 mm)" in tracking_sentence(answers)


def test_the_section_of_confidences_tells_probabilities_radii_and_decisions(answers):
    inputs = replace(report_inputs(answers), confidences={"followed: nearest": CONFIDENCE})
    section = confidence(inputs)
    for text in (
        "area under the ROC curve 0.75",
        "calibration error 0.12",
        "88 %",
        "12.5",
        "out of view",
        "80 %",
    ):
        assert text in section, text
    assert "no confidence could be fitted" not in section  # no answer is unknown
    assert confidence(report_inputs(answers)) is None


def test_table_of_results_holds_every_figure_once(answers):
    table = results_table(report_inputs(answers))
    # two methods, three definitions, everything and two classes, eight figures
    assert len(table) == 2 * 3 * 3 * 8
    row = table.query("method == 'nearest' and definition == 'uae' and part == 'all' and metric == 'med_mm'")
    assert row[["value", "low", "high", "num", "num_failed"]].to_numpy().tolist() == [[4.0, 0.1, 0.9, 3, 1]]
