"""The page's server: this machine and its token only, nothing but the page and the given scans."""

import dataclasses
import http.client
import json
import threading
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest

from anatomical_embedding import api
from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.viewer.open_session import open_session, quick_to_search
from anatomical_embedding.viewer.server import ViewServer
from anatomical_embedding.viewer.session import Session, ShownScan, highest_peaks
from anatomical_embedding.volumes.affine import transform_points
from benchmarks.view_latency import click, make_session
from tests.confidences import confidence_of
from tests.packaged_model import points_in, write_model, write_two_scans


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_model(folder)
    write_two_scans(folder)
    (folder / "secret.txt").write_text("secret", encoding="utf-8")
    return folder


def session_of(folder):
    scans = [folder / "first.nii.gz", folder / "second.nii.gz"]
    model = api.load_model(folder / "tiny.safetensors")
    return open_session(model, [api.read_scan(model, scan) for scan in scans], pins_path=folder / "pins.json")


@pytest.mark.parametrize(("refinement", "num_registered"), [("voxel", 2), ("parabolic", 0)])
def test_scans_are_registered_both_ways_where_they_move_answers(
    folder, monkeypatch, refinement, num_registered
):
    model = api.load_model(folder / "tiny.safetensors")
    usage = model.card.usage
    matching = usage.matching.model_copy(update={"refinement": refinement})
    card = model.card.model_copy(update={"usage": usage.model_copy(update={"matching": matching})})
    asked = []
    monkeypatch.setattr(
        api.EmbeddedScan, "registered_to", lambda *pair, **_: asked.append([scan.name for scan in pair])
    )
    scans = [api.read_scan(model, folder / f"{name}.nii.gz") for name in ("first", "second")]
    open_session(replace(model, card=card), scans, pins_path=None)
    assert len(asked) == num_registered
    assert [name[::-1] for name in asked[::-1]] == asked


@pytest.fixture(scope="module")
def server(folder):
    with ViewServer(session_of(folder), port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def request(server, path, *, token=None, body=None, headers=None):
    """Return status, headers and content of one request, its path below the token as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    kind = {"Content-Type": "application/json"} if body is not None else {}
    target = f"/{server.token if token is None else token}/{path}"
    method = "GET" if body is None else "POST"
    connection.request(method, target, body=body, headers=kind | (headers or {}))
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def asked(server, path, content):
    status, _, answer = request(server, path, body=json.dumps(content))
    return status, json.loads(answer)


def test_it_listens_on_loopback_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    assert urlsplit(server.address).hostname == "127.0.0.1"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "localhost:1", ""])
def test_another_host_is_refused(server, host):
    status, _, content = request(server, "session", headers={"Host": host})
    assert status == 403
    assert b"on this machine only" in content


def test_localhost_is_this_machine(server):
    assert request(server, "session", headers={"Host": f"localhost:{server.server_port}"})[0] == 200


@pytest.mark.parametrize("token", ["", "x", "../session", "%2e%2e"])
def test_without_the_token_there_is_nothing(server, token):
    status, _, content = request(server, "session", token=token)
    assert status == 403
    assert b"first" not in content


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "..%2fsecret.txt",
        "scans/../secret.txt",
        "scans/2",
        "scans/-1",
        "scans/0/../../secret.txt",
        "page.css/../../secret.txt",
        "secret.txt",
        "%2e%2e/secret.txt",
        "pins-7.mrk.json",
    ],
)
def test_nothing_but_the_page_and_the_scans_is_served(server, path):
    status, _, content = request(server, path)
    assert status in (403, 404)
    assert b"secret" not in content.replace(path.encode(), b"")


def test_page_and_scans_are_served_with_a_strict_policy(server, folder):
    for path in ("", "page.css", "page.js", "scans.js", "niivue.js"):
        status, headers, content = request(server, path)
        assert status == 200 and content
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
    status, _, content = request(server, "scans/1")
    assert content == (folder / "second.nii.gz").read_bytes()


@pytest.mark.slow
def test_answers_are_those_of_the_library(server, folder):
    model = api.load_model(folder / "tiny.safetensors")
    first, second = (
        api.embed_scan(model, folder / f"{name}.nii.gz", modality=None) for name in ("first", "second")
    )
    for point in points_in(folder / "first.nii.gz", count=3):
        status, content = asked(server, "match", {"from": 0, "point": point.tolist()})
        assert status == 200
        (answer,) = content["answers"]
        expected = api.match_points(model, first, second, point)
        assert answer["scan"] == 1
        np.testing.assert_allclose(answer["point"], expected.points_mm[0], atol=1e-6)
        assert answer["similarity"] == pytest.approx(float(expected.similarity[0]), abs=1e-6)


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("match", {"from": 5, "point": [0, 0, 0]}, "expected the number of a scan from 0 to 1, got 5"),
        ("match", {"from": 0, "point": [0, 0]}, "expected a point of three numbers"),
        ("match", {"from": 0, "point": ["a", 0, 0]}, "expected a point of three numbers"),
        ("match", [], "not a JSON object"),
        ("pins", {"pins": [{"number": 1}]}, "expected pinned points with one entry for each of 2 scans"),
    ],
)
def test_wrong_questions_are_named(server, path, content, message):
    status, answer = asked(server, path, content)
    assert status == 400
    assert message in answer["error"]


def test_a_form_of_another_page_cannot_post(server):
    body = json.dumps({"from": 0, "point": [0, 0, 0]})
    status, _, _ = request(server, "match", body=body, headers={"Content-Type": "text/plain"})
    assert status == 400


def test_pins_are_kept_and_exported(server, folder):
    point = points_in(folder / "first.nii.gz", count=1)[0].tolist()
    numbers = {"similarity": None, "confidence": 0.875, "radius_50_mm": 2.0, "radius_90_mm": 6.25}
    entry = {"point": point, "decision": "found", **numbers, "corrected": False}
    other = {"point": None, "decision": "failed", **dict.fromkeys(numbers), "corrected": False}
    pin = {"number": 1, "name": '=cmd,"x', "from": 0, "points": [entry, other]}
    assert asked(server, "pins", {"pins": [pin]})[1] == {"pins": [pin]}
    assert session_of(folder).pins == [pin]
    rows = request(server, "pins.csv")[2].decode().splitlines()
    assert rows[0].startswith("name,scan,x_mm") and len(rows) == 3
    markups = json.loads(request(server, "pins-0.mrk.json")[2])
    (shown,) = markups["markups"][0]["controlPoints"]
    assert shown["description"] == "found, 88 % sure, 50 % within 2.0 mm, 90 % within 6.2 mm"
    assert asked(server, "pins", {"pins": []})[1] == {"pins": []}


def test_a_file_that_holds_no_pins_is_refused_and_stays(folder):
    path = folder / "pins.json"
    before = path.read_text(encoding="utf-8")
    path.write_text('{"pins": [{"number": 1}]}', encoding="utf-8")
    with pytest.raises(InputFileError, match=r"pins\.json: is not a list of pinned points"):
        session_of(folder)
    assert path.read_text(encoding="utf-8") == '{"pins": [{"number": 1}]}'
    path.write_text(before, encoding="utf-8")


@pytest.mark.slow
def test_a_scan_that_went_away_is_named(folder, tmp_path):
    session = session_of(folder)
    first = session.scans[0]
    gone = ShownScan(replace(first.raw, path=tmp_path / "gone.nii.gz"), first.embedded)
    model = api.load_model(folder / "tiny.safetensors")
    with ViewServer(Session(model, [gone, session.scans[1]], pins_path=None), port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        status, _, content = request(server, "scans/0")
        server.shutdown()
        thread.join()
    assert status == 400
    assert "gone.nii.gz: can no longer be read" in json.loads(content)["error"]


@pytest.mark.slow
def test_large_scans_are_searched_by_the_pruned_search(folder, monkeypatch):
    """With so many candidates that it finds what the exact one does."""
    scans = [scan.embedded for scan in session_of(folder).scans]
    model = api.load_model(folder / "tiny.safetensors")
    usage = model.card.usage
    many = usage.matching.model_copy(update={"num_candidates": 5000})
    scans = [dataclasses.replace(scan, matching=many) for scan in scans]
    assert [scan.matching.search for scan in quick_to_search(scans)] == ["exact", "exact"]
    monkeypatch.setattr("anatomical_embedding.viewer.open_session.MOST_CELLS_SEARCHED_EXACTLY", 10)
    quick = quick_to_search(scans)
    assert [scan.matching.search for scan in quick] == ["pruned", "pruned"]
    asked_mm = points_in(folder / "first.nii.gz", count=8)
    found, expected = (api.match_points(model, *pair, asked_mm) for pair in (quick, scans))
    np.testing.assert_allclose(found.points_mm, expected.points_mm, atol=1e-3)


@pytest.mark.slow
def test_a_click_is_answered_within_200_ms(tmp_path):
    """Scans of the size of the demo's; the quietest of five rounds, since others may keep the machine busy."""
    session = make_session(tmp_path, (96, 72, 96), num_channels=64)
    points_mm = np.random.default_rng(0).uniform(30.0, 110.0, (40, 3))
    with ViewServer(session, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        click(server.address, points_mm[:2])  # what is made once is made now
        rounds = [np.percentile(click(server.address, points_mm), 95) for _ in range(5)]
        server.shutdown()
        thread.join()
    assert min(rounds) < 0.2


def test_a_point_in_the_air_has_no_confidence(folder):
    model = api.load_model(folder / "tiny.safetensors")
    fitted = confidence_of()
    model = dataclasses.replace(model, card=model.card.model_copy(update={"confidence": {"nearest": fitted}}))
    first, second = (scan.embedded for scan in session_of(folder).scans)
    inside = points_in(folder / "first.nii.gz", count=1)[0]
    last = np.array([first.embedded.shape]) - 1
    corner = transform_points(first.embedded.affine, last)[0]
    answers = api.match_points(model, first, second, [inside, corner, inside + 5000.0])
    assert answers.reason[1] == "the point lies outside the body"
    # The logistic function of 1 by hand.
    np.testing.assert_allclose(answers.confidence, [0.7310586, np.nan, np.nan], atol=1e-6)
    # e^2 - 1 by hand.
    np.testing.assert_allclose(answers.radius_90_mm, [6.3890561, np.nan, np.nan], atol=1e-6)
    assert answers.decision == ("review", "review", "failed")


def test_a_taken_port_is_refused(server, folder):
    with pytest.raises(UserError, match=f"--port {server.server_port}: cannot listen there"):
        ViewServer(server.session, port=server.server_port)


def test_peaks_are_the_highest_places_apart_from_each_other():
    similarity = np.zeros((20, 20, 20), np.float32)
    similarity[3, 3, 3], similarity[4, 4, 4], similarity[15, 3, 3] = 1.0, 0.9, 0.5
    cells, values = highest_peaks(similarity, distance_cells=3)
    assert cells[:2].tolist() == [[3, 3, 3], [15, 3, 3]]
    assert values[:2].tolist() == [1.0, 0.5]
