"""The verb `follow` on scans of one anatomy: what it writes, computes again, and refuses in one line."""

import datetime
import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from anatomical_embedding.cli.main import commands
from anatomical_embedding.errors import UserError
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.record_json import read_record
from anatomical_embedding.follow.record_tables import append_decision, read_lesions, read_measurements
from anatomical_embedding.follow.records import DecisionRow
from anatomical_embedding.points.points_file import write_point_table
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.packaged_model import body_scan, scan_affine, write_model

PLACES = {
    "a": ((2, 2, 2), (90.0, 70.0, -60.0)),
    "b": ((4, 2, 6), (-10.0, 120.0, 300.0)),
    "c": ((3, 4, 3), (0.0,) * 3),
}
LESION_AT_VOX = np.array([24, 22, 23])
"""In the first scan; the other windows show it where they begin later."""


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """Return a folder with a model, three scans of one anatomy and a lesion in the first."""
    folder = tmp_path_factory.mktemp("patient")
    write_model(folder)
    for name, (offset_vox, origin_mm) in PLACES.items():
        volume = body_scan(offset_vox=offset_vox, affine=scan_affine(origin_mm=origin_mm))
        write_volume(volume, folder / f"{name}.nii.gz")
    scan = read_volume(folder / "a.nii.gz")
    labels = np.zeros(scan.shape, dtype=np.uint8)
    labels[tuple(slice(at - 1, at + 2) for at in LESION_AT_VOX)] = 3
    write_volume(Volume(labels, scan.affine), folder / "lesions.nii.gz")
    return folder


def run(patient, *arguments):
    words = ["follow", "--checkpoint", str(patient / "tiny.safetensors"), *map(str, arguments)]
    return CliRunner().invoke(commands, words, catch_exceptions=True)


def scans(patient, names):
    return [patient / f"{name}.nii.gz" for name in names]


@pytest.fixture(scope="module")
def followed(patient, tmp_path_factory):
    """Return the folder of the patient followed over three visits."""
    output = tmp_path_factory.mktemp("followed") / "out"
    done = run(patient, *scans(patient, "abc"), "--lesions", patient / "lesions.nii.gz", "--output", output)
    assert done.exception is None, done.output
    return FollowFolder(output)


def true_place(patient, name):
    """Return where the lesion of the first scan lies in another, by how its window was cut."""
    first, offset = np.array(PLACES["a"][0]), np.array(PLACES[name][0])
    return read_volume(patient / f"{name}.nii.gz").world_from_voxel(LESION_AT_VOX + first - offset)


@pytest.mark.slow
def test_a_lesion_is_found_at_every_visit_with_a_mask(patient, followed):
    rows = read_lesions(followed.lesions)
    assert [(row.lesion, row.visit, row.state) for row in rows] == [
        (3, "a", "given"), (3, "b", "present"), (3, "c", "present")
    ]  # fmt: skip
    for row in rows:
        assert np.linalg.norm(np.array(row.point_mm) - true_place(patient, row.visit)) < 2.0
        scan = read_volume(patient / f"{row.visit}.nii.gz")
        mask = read_volume(followed.mask(row.visit), require_contrast=False)
        assert mask.shape == scan.shape
        assert set(np.unique(mask.array)) == {0, 3}
    assert [row.how for row in rows] == ["given", "direct", "joint"]
    assert rows[0].mask == "given"
    assert all(row.mask in ("carried", "grown", "fitted") for row in rows[1:])


def test_the_folder_says_what_it_was_made_from(patient, followed):
    record = read_record(followed.record)
    assert [visit.name for visit in record.visits] == ["a", "b", "c"]
    assert record.visits[1].affine == tuple(map(tuple, read_volume(patient / "b.nii.gz").affine.tolist()))
    measured = read_measurements(followed.measurements)
    assert [(row.lesion, row.visit) for row in measured] == [(3, "a"), (3, "b"), (3, "c")]
    assert measured[0].volume_ml == pytest.approx(27 * 4.0**3 / 1000.0)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_new_visit_changes_nothing_of_the_others(patient, followed, tmp_path):
    lesions = patient / "lesions.nii.gz"
    run(patient, *scans(patient, "ab"), "--lesions", lesions, "--output", tmp_path / "out")
    place = FollowFolder(tmp_path / "out")
    kept = [place.rows("a"), place.rows("b"), place.mask("a"), place.mask("b"), *place.stores.iterdir()]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in kept}
    done = run(patient, *scans(patient, "abc"), "--lesions", lesions, "--output", tmp_path / "out")
    assert done.exception is None, done.output
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in kept} == before
    assert place.lesions.read_bytes() == followed.lesions.read_bytes()


def test_a_visit_that_is_taken_out_leaves_nothing_but_its_embedding(patient, followed, tmp_path, monkeypatch):
    """Its masks would lie beside those of the visits that are left, and of another patient's; a user's files stay."""
    shutil.copytree(followed.folder, tmp_path / "out")
    place = FollowFolder(tmp_path / "out")
    own = [place.entry("mine"), place.mask("mine")]
    for path in own:
        path.write_text("", encoding="utf-8")
    lesions = patient / "lesions.nii.gz"
    done = run(patient, *scans(patient, "ab"), "--lesions", lesions, "--output", place.folder)
    assert done.exception is None, done.output
    assert "removed what was found of c, which are no visits now" in done.output
    assert sorted(path.name for path in place.folder.rglob("c.*")) == ["c.body_mask.nii.gz", "c.safetensors"]
    assert all(path.exists() for path in own)
    again = run(patient, *scans(patient, "abc"), "--lesions", lesions, "--output", place.folder)
    assert again.exception is None, again.output
    assert place.mask("c").read_bytes() == followed.mask("c").read_bytes()
    assert place.lesions.read_bytes() == followed.lesions.read_bytes()


def test_a_moved_place_replaces_the_answer_there_and_what_depends_is_followed_again(
    patient, followed, tmp_path
):
    shutil.copytree(followed.folder, tmp_path / "out")
    place = FollowFolder(tmp_path / "out")
    moved_mm = tuple(np.add(true_place(patient, "b"), (8.0, 0, 0)))
    time = datetime.datetime(2026, 3, 31, 9, 30, tzinfo=datetime.UTC)
    append_decision(DecisionRow(time, "reader", 3, "b", "move", moved_mm), place.decisions)
    append_decision(DecisionRow(time, "reader", 3, "c", "reject", (np.nan,) * 3), place.decisions)
    before = place.rows("a").stat().st_mtime_ns
    done = run(
        patient, *scans(patient, "abc"), "--lesions", patient / "lesions.nii.gz", "--output", place.folder
    )
    assert done.exception is None, done.output
    row = next(row for row in read_lesions(place.lesions) if row.visit == "b")
    assert row.point_mm == pytest.approx(moved_mm, abs=1e-3)
    assert (row.how, row.state, row.probability) == ("moved", "present", 1.0)
    assert place.rows("a").stat().st_mtime_ns == before
    assert place.rows("c").read_bytes() != followed.rows("c").read_bytes()
    assert [row.visit for row in read_measurements(place.measurements)] == ["a", "b"]


def test_a_lesion_is_not_moved_out_of_the_scan(patient, followed, tmp_path):
    """As by a place in LPS that was written by hand; it had been present there, for certain."""
    shutil.copytree(followed.folder, tmp_path / "out")
    place = FollowFolder(tmp_path / "out")
    time = datetime.datetime(2026, 3, 31, 9, 30, tzinfo=datetime.UTC)
    append_decision(DecisionRow(time, "reader", 3, "b", "move", (5000.0, 0.0, 0.0)), place.decisions)
    before = contents(place.folder)
    done = run(
        patient, *scans(patient, "abc"), "--lesions", patient / "lesions.nii.gz", "--output", place.folder
    )
    assert "decisions.csv: moves lesion 3 at b to 5000.0, 0.0, 0.0 mm, which lies outside the scan" in str(
        done.exception
    )
    assert contents(place.folder) == before


def test_a_run_again_computes_no_visit(patient, followed, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a visit was followed again")

    monkeypatch.setattr("anatomical_embedding.follow.patient.follow_one", refuse)
    before = followed.lesions.read_bytes()
    done = run(
        patient, *scans(patient, "abc"), "--lesions", patient / "lesions.nii.gz", "--output", followed.folder
    )
    assert done.exception is None, done.output
    assert followed.lesions.read_bytes() == before


def test_a_corrected_mask_is_what_is_measured_and_no_visit_is_followed_again(
    patient, followed, tmp_path, monkeypatch
):
    place = FollowFolder(tmp_path / "out")
    shutil.copytree(followed.folder, place.folder)
    mask = read_volume(place.mask("c"), require_contrast=False)
    corrected = np.zeros_like(mask.array)
    corrected[20:22, 20:22, 20:23] = 3
    place.corrected("c").parent.mkdir()
    write_volume(Volume(corrected, mask.affine), place.corrected("c"))
    monkeypatch.setattr("anatomical_embedding.follow.patient.follow_one", None)
    arguments = ["--lesions", patient / "lesions.nii.gz", "--output", place.folder]
    done = run(patient, *scans(patient, "abc"), *arguments)
    assert done.exception is None, done.output
    measured = {row.visit: row.volume_ml for row in read_measurements(place.measurements)}
    assert measured["c"] == pytest.approx(12 * 4.0**3 / 1000.0)
    assert [row.mask for row in read_lesions(place.lesions)][2] == "corrected"


def test_a_lesion_that_nobody_explains_is_new_and_is_looked_for_before(patient, tmp_path):
    scan = read_volume(patient / "b.nii.gz")
    places = [true_place(patient, "b"), scan.world_from_voxel([12, 14, 30])]
    write_point_table(places, ["known", "other"], tmp_path / "points.csv", coordinates="ras")
    done = run(
        patient, *scans(patient, "ab"), "--lesions", patient / "lesions.nii.gz",
        "--lesions", f"1={tmp_path / 'points.csv'}", "--output", tmp_path / "out", "--json",
    )  # fmt: skip
    assert done.exception is None, done.output
    rows = {(row["lesion"], row["visit"]): row for row in json.loads(done.stdout)["lesions"]}
    assert rows[3, "b"]["state"] == "given"
    assert rows[4, "b"]["state"] == "new"
    assert rows[4, "b"]["label"] == "other"
    assert rows[4, "b"]["mask"] == "none"
    assert rows[4, "a"]["how"] == "direct"
    assert rows[4, "a"]["point_mm"] is not None


@pytest.mark.parametrize(
    ("names", "arguments", "message"),
    [
        ("a", [], "expected the scans of two visits or more"),
        ("aba", [], "are the same scan"),
        (
            "ab",
            ["--date", "2026-02-01", "--date", "2026-01-01"],
            "visit b is of 2026-01-01, before visit a of",
        ),
        ("ab", ["--date", "2026-02-01"], "expected one for each of the 2 visits, got 1"),
        (
            "ab",
            ["--lesions", "7=lesions.nii.gz"],
            ") or its number (0 to 1) before '=', got '7'",
        ),
        ("ab", ["--lesions", "1=lesions.nii.gz"], "lies on another grid than the scan"),
        ("ab", ["--lesions", "1=far.csv"], "lies outside the scan"),
        ("ab", ["--lesions", "1=missing.csv"], "is not there"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(patient, tmp_path, names, arguments, message):
    write_point_table([[5000.0, 0, 0]], ["far"], patient / "far.csv", coordinates="ras")
    given = ["--lesions", "lesions.nii.gz", *arguments]
    given = [re.sub(r"[a-z]+\.(nii\.gz|csv)", lambda name: str(patient / name[0]), word) for word in given]
    done = run(patient, *scans(patient, names), *given, "--output", tmp_path / "out")
    told = done.exception if isinstance(done.exception, UserError) else done.output
    assert message in str(told)
    assert not (tmp_path / "out" / "lesions.csv").exists()


@pytest.mark.parametrize(("target", "form"), [(9, "masks"), (1, "points")])
def test_a_target_without_a_size_is_refused_before_the_work(patient, tmp_path, target, form):
    """Lesion 9 is none, and one that is given as a point has no size."""
    lesions = patient / "lesions.nii.gz"
    if form == "points":
        lesions = tmp_path / "lesions.csv"
        write_point_table([true_place(patient, "a")], ["one"], lesions, coordinates="ras")
    output = tmp_path / "out"
    output.mkdir()
    (output / "targets.csv").write_text(f"lesion,organ,kind\n{target},,lesion\n", encoding="utf-8")
    done = run(patient, *scans(patient, "ab"), "--lesions", lesions, "--output", output)
    assert f"out/targets.csv: lesion {target} has no measurement at a, the baseline" in str(done.exception)
    assert [path.name for path in output.iterdir()] == ["targets.csv"]
