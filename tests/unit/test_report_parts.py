"""The pieces of the report: escaping, numbers, slices, curves, and the files that it reads."""

import numpy as np
import pandas as pd
import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.registration.organ_overlap import OrganOverlap, PairOverlap
from anatomical_embedding.report.figures import Chart
from anatomical_embedding.report.inputs import read_stage_times, read_trainings
from anatomical_embedding.report.json_file import read_json
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.panels import (
    PLANES,
    Mark,
    frame_round,
    grey_window,
    picture_of,
    position_in_picture,
)
from anatomical_embedding.report.sections.error_distribution import histogram_shares
from anatomical_embedding.report.sections.learning_curves import MOST_POINTS, thin
from anatomical_embedding.report.sections.registrations import organ_table
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine

AXIAL, CORONAL, SAGITTAL = PLANES


def test_text_is_escaped_and_markup_is_not():
    cell = element("b", "<i>", Markup("<br>"), 3, None, title='"&"')
    assert cell == '<b title="&quot;&amp;&quot;">&lt;i&gt;<br>3</b>'


def test_attributes_without_value_and_left_out():
    assert element("details", open=True, id=None, hidden=False) == "<details open></details>"


def landmark_volume():
    """Return a volume with one bright voxel at (5, 2, 7) of (12, 10, 9), spacing 2, 3, 4 mm."""
    array = np.zeros((12, 10, 9), np.int16)
    array[5, 2, 7] = 100
    return Volume(array, lps_affine(spacing_mm=(2, 3, 4)))


@pytest.mark.parametrize(
    ("plane", "index", "expected"),
    # patient's front and head are up: y grows downwards, z upwards
    [(AXIAL, 7, (2, 5)), (CORONAL, 2, (9 - 1 - 7, 5)), (SAGITTAL, 5, (9 - 1 - 7, 2))],
)
def test_mark_lies_on_the_voxel_in_every_plane(plane, index, expected):
    volume = landmark_volume()
    picture = picture_of(volume, plane, index=index)
    assert tuple(np.argwhere(picture == 100)[0]) == expected
    across_mm, down_mm = position_in_picture(volume, plane, volume.world_from_voxel([5, 2, 7]))
    column = across_mm / volume.spacing_mm[plane.across] - 0.5
    row = down_mm / volume.spacing_mm[plane.down] - 0.5
    assert (row, column) == pytest.approx(expected)


def test_frame_holds_all_marks_and_stays_in_the_picture():
    volume = Volume(np.zeros((200, 150, 250), np.int16), lps_affine(spacing_mm=(2, 2, 2)))
    marks = [
        Mark("truth", volume.world_from_voxel([10, 20, 30])),
        Mark("match", volume.world_from_voxel([180, 140, 240])),
    ]
    for plane in PLANES:
        frame = frame_round(volume, plane, marks)
        for mark in marks:
            across_mm, down_mm = position_in_picture(volume, plane, mark.point_mm)
            assert frame.left_mm < across_mm < frame.left_mm + frame.side_mm
            assert frame.top_mm < down_mm < frame.top_mm + frame.side_mm
    near = frame_round(volume, AXIAL, marks[:1])
    assert (near.left_mm, near.top_mm, near.side_mm) == (0.0, 0.0, 240.0)


def test_grey_window_of_mr_follows_its_intensities():
    array = np.linspace(0, 1000, 8000, dtype=np.float32).reshape(20, 20, 20)
    low, high = grey_window(Volume(array, np.eye(4)), modality="mr")
    assert 0 < low < 20
    assert 900 < high < 1000


def test_chart_is_in_the_colours_of_the_page_and_the_same_every_time():
    def draw():
        chart = Chart(description='loss of "x" \\1', x_label="step", y_label="loss")
        chart.line([0, 1, 2], [3.0, 2.0, 1.0], series=0)
        return chart.render(caption="Loss")

    svg = draw()
    assert svg == draw()
    assert "var(--series-0)" in svg
    assert "#0a0" not in svg
    assert 'aria-label="loss of &quot;x&quot; \\1"' in svg
    assert "http" not in svg


def test_histogram_counts_failed_queries_in_the_last_bin():
    errors = np.array([0.0, 4.9, 5.0, 10.0, 99.0, np.inf])
    shares = histogram_shares(errors, edges=np.array([0.0, 5.0, 10.0]))
    assert (shares * 6).tolist() == pytest.approx([2, 1, 3])


def test_long_logs_are_averaged():
    log = pd.DataFrame({"step": np.arange(1000.0), "loss": np.arange(1000.0)})
    thinned = thin(log)
    assert len(thinned) == MOST_POINTS
    assert thinned["loss"].iloc[0] == pytest.approx(2.0)  # mean of 0..4
    assert len(thin(log.head(7))) == 7


def test_benchmarks_of_a_folder_are_summed_by_stage(tmp_path):
    for name, seconds in (("resample/a", 2), ("resample/deeper/b", 3), ("alone", 5)):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\tmax_rss\n{seconds}\t-\n{seconds}\t7.5\n", encoding="utf-8")
    times = read_stage_times([tmp_path])
    assert times.groupby("stage")["seconds"].sum().to_dict() == {"resample": 10.0, "alone": 10.0}
    assert times["max_memory_mb"].tolist() == [7.5] * 3
    assert read_stage_times([tmp_path / "alone.tsv"])["job"].tolist() == ["alone"]


def test_no_benchmarks_and_empty_logs(tmp_path):
    (tmp_path / "validation_log.csv").touch()
    (tmp_path / "ending.tsv").touch()  # of a job that ends while the report is written
    assert read_stage_times([]).empty
    assert read_stage_times([tmp_path]).empty
    assert read_trainings([tmp_path / "validation_log.csv"]) == []


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (lambda path: read_trainings([path]), "a,b\n1,2\n", "expected a training log"),
        (lambda path: read_stage_times([path]), "a\tb\n1\t2\n", "expected a benchmark file"),
        (read_json, "{", "cannot be read as JSON"),
        (read_json, "[1]", "holds a list, expected an object"),
    ],
)
def test_foreign_files_are_refused_by_name(tmp_path, read, text, message):
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputFileError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_organs_that_no_volume_has_leave_their_mean_empty():
    unknown = OrganOverlap("liver", None, None, None, None, "neither volume has it")
    table = organ_table(PairOverlap("pairs", "a", "b", (unknown,)), caption="Organs")
    assert "neither volume has it" in table and "nan" not in table
