"""The report of a followed patient: numbers worked out by hand, pictures where lesions lie, files that others read."""

import csv
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from anatomical_embedding.cli.main import main
from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.history import read_history
from anatomical_embedding.follow.measure_folder import measure_folder
from anatomical_embedding.follow.pictures import AXIAL
from anatomical_embedding.follow.record_tables import append_decision, read_lesions, write_lesions
from anatomical_embedding.follow.records import DecisionRow
from anatomical_embedding.follow.report_files import write_patient_report, write_patients_table
from anatomical_embedding.points.slicer_markups import read_markups
from anatomical_embedding.report.panels import position_in_picture
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.orientation import to_lps
from anatomical_embedding.volumes.volume import Volume
from tests.followed_patient import LESION_HU, NOISE_HU, NOWHERE, THREE_VISITS, write_followed

NOW = "2026-03-31T09:30:00+00:00"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("followed") / "one"
    write_followed(folder)
    write_patient_report(folder)
    return folder


@pytest.fixture
def patient(written, tmp_path):
    """Return a copy that may be changed."""
    shutil.copytree(written, tmp_path / "one")
    record = tmp_path / "one" / "follow.json"
    record.write_text(
        record.read_text(encoding="utf-8").replace(str(written), str(tmp_path / "one")), encoding="utf-8"
    )
    return tmp_path / "one"


def table(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_changes_are_those_of_the_balls(written):
    """Volumes are counted from the masks here; a ball of 14 mm has at most one voxel more than 28 mm."""
    rows = {(row["lesion"], row["visit"]): row for row in table(written / "changes.csv")}
    masks = {visit: read_volume(written / "masks" / f"{visit}.nii.gz").array for visit in THREE_VISITS}
    volumes = {visit: float((array == 1).sum() * 2 * 2 * 4 / 1000) for visit, array in masks.items()}
    for visit, volume_ml in volumes.items():
        row = rows["1", visit]
        assert float(row["volume_ml"]) == pytest.approx(volume_ml, rel=1e-5)
        diameter_mm = 2 * THREE_VISITS[visit][1].radius_mm
        assert diameter_mm <= float(row["long_axis_mm"]) <= diameter_mm + 2.0
        assert float(row["mean"]) == pytest.approx(LESION_HU, abs=1.0)
        assert float(row["sd"]) == pytest.approx(NOISE_HU, rel=0.1)
    last = rows["1", "week16"]
    assert float(last["volume_from_baseline"]) == pytest.approx(
        volumes["week16"] / volumes["baseline"] - 1, rel=1e-4
    )
    assert float(last["volume_from_nadir"]) == pytest.approx(
        volumes["week16"] / volumes["week8"] - 1, rel=1e-4
    )
    assert rows["1", "baseline"]["volume_from_baseline"] == ""
    assert rows["3", "week8"]["volume_ml"] == ""
    assert [rows["1", visit]["mask"] for visit in THREE_VISITS] == ["given", "fitted", "fitted"]
    assert [rows[number, "week16"]["state"] for number in "1234"] == ["present", "out_of_view", "gone", "new"]


def test_numbers_for_programs_have_no_nan(written):
    content = json.loads((written / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert [response["category"] for response in content["responses"]] == ["baseline", "NE", "PD"]
    assert content["responses"][2]["reason"] == "new lesion 4"
    assert content["visits"][1]["date"] == "2026-03-02"
    assert [target["lesion"] for target in content["targets"]] == [1, 2, 3]


def test_the_page_shows_every_lesion_at_every_visit(written):
    page = (written / "report.html").read_text(encoding="utf-8")
    # Three, three, and 1, 3 and 4 at the last visit; masks of three, two and two.
    assert len(re.findall(r'aria-label="lesion \d at \w+"', page)) == 9
    assert page.count('class="outline"') == 7
    for text in (
        "to review, 55 %",
        "gone, 91 %",
        "out of view, 99 %",
        "not there yet",
        "new lesion 4",
        "22.0 mm, not whole",
    ):
        assert text in page, text
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page


def test_axes_are_drawn_where_they_lie(written):
    """The line of the longest diameter in the picture has its ends where the world points fall."""
    page = (written / "report.html").read_text(encoding="utf-8")
    scan = to_lps(read_volume(written / "scans" / "week8.nii.gz"))
    measured = read_history(written).measurement(1, "week8")
    shown = re.search(r'viewBox="([^"]*)" role="img" aria-label="lesion 1 at week8">(.*?)</svg>', page)
    left_mm, _, side_mm, _ = map(float, shown.group(1).split())
    (line,) = re.findall(r'<line class="axis long"([^>]*)/>', shown.group(2))
    drawn = {name: float(value) for name, value in re.findall(r'(\w\d)="([-\d.]+)"', line)}
    for number, end in (("1", measured.long_start_mm), ("2", measured.long_end_mm)):
        expected = position_in_picture(scan, AXIAL, np.array(end))
        np.testing.assert_allclose([drawn[f"x{number}"], drawn[f"y{number}"]], expected, atol=0.006)
        assert left_mm < drawn[f"x{number}"] < left_mm + side_mm


def test_slicer_gets_centres_and_both_axes(written):
    content = json.loads((written / "markups" / "week8.mrk.json").read_text(encoding="utf-8"))
    assert [markup["type"] for markup in content["markups"]] == ["Fiducial"] + ["Line"] * 4
    assert content["markups"][1]["name"] == "lesion 1 long week8"
    read = read_markups(written / "markups" / "week8.mrk.json")
    assert read.names[0] == "1 node 1"
    history = read_history(written)
    np.testing.assert_allclose(read.points_mm[0], history.row(1, "week8").point_mm)
    measured = history.measurement(1, "week8")
    np.testing.assert_allclose(read.points_mm[3:5], [measured.long_start_mm, measured.long_end_mm], atol=1e-9)


def test_a_corrected_mask_takes_the_place_of_the_one_that_was_found(patient):
    """A box of 10 x 6 x 3 voxels of 2, 2 and 4 mm."""
    masks = read_volume(patient / "masks" / "week8.nii.gz")
    array = np.zeros_like(masks.array)
    array[26:36, 35:41, 14:17] = 1
    (patient / "corrected").mkdir()
    write_volume(Volume(array, masks.affine), patient / "corrected" / "week8.nii.gz")
    before = {(row.lesion, row.visit): row for row in read_history(patient).measurements}
    after = {(row.lesion, row.visit): row for row in write_patient_report(patient).measurements}
    assert after[1, "week8"].volume_ml == pytest.approx(10 * 6 * 3 * 16 / 1000)
    assert after[1, "week8"].long_axis_mm == pytest.approx(np.hypot(10 * 2, 5 * 2), rel=1e-5)
    assert (2, "week8") not in after
    assert {key: row for key, row in after.items() if key[1] != "week8"} == {
        key: row for key, row in before.items() if key[1] != "week8"
    }


def masks_of(patient, visit):
    return [
        (row.lesion, row.mask) for row in read_lesions(FollowFolder(patient).lesions) if row.visit == visit
    ]


def test_a_mask_is_called_corrected_from_the_report_on_and_no_longer_when_it_goes(patient):
    """Lesion 2 has the size of another visit only where its mask is not corrected."""
    place = FollowFolder(patient)
    rows = [
        replace(row, mask="carried", state="present") if (row.lesion, row.visit) == (2, "week8") else row
        for row in read_lesions(place.lesions)
    ]
    write_lesions(rows, place.lesions)
    write_lesions([row for row in rows if row.visit == "week8"], place.rows("week8"))
    found = masks_of(patient, "week8")
    assert found == [(1, "fitted"), (2, "carried"), (3, "none")]
    assert write_patient_report(patient).responses[1].untold == (2,)
    corrected(patient, lambda array: array)
    assert write_patient_report(patient).responses[1].untold == ()
    assert masks_of(patient, "week8") == [(1, "corrected"), (2, "corrected"), (3, "none")]
    assert masks_of(patient, "week16") == [(row.lesion, row.mask) for row in rows if row.visit == "week16"]
    place.corrected("week8").unlink()
    assert write_patient_report(patient).responses[1].untold == (2,)
    assert masks_of(patient, "week8") == found


def test_a_lesion_that_split_is_measured_in_its_parts(patient):
    """Rows of 9 and 6 voxels of 2 mm, 18 and 12 mm long: together longer than the ball of 14 mm radius was."""
    place = FollowFolder(patient)
    rows = [
        replace(row, state="split") if (row.lesion, row.visit) == (1, "week8") else row
        for row in read_lesions(place.lesions)
    ]
    write_lesions(rows, place.lesions)
    place.targets.write_text("lesion,organ,kind\n1,,lesion\n", encoding="utf-8")

    def in_two(array):
        array[array == 1] = 0
        array[20:29, 38, 15] = array[35:41, 38, 15] = 1
        return array

    corrected(patient, in_two)
    history = write_patient_report(patient)
    assert history.responses[1].sum_mm == pytest.approx(18.0 + 12.0)
    measured = history.measurement(1, "week8")
    assert (measured.long_axis_mm, measured.part_long_axes_mm) == (18.0, (18.0, 12.0))
    before_mm = history.measurement(1, "baseline").long_axis_mm
    assert history.change(1, "week8").long_axis_from_baseline == pytest.approx(30.0 / before_mm - 1.0)
    assert "18.0 + 12.0 mm" in (patient / "report.html").read_text(encoding="utf-8")
    (row,) = [
        row for row in table(patient / "changes.csv") if (row["lesion"], row["visit"]) == ("1", "week8")
    ]
    assert row["part_long_axes_mm"] == "18 12"
    assert float(row["long_axis_from_baseline"]) == pytest.approx(30.0 / before_mm - 1.0, rel=1e-5)
    # Grown from what both parts were together, not from the longer one alone.
    after_mm = history.measurement(1, "week16").long_axis_mm
    assert history.change(1, "week16").long_axis_from_nadir == pytest.approx(
        after_mm / min(before_mm, 30.0) - 1.0
    )


def test_a_corrected_mask_of_lesions_that_merged_may_have_one_number(patient):
    place = FollowFolder(patient)
    rows = [
        replace(row, state="merged", related=(3 - row.lesion,))
        if row.visit == "week8" and row.lesion < 3
        else row
        for row in read_lesions(place.lesions)
    ]
    write_lesions(rows, place.lesions)
    corrected(patient, lambda array: np.where(array == 2, 1, array))
    assert write_patient_report(patient).remarks == ()
    corrected(patient, np.zeros_like)
    assert len(write_patient_report(patient).remarks) == 2


def corrected(patient, change, *, name="week8.nii.gz"):
    """Write the masks of week8, changed, among the corrected ones."""
    masks = read_volume(patient / "masks" / "week8.nii.gz")
    (patient / "corrected").mkdir(exist_ok=True)
    write_volume(Volume(change(masks.array.copy()), masks.affine), patient / "corrected" / name)


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        (lambda array: array, "week8_edited.nii.gz", "corrected: week8_edited.nii.gz is not measured"),
        (lambda array: array * (array != 1), "week8.nii.gz", "has no voxel of lesion 1, which is not measured"),
        (lambda array: array[::-1], "week8.nii.gz", "lies .. mm from its place at week8; look whether"),
        (lambda array: np.roll(array, 2, axis=0), "week8.nii.gz", ""),
    ],
)  # fmt: skip
def test_corrected_masks_that_do_not_fit_are_said(patient, change, name, said):
    corrected(patient, change, name=name)
    remarks = write_patient_report(patient).remarks
    assert bool(remarks) == bool(said)
    assert all(re.search(said, remark) for remark in remarks)


def test_a_corrected_mask_of_no_lesion_is_refused(patient):
    corrected(patient, lambda array: np.where(array == 1, 7, array))
    with pytest.raises(
        InputFileError, match=r"corrected/week8\.nii\.gz: has the number 7, which is no lesion"
    ):
        write_patient_report(patient)


@pytest.mark.parametrize("target", [2, 9])
def test_nothing_is_written_where_something_is_refused(patient, target):
    """Lesion 9 is none, and the mask of lesion 2 at the baseline is emptied; no measurement may stay beside it."""
    corrected(patient, lambda array: np.where(array == 2, 0, array), name="baseline.nii.gz")
    (patient / "targets.csv").write_text(f"lesion,organ,kind\n{target},,lesion\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in sorted(patient.rglob("*")) if path.is_file()}
    with pytest.raises(UserError, match=f"one/targets.csv: lesion {target} has no measurement"):
        write_patient_report(patient)
    assert {path: path.read_bytes() for path in sorted(patient.rglob("*")) if path.is_file()} == before


def test_two_patients_of_one_name_are_refused_before_a_report_is_written(patient, tmp_path, capsys):
    shutil.copytree(patient, tmp_path / "two")
    for folder in (patient, tmp_path / "two"):
        (folder / "report.html").unlink()
    with pytest.raises(SystemExit):
        main(["follow-report", str(patient), str(tmp_path / "two"), "--output", str(tmp_path / "all")])
    assert "two patients are called patient 1" in capsys.readouterr().err
    assert not list(tmp_path.rglob("report.html")) and not (tmp_path / "all").exists()


def test_of_several_patients_none_is_written_where_one_is_refused(patient, tmp_path, capsys):
    shutil.copytree(patient, tmp_path / "two")
    (tmp_path / "two" / "targets.csv").write_text("lesion,organ,kind\n9,,lesion\n", encoding="utf-8")
    (patient / "report.html").unlink()
    with pytest.raises(SystemExit):
        main(["follow-report", str(patient), str(tmp_path / "two")])
    assert "two/targets.csv: lesion 9 has no measurement" in capsys.readouterr().err
    assert not (patient / "report.html").exists()


def test_a_folder_that_is_given_twice_is_called_so(patient, tmp_path, capsys):
    (tmp_path / "link").symlink_to(patient)
    for again in (patient, tmp_path / "link"):
        with pytest.raises(SystemExit):
            main(["follow-report", str(patient), str(again), "--output", str(tmp_path / "all")])
        assert f"the folder {patient} is given 2 times; give it once" in capsys.readouterr().err


def test_decisions_on_what_was_not_followed_are_said(patient, capsys):
    for lesion, visit in ((2, "week8"), (9, "week8"), (1, "week88")):
        append_decision(
            DecisionRow(NOW, "A. Reader", lesion, visit, "accept", NOWHERE), patient / "decisions.csv"
        )
    main(["follow-report", str(patient)])
    said = capsys.readouterr().err
    assert "decides on lesion 9 at week8, which was not followed; this changes nothing" in said
    assert "decides on lesion 1 at week88" in said and "lesion 2" not in said


def test_another_scan_on_the_same_voxels_is_not_measured(patient):
    scan = read_volume(patient / "scans" / "week8.nii.gz")
    write_volume(Volume(scan.array[::-1], scan.affine), patient / "scans" / "week8.nii.gz")
    with pytest.raises(InputFileError, match="is not the scan any more that was followed as week8"):
        write_patient_report(patient)


def test_decisions_and_chosen_targets_count(patient):
    assert read_history(patient).responses[1].category == "NE"
    append_decision(DecisionRow(NOW, "A. Reader", 2, "week8", "accept", NOWHERE), patient / "decisions.csv")
    history = write_patient_report(patient)
    # 30 + 19.7 + 14.6 mm before; 22 + 14 + 0 mm now.
    assert history.responses[1].category == "PR"
    assert history.responses[1].sum_mm == pytest.approx(36.0)
    page = (patient / "report.html").read_text(encoding="utf-8")
    assert (
        "accepted by A. Reader" in page
        and "Target lesions: 1, 2, 3 (the largest at the first visit)." in page
    )
    (patient / "targets.csv").write_text("lesion,organ,kind\n1,lung,lesion\n", encoding="utf-8")
    assert [response.category for response in read_history(patient).responses] == ["baseline", "SD", "PD"]


def test_a_table_of_all_patients_links_their_pages(written, tmp_path):
    write_followed(tmp_path / "other", patient="patient #2")
    histories = [read_history(written), write_patient_report(tmp_path / "other")]
    write_patients_table(histories, tmp_path / "all")
    rows = table(tmp_path / "all" / "patients.csv")
    assert [(row["patient"], row["response"], row["new"], row["gone"]) for row in rows] == [
        ("patient 1", "PD", "1", "1"), ("patient #2", "PD", "1", "1"),
    ]  # fmt: skip
    page = (tmp_path / "all" / "patients.html").read_text(encoding="utf-8")
    assert 'href="../other/report.html"' in page
    with pytest.raises(UserError, match="two patients are called patient 1"):
        write_patients_table([histories[0], histories[0]], tmp_path / "all")


def test_the_verb_says_the_response(patient, tmp_path, capsys):
    main(["follow-report", str(patient), "--output", str(tmp_path / "all")])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == str(patient / "report.html")
    assert said[2] == "  week8: 22.0 mm, not whole, NE (not assessed: target 2)"
    assert (tmp_path / "all" / "patients.html").exists()


def test_one_line_names_what_does_not_fit(patient, tmp_path):
    with pytest.raises(InputFileError, match=r"is not a folder that `follow` wrote \(no follow\.json\)"):
        write_patient_report(tmp_path)
    scan = read_volume(patient / "scans" / "week8.nii.gz")
    write_volume(Volume(scan.array[:-1], scan.affine), patient / "scans" / "week8.nii.gz")
    with pytest.raises(
        InputFileError, match=r"week8\.nii\.gz: is not the scan any more that was followed as week8"
    ):
        write_patient_report(patient)
    write_volume(scan, patient / "scans" / "week8.nii.gz")
    moved = scan.affine.copy()
    moved[0, 3] += 1.0
    write_volume(Volume(np.ones(scan.shape, np.uint8), moved), patient / "masks" / "week8.nii.gz")
    with pytest.raises(InputFileError, match="lies on another grid than the scan"):
        measure_folder(read_history(patient).folder)


def test_follow_refuses_bad_targets_before_the_work(patient, capsys):
    (patient / "targets.csv").write_text("lesion,organ,kind\n1,lung,tumour\n", encoding="utf-8")
    scans = [str(patient / "scans" / f"{visit}.nii.gz") for visit in ("baseline", "week8")]
    lesions = str(patient / "masks" / "baseline.nii.gz")
    # What stands for a model would be refused next.
    with pytest.raises(SystemExit):
        main(["follow", *scans, "--lesions", lesions, "--checkpoint", lesions, "--output", str(patient)])
    assert "targets.csv: line 2, kind" in capsys.readouterr().err
