"""What is wrong with the input of a verb is refused before the work."""

import socket

import numpy as np
import pytest

from anatomical_embedding import api
from anatomical_embedding.embedding.export import StoreEmbedder
from anatomical_embedding.errors import OutputFileError, UserError
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.command import refusal_of
from tests.scans_and_stores import (
    POINT_MM,
    fixture_folder,  # noqa: F401
    model_of,
    stored,
)


@pytest.fixture
def no_work(monkeypatch):
    """Make the network refuse to work: what must be told before it is asked must not reach it."""

    def embed(*_, **__):
        raise AssertionError("a scan was embedded before the input was refused")

    monkeypatch.setattr(StoreEmbedder, "embed", embed)


def write_inputs(tmp_path, scan):
    """Write files of which each is wrong in one way, or right beside them: tables, programs and labels of a scan."""
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
    for name, fill, shift in (("labels", 1, 0.0), ("empty", 0, 0.0), ("lost", 1, 5000.0)):
        array = np.zeros(scan.shape, np.uint8)
        array[20:24, 20:24, 20:24] = fill
        affine = scan.affine.copy()
        affine[0, 3] += shift
        write_volume(Volume(array, affine), tmp_path / f"{name}.nii.gz")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "notes.txt").write_text("no scan", encoding="utf-8")


def refused_at_once(folder, tmp_path):
    """Return, by name, arguments that are wrong and what the line must say."""
    first, second, model = folder / "first.nii.gz", folder / "second.nii.gz", model_of(folder)
    write_inputs(tmp_path, read_volume(first))
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
