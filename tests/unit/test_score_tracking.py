"""The scoring stage: the published figures to the last printed digit, its refusals, its tables, its speed."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.lesion_examples import annotation_rows, public_file, write
from tests.reference.lesion_tracking_by_loops import bootstrap_interval, is_hit, rows_of, share_of
from workflow_scripts.score_tracking import main

PUBLISHED = {
    "test.json": {
        "dlt": ("48.33", "65.10"),
        "uae": ("58.23", "81.77"),
        "uae_released": ("58.23", "80.31"),
        "distances": {
            "med": ("11.23", "9.88"),
            "med_x": ("4.14", "5.04"),
            "med_y": ("5.36", "5.64"),
            "med_z": ("7.14", "8.35"),
        },
    },
    "DLTMix.json": {
        "dlt": ("78.85", "86.88"),
        "uae": ("86.67", "95.31"),
        "uae_released": ("86.67", "96.15"),
        "distances": {
            "med": ("6.98", "8.95"),
            "med_x": ("3.48", "5.61"),
            "med_y": ("2.93", "4.86"),
            "med_z": ("4.03", "6.06"),
        },
    },
}
PROTOCOLS = ("dlt", "uae", "uae_released")
FIGURES = ("cpm_10mm", "cpm_radius", "med_mm", "med_sd_mm", "med_x_mm", "med_y_mm", "med_z_mm")


def run(tmp_path, annotations, predictions, *more):
    """Run the stage and return its scores."""
    output = tmp_path / "scores.json"
    main(
        ["--annotations", str(annotations), "--predictions", str(predictions), "--output", str(output), *more]
    )
    return json.loads(output.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures_to_the_last_printed_digit(tmp_path, name, capsys):
    scores = run(tmp_path, public_file("test.json"), public_file(name))
    printed = capsys.readouterr().out
    for protocol in PROTOCOLS:
        summary = scores["protocols"][protocol]
        assert (summary["num_pairs"], summary["num_failed"]) == (960, 0)
        shares = tuple(f"{100 * summary[key]:.2f}" for key in ("cpm_10mm", "cpm_radius"))
        assert shares == PUBLISHED[name][protocol]
        for key, expected in PUBLISHED[name]["distances"].items():
            assert (f"{summary[f'{key}_mm']:.2f}", f"{summary[f'{key}_sd_mm']:.2f}") == expected
        for key in FIGURES:
            low, high = summary["ci95"][key]
            assert low < summary[key] < high
    for share in PUBLISHED[name]["dlt"]:
        assert f"ratio {share} %" in printed
    num_hits = round(scores["protocols"]["uae"]["cpm_radius"] * 960)
    assert f"total 960, hits {num_hits}, failed {960 - num_hits}" in printed


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("name", PUBLISHED)
def test_public_shares_agree_with_loops(tmp_path, name):
    rows = rows_of(public_file(name))
    scores = run(tmp_path, public_file("test.json"), public_file(name), "--num-draws", "10")
    for protocol in PROTOCOLS:
        for share in ("cpm_10mm", "cpm_radius"):
            assert scores["protocols"][protocol][share] == share_of(rows, protocol, share)


@pytest.mark.slow
@pytest.mark.real_data
def test_interval_agrees_with_an_independent_bootstrap(tmp_path):
    path = public_file("DLTMix.json")
    scores = run(tmp_path, public_file("test.json"), path)
    rows = rows_of(path)
    expected = bootstrap_interval(
        [float(is_hit(row, "dlt", "cpm_10mm")) for row in rows],
        [row["target"][:6] for row in rows],
        num_resamples=3000,
        seed=11,
    )
    interval = scores["protocols"]["dlt"]["ci95"]["cpm_10mm"]
    np.testing.assert_allclose(interval, expected, atol=0.006)
    np.testing.assert_allclose(interval, (0.74, 0.84), atol=0.01)


@pytest.mark.slow
@pytest.mark.real_data
def test_order_of_published_rows_does_not_matter(tmp_path):
    content = json.loads(public_file("DLTMix.json").read_text(encoding="utf-8"))
    first = run(tmp_path, public_file("test.json"), public_file("DLTMix.json"), "--num-draws", "100")
    content["results"].reverse()
    second = run(
        tmp_path, public_file("test.json"), write(tmp_path / "p.json", content), "--num-draws", "100"
    )
    assert first["protocols"] == second["protocols"]


@pytest.mark.slow
@pytest.mark.real_data
def test_stage_is_fast_and_loads_no_torch(tmp_path):
    """960 pairs are scored in under 5 s including the start of Python."""
    program = (
        "import resource, sys; from workflow_scripts.score_tracking import main; main(sys.argv[1:]);"
        "usage = resource.getrusage(resource.RUSAGE_SELF);"
        "assert not {'torch', 'pandas', 'nibabel'} & set(sys.modules);"
        "print('CPU', usage.ru_utime + usage.ru_stime)"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", program),
            *("--annotations", public_file("test.json"), "--predictions", public_file("test.json")),
            *("--compare", public_file("DLTMix.json"), "--output", tmp_path / "scores.json"),
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert float(done.stdout.split()[-1]) < 5.0


def test_comparison_and_pair_table(tmp_path, capsys):
    rows = annotation_rows()
    annotations = write(tmp_path / "annotations.json", rows)
    predictions = tmp_path / "ours.csv"
    table = "pair_id,x_vox,y_vox,z_vox,status,reason\n0001,,,,failed,out of view\n"
    table += "".join(f"{name},110,95,12,found,\n" for name in list(rows)[1:])
    predictions.write_text(table, encoding="utf-8")
    pairs_path = tmp_path / "pairs.csv"
    more = (
        "--compare",
        str(annotations),
        "--pairs-output",
        str(pairs_path),
        "--seed",
        "3",
        "--num-draws",
        "50",
    )
    scores = run(tmp_path, annotations, predictions, *more)

    assert scores["protocols"]["dlt"]["num_failed"] == 1
    assert scores["protocols"]["dlt"]["cpm_10mm"] == 5 / 6
    figure = scores["comparison"]["protocols"]["dlt"]["cpm_10mm"]
    assert (figure["value"], figure["other"]) == (5 / 6, 1.0)  # the affine start is 2 mm off
    assert scores["comparison"]["protocols"]["dlt"]["med_mm"]["difference"] == -2.0
    assert "against annotations.json" in capsys.readouterr().out

    with pairs_path.open(newline="", encoding="utf-8") as stream:
        table_rows = list(csv.DictReader(stream))
    assert [row["pair_id"] for row in table_rows] == list(rows)
    assert (table_rows[0]["status"], table_rows[0]["reason"]) == ("failed", "out of view")
    assert (table_rows[0]["error_mm"], table_rows[0]["dlt_cpm_10mm"]) == ("", "0")
    assert (table_rows[1]["error_mm"], table_rows[1]["dlt_cpm_10mm"]) == ("0.0000", "1")


def test_how_far_centres_were_rounded_is_written(tmp_path):
    rows = annotation_rows()
    annotations = write(tmp_path / "annotations.json", rows)
    assert run(tmp_path, annotations, annotations, "--num-draws", "2")["largest_rounding_undone_vox"] == 0.0
    rows["0003"]["target center"] = [110.04, 94.97, 12.0]
    predictions = write(tmp_path / "p.json", rows)
    scores = run(tmp_path, annotations, predictions, "--num-draws", "2")
    assert scores["largest_rounding_undone_vox"] == pytest.approx(0.04)


def test_all_pairs_failed_is_a_score_of_zero(tmp_path, capsys):
    annotations = write(tmp_path / "annotations.json", annotation_rows())
    predictions = write(tmp_path / "p.json", {"results": []})
    more = ("--count-missing-as-failed", "--num-draws", "20", "--compare", str(predictions))
    scores = run(tmp_path, annotations, predictions, *more)
    assert scores["protocols"]["uae"]["num_failed"] == 6
    assert (scores["protocols"]["uae"]["cpm_10mm"], scores["protocols"]["uae"]["med_mm"]) == (0.0, None)
    printed = capsys.readouterr().out
    assert "no pair was found" in printed
    assert "no pair was found by both" in printed


def test_refusal_is_one_line_and_exit_code_2(tmp_path):
    annotations = write(tmp_path / "annotations.json", annotation_rows())
    predictions = write(tmp_path / "p.json", {"results": []})
    done = subprocess.run(
        [
            *(sys.executable, "-m", "workflow_scripts.score_tracking", "--annotations", annotations),
            *("--predictions", predictions, "--output", tmp_path / "scores.json"),
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {predictions}: pair '0001' has no row (and 5 more such pairs)")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "scores.json").exists()
