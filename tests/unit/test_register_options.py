"""`register` with a start that is given and files for other programs; nothing is matched, and deeds finds nothing."""

import csv
import hashlib
import json

import numpy as np
import pydicom
import pytest
import SimpleITK

from anatomical_embedding import api
from anatomical_embedding.embedding.export import StoreEmbedder
from anatomical_embedding.errors import UserError
from anatomical_embedding.points.slicer_markups import write_markups
from anatomical_embedding.registration import pair_map
from anatomical_embedding.registration.deformation import Deformation
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.field_doubt import FieldDoubt
from anatomical_embedding.registration.program_files import PROGRAMS
from anatomical_embedding.usage import registration
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.volume import Volume
from tests import command
from tests.packaged_model import write_dicom_series, write_model, write_two_scans

START = "1 0 0 -100\n0 1 0 50\n0 0 1 360\n0 0 0 1\n"
"""Fixed to moving, RAS+ mm."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a model and two scans."""
    folder = tmp_path_factory.mktemp("options")
    write_model(folder)
    write_two_scans(folder)
    return folder


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    """Let the network refuse to work, and the program find no deformation."""

    def embed(*_, **__):
        raise AssertionError("a scan was embedded, though the start is given")

    def deform(_program, fixed, _moving, **_others):
        field = DisplacementField(np.zeros((*fixed.shape, 3), np.float32), fixed.affine)
        return Deformation(field, (slice(0, 1),) * 3)

    monkeypatch.setattr(StoreEmbedder, "embed", embed)
    monkeypatch.setattr(registration, "deform", deform)
    monkeypatch.setattr(pair_map, "inverse_deformation", lambda nothing, *, program: nothing)


@pytest.fixture
def run(folder, tmp_path, monkeypatch):
    """Return what runs `register` with more arguments in the folder of the test, and gives its exit code."""
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "deeds"
    program.write_text("#!/bin/sh\necho deeds 0.2.0\n", encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "start.mat").write_text(START, encoding="utf-8")
    (tmp_path / "far.txt").write_text(START.replace("-100", "9000"), encoding="utf-8")

    def register(*more, scans=None):
        scans = scans or [folder / "first.nii.gz", folder / "second.nii.gz"]
        options = ["--checkpoint", folder / "tiny.safetensors", "--deeds", program]
        return command.run(["register", *scans, *options, "--output", tmp_path / "out", *more])

    return register


@pytest.mark.slow
def test_a_given_start_is_used_without_matching(run, folder, tmp_path):
    assert run("--initial", tmp_path / "start.mat", "--initial-program", "greedy") == 0
    start = json.loads((tmp_path / "out" / "start.json").read_text(encoding="utf-8"))
    assert (start["status"], start["num_queries"]) == ("given", 0)
    for role, name in (("fixed", "first"), ("moving", "second")):
        path = folder / f"{name}.nii.gz"
        scan = read_volume(path)
        assert start["scans"][role]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert start["scans"][role]["shape"] == list(scan.shape)
        np.testing.assert_array_equal(start["scans"][role]["affine"], scan.affine)
    forward = SimpleITK.ReadTransform(str(tmp_path / "out" / "forward.h5"))
    np.testing.assert_allclose(forward.TransformPoint((0.0, 0.0, 0.0)), (100.0, -50.0, 360.0), atol=1e-6)
    again = tmp_path / "out" / "start.json"
    assert run("--initial", again) == 0
    assert json.loads(again.read_text(encoding="utf-8")) == start


def test_files_are_written_for_the_programs_named(run, tmp_path):
    given = ("--initial", tmp_path / "start.mat", "--initial-program", "greedy")
    assert run(*given, "--transforms", "greedy, MRTRIX", "--transforms", "slicer,ants") == 0
    folder = tmp_path / "out"
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    asked = [name for program in ("greedy", "mrtrix", "slicer", "ants") for name in PROGRAMS[program].files]
    always = {"start.json", "displacement_field.nii.gz", "warped.nii.gz"}
    assert written == always | set(asked)
    np.testing.assert_allclose(
        np.loadtxt(folder / "greedy" / "start.mat"), np.loadtxt(tmp_path / "start.mat")
    )


def test_nothing_of_an_earlier_registration_is_left_beside_the_transforms(run, folder, tmp_path, capsys):
    """Points and files for other programs would be taken for those of the scans registered last."""
    given = ("--initial", tmp_path / "start.mat", "--initial-program", "greedy")
    point = read_volume(folder / "first.nii.gz").centre_mm
    (tmp_path / "asked.csv").write_text("x_mm,y_mm,z_mm\n{},{},{}\n".format(*point), encoding="utf-8")
    assert run(*given, "--points", tmp_path / "asked.csv", "--transforms", "greedy") == 0
    (tmp_path / "out" / "notes.txt").write_text("mine", encoding="utf-8")
    capsys.readouterr()
    assert run(*given) == 0
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    always = {"start.json", "displacement_field.nii.gz", "warped.nii.gz", "notes.txt"}
    assert written == always | set(PROGRAMS["itk"].files)
    said = capsys.readouterr().err
    assert "removed what an earlier registration left there: points.csv, " in said
    assert "greedy/start.mat" in said


def test_inputs_that_would_be_written_over_are_refused(run, folder, tmp_path, capsys):
    """What lies in the folder under a name of `register`'s own is removed or written anew."""
    given = ("--initial", tmp_path / "start.mat", "--initial-program", "greedy")
    assert run(*given) == 0
    capsys.readouterr()
    warped = tmp_path / "out" / "warped.nii.gz"
    before = warped.read_bytes()
    assert run(*given, scans=[folder / "first.nii.gz", warped]) == 2
    assert capsys.readouterr().err == (
        f"error: {warped}: is an input and would be overwritten; name another folder for --output\n"
    )
    assert warped.read_bytes() == before
    points = tmp_path / "out" / "points.fcsv"
    points.write_text("# CoordinateSystem = LPS\n", encoding="utf-8")
    assert run(*given, "--points", points) == 2
    assert points.exists()


def test_files_that_no_registration_has_written_are_kept(run, tmp_path, capsys):
    own = tmp_path / "out" / "points.csv"
    own.parent.mkdir()
    own.write_text("mine", encoding="utf-8")
    assert run("--initial", tmp_path / "start.mat", "--initial-program", "greedy") == 2
    assert "would be overwritten, but no registration has written it: start.json" in capsys.readouterr().err
    assert own.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["points.csv", "points.fcsv"])
def test_points_that_were_laid_beside_a_registration_are_kept(run, tmp_path, capsys, name):
    """Its own say the decision on each point."""
    given = ("--initial", tmp_path / "start.mat", "--initial-program", "greedy")
    assert run(*given) == 0
    own = tmp_path / "out" / name
    table = "x_mm,y_mm,z_mm,name\n1,2,3,of a decision\n"
    own.write_text(table, encoding="utf-8")
    capsys.readouterr()
    assert run(*given) == 2
    assert f"{own}: would be overwritten, but no registration has written it" in capsys.readouterr().err
    assert own.read_text(encoding="utf-8") == table


def found_with_agreement(value):
    """Return a stand-in for `deform`: a doubt of the first coordinate in voxels, and images that agree by a value."""

    def deform(_program, fixed, _moving, **_others):
        field = DisplacementField(np.zeros((*fixed.shape, 3), np.float32), fixed.affine)
        doubt = np.indices(fixed.shape, dtype=np.float32)[0]
        agreement = np.full(fixed.shape, value, np.float32)
        maps = FieldDoubt(Volume(doubt, fixed.affine), Volume(agreement, fixed.affine))
        return Deformation(field, (slice(0, 1),) * 3, maps)

    return deform


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_doubt_is_written_as_a_map_and_for_every_point(run, folder, tmp_path, monkeypatch, side):
    """A point of the moving scan is led back to the fixed one, where the doubt is asked."""
    monkeypatch.setattr(registration, "deform", found_with_agreement(0.99))
    fixed = read_volume(folder / "first.nii.gz")
    point = fixed.centre_mm + (0.0 if side == "fixed" else np.array([-100.0, 50.0, 360.0]))
    (tmp_path / "asked.csv").write_text("x_mm,y_mm,z_mm,name\n{},{},{},a\n".format(*point), encoding="utf-8")
    monkeypatch.setattr("anatomical_embedding.cli.register.points_outside", lambda *_, **__: [])
    given = ("--initial", tmp_path / "start.mat", "--initial-program", "greedy")
    assert run(*given, "--points", tmp_path / "asked.csv", "--points-of", side) == 0
    map_of_doubt = read_volume(tmp_path / "out" / "doubt.nii.gz")
    header, row = (tmp_path / "out" / "points.csv").read_text(encoding="utf-8").splitlines()
    assert header == "x_mm,y_mm,z_mm,name,doubt_mm,decision,reason"
    expected = map_of_doubt.voxel_from_world(fixed.centre_mm)[0]
    assert float(row.split(",")[4]) == pytest.approx(expected, abs=0.01)
    assert expected > 1.0


def test_doubt_of_scans_that_hardly_agree_is_not_known(run, folder, tmp_path, monkeypatch, capsys):
    """No map, not even an older one, an empty column, and one line that says why."""
    monkeypatch.setattr(registration, "deform", found_with_agreement(0.9))
    point = read_volume(folder / "first.nii.gz").centre_mm
    (tmp_path / "asked.csv").write_text("x_mm,y_mm,z_mm,name\n{},{},{},a\n".format(*point), encoding="utf-8")
    (tmp_path / "out").mkdir()
    for name in ("start.json", "doubt.nii.gz"):
        (tmp_path / "out" / name).write_bytes(b"older")
    given = ("--initial", tmp_path / "start.mat", "--initial-program", "greedy")
    assert run(*given, "--points", tmp_path / "asked.csv") == 0
    assert not (tmp_path / "out" / "doubt.nii.gz").exists()
    header, row = (tmp_path / "out" / "points.csv").read_text(encoding="utf-8").splitlines()
    assert header.endswith(",doubt_mm,decision,reason")
    assert row.split(",")[3:6] == ["a", "", "unknown"]
    notes = [line for line in capsys.readouterr().err.splitlines() if "no doubt.nii.gz" in line]
    assert len(notes) == 1
    assert notes[0].startswith("note: ")
    assert "local correlation of 0.900; two scans of one patient reach 0.98" in notes[0]


def test_table_json_and_markups_say_the_same_of_a_point(run, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registration, "deform", found_with_agreement(0.99))
    point = read_volume(folder / "first.nii.gz").centre_mm
    write_markups([point], ["a"], tmp_path / "asked.mrk.json")
    given = ("--initial", tmp_path / "start.mat", "--initial-program", "greedy")
    assert run(*given, "--points", tmp_path / "asked.mrk.json", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["points"]
    with (tmp_path / "out" / "points.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    (shown,) = json.loads((tmp_path / "out" / "points.mrk.json").read_text(encoding="utf-8"))["markups"]
    assert told["decision"] == "review"  # more than 10 mm of doubt in the middle, by `found_with_agreement`
    assert row["decision"] == told["decision"]
    assert row["reason"] == told["reason"]
    assert shown["controlPoints"][0]["description"] == f"{told['decision']}: {told['reason']}"
    assert float(row["doubt_mm"]) == pytest.approx(told["doubt_mm"], abs=0.005)
    assert float(row["x_mm"]) == pytest.approx(told["x_mm"], abs=1e-5)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--initial", "start.mat"], "start.mat: is a 4x4 matrix, which FSL writes"),
        (["--initial", "far.txt", "--initial-program", "greedy"], "far.txt: maps no part of"),
        (["--initial-program", "fsl"], "--initial-program: says where the start of --initial comes from"),
        (
            ["--transforms", "ants,nifty"],
            "expected names of itk, ants, elastix, greedy, niftyreg, slicer, mrtrix, nitransforms",
        ),
        (["--transforms", ""], "got ''"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(run, tmp_path, capsys, more, message):
    assert run(*more) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not (tmp_path / "out" / "start.json").exists()


def test_in_python(folder, tmp_path):
    (tmp_path / "start.mat").write_text(START, encoding="utf-8")
    program = tmp_path / "deeds"
    program.write_text("#!/bin/sh\necho deeds 0.2.0\n", encoding="utf-8")
    program.chmod(0o755)
    found = api.register_scans(
        api.load_model(folder / "tiny.safetensors"),
        folder / "first.nii.gz",
        folder / "second.nii.gz",
        folder=tmp_path / "out",
        program=program,
        initial=tmp_path / "start.mat",
        initial_program="niftyreg",
    )
    assert found.start.status == "given"
    api.write_transforms(found, tmp_path / "more", programs=["greedy", "itk", "slicer"])
    assert (tmp_path / "more" / "greedy" / "start.mat").is_file()
    assert (tmp_path / "more" / "forward.h5").is_file()
    with pytest.raises(UserError, match="got 'fsl'"):
        api.write_transforms(found, tmp_path / "more", programs=["fsl"])
    np.testing.assert_array_equal(found.start.matrix[:3, 3], (-100.0, 50.0, 360.0))


def as_series(scan, folder, *, world):
    """Write a scan as a DICOM series of a frame of reference, and return its folder."""
    write_dicom_series(read_volume(scan), folder)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.FrameOfReferenceUID = world
        dataset.save_as(path)
    return folder


@pytest.mark.slow
def test_objects_of_dicom_are_written_of_two_series(run, folder, tmp_path, capsys):
    """The start goes out and comes in again as an object; scans that are no series are refused before work."""
    series = [
        as_series(folder / f"{name}.nii.gz", tmp_path / name, world=f"1.2.826.0.1.3680043.2.1125.{number}")
        for number, name in enumerate(("first", "second"), start=1)
    ]
    given = ("--initial", tmp_path / "start.mat", "--initial-program", "greedy")
    assert run(*given, "--transforms", "dicom", scans=series) == 0
    objects = [tmp_path / "out" / name for name in PROGRAMS["dicom"].files]
    whole, start = map(pydicom.dcmread, objects)
    assert whole.FrameOfReferenceUID == start.FrameOfReferenceUID == "1.2.826.0.1.3680043.2.1125.1"
    assert run("--initial", objects[1], scans=series) == 0
    forward = SimpleITK.ReadTransform(str(tmp_path / "out" / "forward.h5"))
    np.testing.assert_allclose(forward.TransformPoint((0.0, 0.0, 0.0)), (100.0, -50.0, 360.0), atol=1e-6)

    capsys.readouterr()
    assert run(*given, "--transforms", "dicom", scans=[series[0], folder / "second.nii.gz"]) == 2
    assert "--transforms dicom needs two DICOM series, else leave it out: " in capsys.readouterr().err
