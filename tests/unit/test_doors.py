"""What goes in and out of the verbs: refused before the work, left out and said, never written over."""

import csv
import json
import shutil
import socket
import threading
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from anatomical_embedding import api
from anatomical_embedding.embedding.export import StoreEmbedder
from anatomical_embedding.errors import OutputFileError, UserError
from anatomical_embedding.files import held_folder
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.guided_start import GuidedStart
from anatomical_embedding.usage import stores
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.scan import distinct_names, scan_name
from anatomical_embedding.volumes.volume import Volume
from tests.command import refusal_of, run
from tests.packaged_model import body_scan, points_in, write_dicom_series, write_model, write_two_scans

POINT_MM = (12.0, 9.0, 30.0)
"""In the body of the first scan."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a model, two scans and their stores."""
    folder = tmp_path_factory.mktemp("doors")
    write_model(folder)
    scans = write_two_scans(folder)
    assert run(["embed", *scans, *model_of(folder), "--output", folder / "stores"]) == 0
    return folder


@pytest.fixture
def no_work(monkeypatch):
    """Make the network refuse to work: what must be told before it is asked must not reach it."""

    def embed(*_, **__):
        raise AssertionError("a scan was embedded before the input was refused")

    monkeypatch.setattr(StoreEmbedder, "embed", embed)


def model_of(folder):
    return ["--checkpoint", folder / "tiny.safetensors"]


def output_of(capsys, arguments):
    """Run the command, which must end well, and return what it printed: the JSON, and the notes."""
    capsys.readouterr()
    code = run([*arguments, "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    notes = [line.removeprefix("note: ") for line in printed.err.splitlines() if line.startswith("note: ")]
    return json.loads(printed.out), notes


def write_points(path, *positions, **left_out):
    """Write points RAS as Slicer does, and after them some with another status."""
    controls = [
        {"label": f"P{number}", "position": [-x, -y, z], "positionStatus": "defined"}
        for number, (x, y, z) in enumerate(positions)
    ]
    controls += [
        {"label": name, "position": [1, 2, 3], "positionStatus": status} for name, status in left_out.items()
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": controls}
    path.write_text(json.dumps({"markups": [markup]}), encoding="utf-8")
    return path


def stored(folder, name):
    return folder / "stores" / f"{name}.safetensors"


# Points


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mrk.json", "csv", "fcsv"])
def test_match_answers_the_points_that_were_placed_and_names_the_others(folder, tmp_path, capsys, kind):
    x, y, z = POINT_MM
    path = tmp_path / f"points.{kind}"
    if kind == "mrk.json":
        write_points(path, POINT_MM, Q="undefined")
        why = "its position is undefined"
    elif kind == "csv":
        path.write_text(
            f"x_mm;y_mm;z_mm;name\n{x:.1f};{y};{z};P0\n;;;Q\n".replace(".", ","), encoding="utf-8"
        )
        why = "line 3 gives it no position"
    else:
        head = "# Markups fiducial file version = 5.4\n# CoordinateSystem = LPS\n"
        rows = f"1,{-x},{-y},{z},0,0,0,1,1,1,0,P0,,,2,0\n2,1,2,3,0,0,0,1,1,1,0,Q,,,3,0\n"
        path.write_text(head + rows, encoding="utf-8")
        why = "its position is missing"
    arguments = [
        "match",
        *model_of(folder),
        "--from",
        stored(folder, "first"),
        "--to",
        stored(folder, "second"),
    ]
    found, notes = output_of(capsys, [*arguments, "--points", path])
    assert found["remarks"] == notes == [f"{path}: the point 'Q' is left out, {why}"]
    (row,) = found["answers"]
    assert row["name"] == "P0"
    assert [row[f"query_{axis}_mm"] for axis in "xyz"] == pytest.approx(POINT_MM, abs=1e-6)


# Stores


def test_a_store_of_another_scan_is_never_written_over(folder, tmp_path, capsys):
    paths = []
    for name, source in (("a", "first"), ("b", "second")):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / "ct.nii.gz")
        shutil.copy(folder / f"{source}.nii.gz", paths[-1])
    output = tmp_path / "stores"
    embed = ["embed", *model_of(folder), "--output", output]
    (first,), notes = output_of(capsys, [*embed, paths[0]])
    assert (first["store"], first["remarks"], notes) == (str(output / "ct.safetensors"), [], [])
    before = (output / "ct.safetensors").read_bytes()
    for _ in range(2):  # the second time both are stored already
        (second,), notes = output_of(capsys, [*embed, paths[1]])
        assert second["store"] == str(output / "b_ct.safetensors")
        assert second["remarks"] == notes
        assert notes[0].startswith(
            f"{output / 'ct.safetensors'} holds another scan, or an earlier version of {paths[1]}"
        )
    assert (output / "ct.safetensors").read_bytes() == before
    model = api.load_model(folder / "tiny.safetensors")
    for entry, path in ((first, paths[0]), (second, paths[1])):
        opened = api.open_embedding(model, entry["store"])
        np.testing.assert_allclose(
            opened.embedded.affine[:3, :3], read_volume(path).affine[:3, :3], atol=1e-5
        )
        assert opened.body_mask is not None
    places = [api.open_embedding(model, entry["store"]).embedded.affine[:3, 3] for entry in (first, second)]
    assert np.linalg.norm(places[0] - places[1]) > 100  # the worlds of the two scans
    (output / "b_ct.safetensors").unlink()
    shutil.copy(output / "ct.safetensors", output / "b_ct.safetensors")
    assert "ct.safetensors hold other scans" in refusal_of(capsys, [*embed, paths[1]])


def test_a_store_that_another_command_writes_meanwhile_is_not_written_over(
    folder, tmp_path, capsys, monkeypatch
):
    """Each of two scans of one name finds no store when it begins, as where jobs embed a patient each."""
    for name, source in (("a", "first"), ("b", "second")):
        (tmp_path / name).mkdir()
        shutil.copy(folder / f"{source}.nii.gz", tmp_path / name / "ct.nii.gz")
    output = tmp_path / "stores"
    embed = ["embed", *model_of(folder), "--output", output]
    embedded = stores.embed_raw_scan

    def beside_another(*arguments, **options):
        monkeypatch.setattr(stores, "embed_raw_scan", embedded)
        output_of(capsys, [*embed, tmp_path / "b" / "ct.nii.gz"])
        return embedded(*arguments, **options)

    monkeypatch.setattr(stores, "embed_raw_scan", beside_another)
    (entry,), _ = output_of(capsys, [*embed, tmp_path / "a" / "ct.nii.gz"])
    assert entry["store"] == str(output / "a_ct.safetensors")
    assert (output / "ct.safetensors").exists()


def test_a_model_in_the_folder_is_not_written_over(folder, tmp_path, capsys):
    output = tmp_path / "models"
    output.mkdir()
    shutil.copy(folder / "tiny.safetensors", output / "scan.safetensors")
    shutil.copy(folder / "first.nii.gz", tmp_path / "scan.nii.gz")
    (entry,), _ = output_of(
        capsys, ["embed", tmp_path / "scan.nii.gz", *model_of(folder), "--output", output]
    )
    assert Path(entry["store"]).name == f"{tmp_path.name}_scan.safetensors"
    api.load_model(output / "scan.safetensors")


def test_a_folder_is_called_by_its_own_name_from_within(folder, tmp_path, capsys, monkeypatch):
    volume = body_scan(offset_vox=(2, 2, 2), affine=np.diag([-4.0, -4.0, 4.25, 1.0]))
    series = write_dicom_series(volume, tmp_path / "series_3")
    monkeypatch.chdir(series)
    assert [scan_name(text) for text in (".", "./", "../series_3/")] == ["series_3"] * 3
    (series / "below").mkdir()
    monkeypatch.chdir(series / "below")
    assert (scan_name(".."), distinct_names([".", ".."])) == ("series_3", ["below", "series_3"])
    (series / "below").rmdir()
    monkeypatch.chdir(series)
    (entry,), _ = output_of(capsys, ["embed", ".", *model_of(folder), "--output", tmp_path / "out"])
    assert entry["store"] == str(tmp_path / "out" / "series_3.safetensors")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "series_3.body_mask.nii.gz",
        "series_3.safetensors",
    ]


def test_scans_with_capital_endings_are_scans(folder, tmp_path, capsys):
    shutil.copy(folder / "first.nii.gz", tmp_path / "X.NII.GZ")
    (entry,), _ = output_of(capsys, ["embed", tmp_path / "X.NII.GZ", *model_of(folder), "--output", tmp_path])
    assert Path(entry["store"]).name == "X.safetensors"
    assert distinct_names(["a/CT.NII", "b/ct.nii.gz"]) == ["a_CT", "b_ct"]


# Refused before the work


def refused_at_once(folder, tmp_path):
    """Return, by name, arguments that are wrong and what the line must say."""
    first, second, model = folder / "first.nii.gz", folder / "second.nii.gz", model_of(folder)
    (tmp_path / "file").write_text("a file", encoding="utf-8")
    (tmp_path / "text.nii.gz").write_text("no image", encoding="utf-8")
    (tmp_path / "bad.csv").write_text("x_mm,y_mm,z_mm\n1,2,three\n", encoding="utf-8")
    (tmp_path / "good.csv").write_text("x_mm,y_mm,z_mm\n12,9,30\n", encoding="utf-8")
    (tmp_path / "far.csv").write_text("x_mm,y_mm,z_mm\n9000,2,3\n", encoding="utf-8")
    (tmp_path / "pins.json").write_text('{"pins": 3}', encoding="utf-8")
    (tmp_path / "script").write_text("#!/bin/sh\necho another program\n", encoding="utf-8")
    (tmp_path / "crash").write_text("#!/bin/sh\necho no libgomp >&2\nexit 127\n", encoding="utf-8")
    (tmp_path / "no_format").write_bytes(b"\x7fELF nothing")
    (tmp_path / "deeds").write_text("#!/bin/sh\necho deeds 0.2.0\n", encoding="utf-8")
    (tmp_path / "old").write_text("#!/bin/sh\necho deeds 0.1.0\n", encoding="utf-8")
    for name in ("script", "crash", "no_format", "deeds", "old"):
        (tmp_path / name).chmod(0o755)
    scan = read_volume(first)
    for name, fill, shift in (("labels", 1, 0.0), ("empty", 0, 0.0), ("lost", 1, 5000.0)):
        array = np.zeros(scan.shape, np.uint8)
        array[20:24, 20:24, 20:24] = fill
        affine = scan.affine.copy()
        affine[0, 3] += shift
        write_volume(Volume(array, affine), tmp_path / f"{name}.nii.gz")
    nowhere = tmp_path / "file" / "x"
    point = ["--point", ",".join(map(str, POINT_MM))]
    match = ["match", *model, "--from", first, "--to", second]
    carry = ["propagate", *model, "--from", stored(folder, "first"), "--to", second]
    good_labels = ["--labels", tmp_path / "labels.nii.gz"]
    register = ["register", first, second, *model, "--output", tmp_path / "out"]
    deeds = ["--deeds", tmp_path / "deeds"]
    view = ["view", first, second, *model, "--no-open"]
    unreadable = tmp_path / "text.nii.gz"
    to_store = ["match", *model, "--from", second, "--to", stored(folder, "first")]
    follow = ["follow", *model, "--output", tmp_path / "out", "--lesions", tmp_path / "labels.nii.gz"]
    carry_to_unreadable = ["propagate", *model, "--from", first, "--to", unreadable]
    between_scans = ["propagate", *model, "--from", first, "--to", second]
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    (nothing / "notes.txt").write_text("no scan", encoding="utf-8")
    score = ["score", "--annotations", tmp_path / "bad.csv", "--predictions", tmp_path / "bad.csv"]
    return {
        "match, output": ([*match, *point, "--output", nowhere.with_suffix(".csv")], "Not a directory"),
        "match, ending": ([*match, *point, "--output", tmp_path / "a.txt"], "ends in .csv or .mrk.json"),
        "match, folder": ([*match, *point, "--output", tmp_path / "f.csv"], "is a folder"),
        "match, mixed": (
            [*match, "--to", first, *point, "--output", tmp_path / "a.mrk.json"],
            "would mix the points of several scans",
        ),
        "match, map": ([*match, *point, "--similarity-map", nowhere / "m.nii.gz"], "Not a directory"),
        "match, map ending": (
            [*match, *point, "--similarity-map", tmp_path / "m.mha"],
            "ends in .nii.gz or .nii",
        ),
        "match, over points": (
            [*match, "--points", tmp_path / "good.csv", "--output", tmp_path / "good.csv"],
            "is an input and would be overwritten",
        ),
        "match, over a scan": (
            [*match, *point, "--similarity-map", second],
            "is an input and would be overwritten",
        ),
        "propagate, over labels": (
            [*carry, *good_labels, "--output", tmp_path / "labels.nii.gz"],
            "is an input and would be overwritten",
        ),
        "match, points": ([*match, "--points", tmp_path / "bad.csv"], "line 2: expected three numbers in mm"),
        "match, last scan": ([*match, "--to", unreadable, *point], "text.nii.gz: "),
        "match, method": ([*match, *point, "--method", "guess"], "no way of matching is called 'guess'"),
        "match, far": (
            [*match, "--points", tmp_path / "far.csv"],
            "first.nii.gz, which covers x ",
        ),
        "match, store to the voxel": (
            [*to_store, *point, "--refinement", "voxel"],
            "matches cannot be moved to the voxel: first is a store",
        ),
        "match, modality": ([*match, *point, "--modality", "mr"], "is a scan of modality mr"),
        "embed, output": (["embed", first, *model, "--output", tmp_path / "file"], "expected a folder"),
        "embed, last scan": (
            ["embed", first, unreadable, *model, "--output", tmp_path / "out"],
            "text.nii.gz: ",
        ),
        "embed, last series": (["embed", first, nothing, *model, "--output", tmp_path / "out"], "nothing: "),
        "follow, lesions": (
            [*follow, first, second, "--lesions", f"1={tmp_path / 'far.csv'}"],
            "far.csv: the point '1' at 9000.0, 2.0, 3.0 mm lies outside the scan",
        ),
        "follow, last scan": ([*follow, first, second, unreadable], "text.nii.gz: "),
        "follow, calibration": (
            [*follow, first, second, "--calibration", tmp_path / "pins.json"],
            "pins.json: expected slope and offset",
        ),
        "propagate, output": ([*carry, *good_labels, "--output", nowhere / "m.nii.gz"], "Not a directory"),
        "propagate, empty": (
            [*carry, "--labels", tmp_path / "empty.nii.gz", "--output", tmp_path / "m.nii.gz"],
            "empty.nii.gz: the label map is empty",
        ),
        "propagate, lost": (
            [*carry, "--labels", tmp_path / "lost.nii.gz", "--output", tmp_path / "m.nii.gz"],
            "lost.nii.gz: the label map is not of the scan 'first': all of label 1 lies outside it",
        ),
        "propagate, lost in a scan": (
            [*between_scans, "--labels", tmp_path / "lost.nii.gz", "--output", tmp_path / "m.nii.gz"],
            "lost.nii.gz: the label map is not of the scan 'first': all of label 1 lies outside it",
        ),
        "propagate, scan": (
            [*carry_to_unreadable, *good_labels, "--output", tmp_path / "m.nii.gz"],
            "text.nii.gz: ",
        ),
        "register, output": (
            ["register", first, second, *model, *deeds, "--output", tmp_path / "file"],
            "is a file, expected a folder",
        ),
        "register, other program": (
            [*register, "--deeds", tmp_path / "script"],
            "does not say the version of deeds",
        ),
        "register, old program": (
            [*register, "--deeds", tmp_path / "old"],
            "old: is deeds 0.1.0, which cannot invert a field; build it",
        ),
        "register, crash": ([*register, "--deeds", tmp_path / "crash"], "(no libgomp)"),
        "register, no program": (
            [*register, "--deeds", tmp_path / "no_format"],
            "cannot be run (Exec format error)",
        ),
        "register, no rights": (
            [*register, "--deeds", tmp_path / "file"],
            "cannot be run (Permission denied)",
        ),
        "register, points": (
            [*register, *deeds, "--points", tmp_path / "bad.csv"],
            "line 2: expected three numbers",
        ),
        "register, far": ([*register, *deeds, "--points", tmp_path / "far.csv"], "no point lies inside"),
        "register, scan": (
            ["register", first, unreadable, *model, *deeds, "--output", tmp_path / "out"],
            "text.nii.gz: ",
        ),
        "view, pins": ([*view, "--pins", tmp_path / "pins.json"], "is not a list of pinned points"),
        "view, place of pins": ([*view, "--pins", nowhere / "pins.json"], "Not a directory"),
        "view, scan": (["view", first, unreadable, *model, "--no-open"], "text.nii.gz: "),
        "score, output": (
            [*score, "--output", nowhere / "scores.json"],
            "scores.json: cannot be written (Not a directory)",
        ),
    }


REFUSED = (
    "match, over points; match, over a scan; propagate, over labels; "
    "match, output; match, ending; match, folder; match, mixed; match, map; match, map ending; match, points; "
    "match, method; match, far; match, store to the voxel; "
    "match, last scan; match, modality; embed, output; embed, last scan; embed, last series; "
    "follow, lesions; follow, last scan; follow, calibration; propagate, output; propagate, empty; "
    "propagate, lost; propagate, lost in a scan; propagate, scan; "
    "register, output; register, other program; register, old program; register, crash; "
    "register, no program; register, no rights; register, points; register, far; register, scan; view, pins; "
    "view, place of pins; view, scan; score, output"
).split("; ")


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.usefixtures("no_work")
def test_what_can_be_refused_is_refused_before_the_work(folder, tmp_path, capsys, name):
    wrong = refused_at_once(folder, tmp_path)
    (tmp_path / "f.csv").mkdir()
    assert set(wrong) == set(REFUSED)
    arguments, message = wrong[name]
    before = sorted(path.name for path in tmp_path.iterdir())
    assert message in refusal_of(capsys, arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.usefixtures("no_work")
def test_a_busy_port_is_told_before_the_work(folder, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        scans = [folder / "first.nii.gz", folder / "second.nii.gz"]
        arguments = ["view", *scans, *model_of(folder), "--no-open", "--port", other.getsockname()[1]]
        assert "cannot listen there" in refusal_of(capsys, arguments)


@pytest.mark.usefixtures("no_work")
def test_the_library_refuses_before_the_work_as_well(folder, tmp_path):
    model = api.load_model(folder / "tiny.safetensors")
    first, second = folder / "first.nii.gz", folder / "second.nii.gz"
    (tmp_path / "file").touch()
    more = {"modality": None, "threads": 1}
    with pytest.raises(UserError, match="cannot be run"):
        api.register_scans(model, first, second, program=tmp_path / "file", folder=tmp_path / "out", **more)
    with pytest.raises(OutputFileError, match="expected a folder"):
        api.embed_scans(model, [first], folder=tmp_path / "file", modality=None)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_scan_that_the_network_refuses_is_named(folder, capsys, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise UserError("a volume of (2, 3, 3) voxels (z, y, x) is smaller than one cell of (2, 4, 4)")

    monkeypatch.setattr(StoreEmbedder, "embed", refuse)
    scan = folder / "first.nii.gz"
    said = refusal_of(capsys, ["embed", scan, *model_of(folder), "--output", tmp_path])
    assert f"error: {scan}: a volume of (2, 3, 3) voxels" in said


# What register leaves


@pytest.fixture
def registration(binary, folder, monkeypatch):
    """Make two scans count as registered: the start moves by (10, -20, 30) mm, and nothing is deformed."""
    fixed, moving = (read_volume(folder / f"{name}.nii.gz") for name in ("first", "second"))
    matrix = np.eye(4)
    matrix[:3, 3] = (10.0, -20.0, 30.0)
    start = GuidedStart(
        status="found",
        reason="",
        matrix=matrix,
        num_queries=9,
        num_kept=9,
        num_inliers=9,
        confidence=1.0,
        median_residual_mm=1.0,
    )
    affine = fixed.affine.copy()
    field = DisplacementField(np.zeros((*fixed.shape, 3), np.float32), affine)
    found = api.ScanRegistration(start, field, fixed, moving, program=binary)
    monkeypatch.setattr(api, "register_scans", lambda *_, **__: found)
    return found


def register_arguments(folder, tmp_path, *more):
    program = tmp_path / "deeds"
    program.write_text("#!/bin/sh\necho deeds 0.2.0\n", encoding="utf-8")
    program.chmod(0o755)
    scans = [folder / "first.nii.gz", folder / "second.nii.gz"]
    return ["register", *scans, *model_of(folder), "--deeds", program, "--output", tmp_path / "out", *more]


@pytest.mark.usefixtures("registration")
def test_two_registrations_at_once_into_one_folder_are_refused(folder, tmp_path, capsys):
    """Each would read the images and fields that the other has written there for deeds."""
    refused = []
    with held_folder(tmp_path / "out"):
        arguments = register_arguments(folder, tmp_path)
        thread = threading.Thread(target=lambda: refused.append(refusal_of(capsys, arguments)))
        thread.start()
        thread.join()
    assert "out: another command is writing into it" in refused[0]
    assert not (tmp_path / "out").exists()


NAMES = ("lesion 1, left", 'two\nlines; "x"', "far")


@pytest.mark.slow
@pytest.mark.parametrize(("side", "sign"), [("fixed", 1.0), ("moving", -1.0)])
@pytest.mark.usefixtures("registration")
def test_register_carries_points_of_any_name_and_says_what_lies_outside(folder, tmp_path, capsys, side, sign):
    scan = folder / ("first.nii.gz" if side == "fixed" else "second.nii.gz")
    inside = points_in(scan, count=2)
    points = [*inside, inside[0] + [5000.0, 0.0, 0.0]]
    with (tmp_path / "points.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = [[*map(repr, map(float, point)), name] for point, name in zip(points, NAMES, strict=True)]
        csv.writer(stream).writerows([["x_mm", "y_mm", "z_mm", "name"], *rows, ["", "", "", "never placed"]])
    arguments = register_arguments(folder, tmp_path, "--points", tmp_path / "points.csv", "--points-of", side)
    found, notes = output_of(capsys, arguments)
    assert found["status"] == "found"
    assert found["remarks"] == notes
    assert [note.split(": ")[-1].split(scan.name)[0] for note in notes] == [
        "the point 'never placed' is left out, line 6 gives it no position",
        f"the point 'far' lies outside {scan.parent}/",
    ]
    with (tmp_path / "out" / "points.csv").open(newline="", encoding="utf-8") as stream:
        header, *table = csv.reader(stream)
    assert header == ["x_mm", "y_mm", "z_mm", "name", "doubt_mm", "decision", "reason"]
    assert [row[3] for row in table] == list(NAMES)
    carried = np.array([[float(cell) for cell in row[:3]] for row in table])
    np.testing.assert_allclose(carried, np.array(points) + sign * np.array([10.0, -20.0, 30.0]), atol=2e-6)
    other = nibabel.load(folder / ("second.nii.gz" if side == "fixed" else "first.nii.gz"))
    voxels = nibabel.affines.apply_affine(np.linalg.inv(other.affine), carried)
    is_shown = np.all((voxels >= -0.5) & (voxels <= np.array(other.shape) - 0.5), axis=1)
    assert not is_shown[2]
    assert [row[4:6] for row in table] == [["", "unknown" if shown else "out_of_view"] for shown in is_shown]


def test_what_was_registered_is_kept_when_the_image_cannot_be_written(folder, tmp_path, capsys, registration):
    (tmp_path / "out" / "warped.nii.gz").mkdir(parents=True)
    assert "warped.nii.gz: is a folder" in refusal_of(capsys, register_arguments(folder, tmp_path))
    output = tmp_path / "out"
    kept = sorted(path.name for path in output.iterdir() if path.is_file())
    assert kept == ["displacement_field.nii.gz", "forward.h5", "inverse.h5", "start.json"]
    start = json.loads((output / "start.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose(start["matrix"], registration.start.matrix)
    forward = SimpleITK.ReadTransform(str(output / "forward.h5"))
    np.testing.assert_allclose(forward.TransformPoint((0.0, 0.0, 0.0)), (-10.0, 20.0, 30.0), atol=1e-6)


# Labels


@pytest.mark.slow
def test_a_label_outside_the_scan_is_left_out_and_said(folder, tmp_path, capsys):
    scan = read_volume(folder / "first.nii.gz")
    labels = np.zeros((60, *scan.shape[1:]), np.uint8)
    labels[30:40, 16:26, 16:26] = 1  # on a grid that begins 14 voxels before the scan: its voxels 16 to 25
    labels[4:8, 18:26, 18:26] = 2  # its voxels -10 to -7
    affine = scan.affine.copy()
    affine[:3, 3] -= 14 * scan.affine[:3, 0]
    write_volume(Volume(labels, affine), tmp_path / "labels.nii.gz")
    arguments = ["propagate", *model_of(folder), "--labels", tmp_path / "labels.nii.gz"]
    arguments += ["--from", stored(folder, "first"), "--to", stored(folder, "second")]
    found, notes = output_of(capsys, [*arguments, "--output", tmp_path / "carried.nii.gz"])
    by_label = {row["label"]: row for row in found["labels"]}
    assert (by_label[1]["outside_share"], by_label[2]["outside_share"]) == (0.0, 1.0)
    assert by_label[2]["decision"] == "failed"
    assert found["remarks"] == notes
    assert notes[-1] == "label 2 is left out, all of it lies outside the scan that it belongs to"
    assert 2 not in read_volume(tmp_path / "carried.nii.gz", require_contrast=False).array
