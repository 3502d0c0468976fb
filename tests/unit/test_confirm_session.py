"""Answers to confirm: their order, what is kept of a decision, and what is refused."""

import datetime
import http.client
import json
import threading

import numpy as np
import pytest

from anatomical_embedding.cli.main import main
from anatomical_embedding.errors import UserError
from anatomical_embedding.follow.record_tables import read_decisions
from anatomical_embedding.viewer.confirm_server import ConfirmServer
from anatomical_embedding.viewer.confirm_session import ConfirmSession
from anatomical_embedding.volumes.nifti import read_volume
from tests.followed_patient import SHAPE, THREE_VISITS, Ball, write_followed

NOON = datetime.datetime(2026, 3, 31, 12, 0, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_followed(tmp_path_factory.mktemp("confirm") / "one").folder


def session_of(folder):
    return ConfirmSession(folder, reader="A. Reader", now=lambda: NOON)


def test_the_least_sure_answer_comes_first_and_one_of_unknown_probability_before_it(tmp_path):
    visits = {name: dict(balls) for name, balls in THREE_VISITS.items()}
    visits["week16"][3] = Ball((55, 52, 22), 0.0, "gone", float("nan"))
    overview = session_of(write_followed(tmp_path / "one", visits).folder).overview()
    names = [visit["name"] for visit in overview["visits"]]
    shown = [
        (answer["lesion"], names[answer["visit"]], answer["probability"]) for answer in overview["answers"]
    ]
    assert shown == [
        (3, "week16", None), (2, "week8", 0.55), (3, "week8", 0.88),
        (1, "week16", 0.93), (1, "week8", 0.97), (2, "week16", 0.99),
    ]  # fmt: skip
    assert json.dumps(overview, allow_nan=False)


def test_an_answer_is_shown_with_the_given_lesion_that_is_nearest_in_time(folder):
    overview = session_of(folder).overview()
    first = overview["answers"][0]
    x, y, z = -30.0, 14.0, -20.0  # of voxel 60, 31, 10
    assert first["point"] == [x, y, z] and first["source"] == 0
    assert first["source_point"] == [-30.0, 16.0, -20.0]
    assert first["size"].startswith("14.0 x 14.0 mm")
    assert overview["answers"][-1]["point"] is None  # out of view
    assert overview["visits"][1]["step_mm"] == [2.0, 2.0, 4.0]


def test_decisions_are_added_line_by_line(tmp_path):
    place = write_followed(tmp_path / "one")
    session = session_of(place.folder)
    session.decide({"lesion": 2, "visit": 1, "action": "accept"})
    session.decide({"lesion": 2, "visit": 1, "action": "move", "point": [-28.0, 14.0, -20.0]})
    answer = session.decide({"lesion": 3, "visit": 1, "action": "reject"})
    assert answer["decision"] == {
        "action": "reject", "name": "A. Reader", "time": "2026-03-31T12:00:00+00:00", "point": None,
    }  # fmt: skip
    lines = place.decisions.read_text(encoding="utf-8").splitlines()
    assert lines == [
        "time,name,lesion,visit,action,x_mm,y_mm,z_mm",
        "2026-03-31T12:00:00+00:00,A. Reader,2,week8,accept,-30,14,-20",
        "2026-03-31T12:00:00+00:00,A. Reader,2,week8,move,-28,14,-20",
        "2026-03-31T12:00:00+00:00,A. Reader,3,week8,reject,,,",
    ]
    again = session_of(place.folder).overview()["answers"][0]["decision"]
    assert (again["action"], again["point"]) == ("move", [-28.0, 14.0, -20.0])


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ({"lesion": 9, "visit": 1, "action": "accept"}, "there is no answer on lesion 9 at visit 1"),
        ({"lesion": 1, "visit": 0, "action": "accept"}, "there is no answer on lesion 1 at visit 0"),
        ({"lesion": 2, "visit": 1, "action": "delete"}, "expected accept, move or reject, got 'delete'"),
        ({"lesion": 2, "visit": 1, "action": "move"}, "expected a point of three numbers in mm, got None"),
        ({"lesion": 2, "visit": 1, "action": "move", "point": [900, 0, 0]}, "lies outside the scan of week8"),
    ],
)
def test_wrong_decisions_are_refused_and_not_kept(folder, request_, problem):
    with pytest.raises(UserError, match=problem):
        session_of(folder).decide(request_)
    assert read_decisions(folder / "decisions.csv") == []


def test_a_patient_without_answers_is_named(tmp_path):
    only = {"baseline": THREE_VISITS["baseline"]}
    with pytest.raises(UserError, match="holds no answer to confirm: every lesion is given"):
        session_of(write_followed(tmp_path / "one", only).folder)


@pytest.mark.slow
def test_a_visit_without_masks_shows_an_empty_one(tmp_path):
    place = write_followed(tmp_path / "one")
    place.mask("week8").unlink()
    (tmp_path / "mask.nii.gz").write_bytes(session_of(place.folder).mask(1, 1))
    mask = read_volume(tmp_path / "mask.nii.gz", require_contrast=False)
    assert mask.shape == SHAPE and not mask.array.any()


def test_the_server_gives_scans_and_masks_and_nothing_else(folder, tmp_path):
    with ConfirmServer(session_of(folder), port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()

        def get(path):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
            connection.request("GET", f"/{server.token}/{path}")
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
            connection.close()
            return status, content

        assert [get(path)[0] for path in ("", "confirm.js", "scans.js", "page.css", "niivue.js")] == [200] * 5
        for name, path in (("scan.nii", "scans/1"), ("mask.nii.gz", "masks/1/2")):
            (tmp_path / name).write_bytes(get(path)[1])
        paths = (
            "pins",
            "scans/../lesions.csv",
            "lesions.csv",
            "masks/1/2/3",
            "decide",
            "page.js",
            "scans/-1",
        )
        assert [get(path)[0] for path in paths] == [404] * len(paths)
        assert get("scans/7") == (400, b'{"error": "there is no visit 7"}')
        server.shutdown()
        thread.join()
    np.testing.assert_array_equal(
        read_volume(tmp_path / "scan.nii").array, read_volume(folder / "scans" / "week8.nii.gz").array
    )
    masks = read_volume(folder / "masks" / "week8.nii.gz").array
    np.testing.assert_array_equal(read_volume(tmp_path / "mask.nii.gz").array, masks == 2)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["view", "--follow", "{folder}", "--pins", "x.json"], "--follow takes its scans from the folder"),
        (["view", "--reader", "x"], "--reader belongs to --follow"),
        (["view", "--follow", "{empty}"], "is not a folder that `follow` wrote (no follow.json)"),
        (["view", "a", "b"], "does not exist"),
    ],
)
def test_the_verb_refuses_what_does_not_go_together(folder, tmp_path, capsys, arguments, problem):
    filled = [each.format(folder=folder, empty=tmp_path) for each in arguments]
    with pytest.raises(SystemExit) as stop:
        main(filled)
    assert stop.value.code == 2
    assert problem in capsys.readouterr().err
