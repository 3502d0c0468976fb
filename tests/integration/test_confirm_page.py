"""The page on which a reader confirms answers, and the report, in a real browser: by keyboard alone, and offline."""

import csv
import re
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from anatomical_embedding.follow.record_tables import read_decisions, read_lesions, write_lesions
from anatomical_embedding.follow.report_files import write_patient_report
from anatomical_embedding.viewer.confirm_server import ConfirmServer
from anatomical_embedding.viewer.confirm_session import ConfirmSession
from tests.followed_patient import SPACING_MM, Ball, write_followed

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

pytestmark = pytest.mark.slow

NUM_LESIONS, NUM_FOLLOW_UPS = 10, 4
MOVED = re.compile("^moved to ")
OURSELVES = {"127.0.0.1", "data", "blob"}


def many_visits():
    """Return ten lesions at a baseline and their forty answers at four follow-ups, each of its own probability."""
    probabilities = np.random.default_rng(3).permutation(
        np.linspace(0.30, 0.99, NUM_LESIONS * NUM_FOLLOW_UPS)
    )
    centres = [(16 + 14 * (n % 5), 28 + 20 * (n // 5), 6 + 2 * n) for n in range(NUM_LESIONS)]
    visits = {"baseline": {n + 1: Ball(centres[n], 5.0, "given", np.nan) for n in range(NUM_LESIONS)}}
    for visit in range(NUM_FOLLOW_UPS):
        of_visit = probabilities[visit * NUM_LESIONS :]
        visits[f"week{8 * (visit + 1)}"] = {
            n + 1: Ball(centres[n], 5.0, "review" if of_visit[n] < 0.5 else "present", float(of_visit[n]))
            for n in range(NUM_LESIONS)
        }
    return visits


@contextmanager
def served(folder):
    with ConfirmServer(ConfirmSession(folder, reader="A. Reader"), port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_forty_answers_are_confirmed_by_keyboard_and_survive_restart_and_rerun(opened, tmp_path):
    watched = opened(viewport={"width": 700, "height": 500})  # drawn by the processor
    place = write_followed(tmp_path / "one", many_visits())
    rows = [row for row in read_lesions(place.lesions) if row.how != "given"]
    expected = sorted(rows, key=lambda row: row.probability)
    assert len(expected) == 40
    page = watched.page
    with served(place.folder) as server:
        watched.open(server.address)
        for number in range(40):
            kind = ("accept", "move", "reject", "accept")[number % 4]
            if kind == "move":
                page.keyboard.press("ArrowUp")
                page.keyboard.press("PageDown")
                playwright.expect(page.locator("#answer-1")).to_have_text(MOVED)
            page.keyboard.press(
                {"accept": "a" if number % 8 else "Enter", "move": "Enter", "reject": "r"}[kind]
            )
            page.wait_for_selector(f"body[data-decided='{number + 1}']", timeout=20_000)
        playwright.expect(page.get_by_role("status")).to_have_text(re.compile("Every answer is decided.$"))
        assert page.locator("#progress").inner_text() == "40 of 40 decided"
    assert watched.errors == [] and watched.hosts <= OURSELVES

    decided = read_decisions(place.decisions)
    assert [(row.lesion, row.visit) for row in decided] == [(row.lesion, row.visit) for row in expected]
    assert [row.action for row in decided] == ["accept", "move", "reject", "accept"] * 10
    assert {row.name for row in decided} == {"A. Reader"}
    for row, answer in zip(decided, expected, strict=True):
        if row.action == "move":  # one voxel to the front, one down
            off_mm = np.array(row.point_mm) - answer.point_mm
            np.testing.assert_allclose(off_mm, [0.0, SPACING_MM[1], -SPACING_MM[2]], atol=1e-3)
        elif row.action == "accept":
            np.testing.assert_allclose(row.point_mm, answer.point_mm, atol=1e-3)

    before = place.decisions.read_bytes()
    write_lesions(read_lesions(place.lesions), place.lesions)  # as a rerun does
    with served(place.folder) as server:
        watched.open(server.address)
        assert page.locator("#status").inner_text() == "Every answer is decided."
        assert page.locator("#answers tbody td:last-child").all_inner_texts()[:3] == [
            "accepted by A. Reader", "moved by A. Reader", "rejected by A. Reader",
        ]  # fmt: skip
        page.keyboard.press("r")
        page.wait_for_selector("body[data-decided='1']", timeout=20_000)
    assert place.decisions.read_bytes().startswith(before)
    last = read_decisions(place.decisions)[-1]
    assert (last.lesion, last.visit, last.action) == (expected[0].lesion, expected[0].visit, "reject")


def test_a_click_moves_the_place_and_escape_puts_it_back(watched, tmp_path):
    place = write_followed(tmp_path / "one")
    page = watched.page
    with served(place.folder) as server:
        watched.open(server.address)
        box = page.locator("#scan-1").bounding_box()
        spot = (box["x"] + 0.25 * box["width"], box["y"] + 0.2 * box["height"])
        page.mouse.click(*spot)
        playwright.expect(page.locator("#answer-1")).to_have_text(MOVED)
        page.keyboard.press("Escape")
        playwright.expect(page.locator("#answer-1")).not_to_have_text(MOVED)
        page.mouse.click(*spot)
        playwright.expect(page.locator("#answer-1")).to_have_text(MOVED)
        shown = page.locator("#answer-1").inner_text().removeprefix("moved to ").split(", Enter")[0]
        page.get_by_role("button", name="Keep it here").click()
        page.wait_for_selector("body[data-decided='1']", timeout=20_000)
        page.keyboard.press("n")
        page.wait_for_selector("body[data-shown='2']")
        page.keyboard.press("m")
        playwright.expect(page.locator("#overlay")).not_to_be_checked()
    (row,) = read_decisions(place.decisions)
    assert (row.lesion, row.visit, row.action) == (2, "week8", "move")  # the least sure one
    np.testing.assert_allclose(row.point_mm, [float(number) for number in shown.split(",")], atol=0.06)
    assert watched.errors == []


def test_a_scan_that_went_away_is_named_and_nothing_is_decided(watched, tmp_path):
    place = write_followed(tmp_path / "one")
    (tmp_path / "one" / "scans" / "week8.nii.gz").unlink()
    with served(place.folder) as server:
        watched.page.goto(server.address)
        watched.page.wait_for_selector("#status.error", timeout=60_000)
        assert "week8.nii.gz" in watched.page.locator("#status").inner_text()
    assert not place.decisions.exists()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_opens_offline_on_every_screen(opened, tmp_path, width):
    folder = write_followed(tmp_path / "one").folder
    write_patient_report(folder)
    watched = opened(viewport={"width": width, "height": 800}, offline=True)
    page = watched.page
    page.goto((folder / "report.html").as_uri())
    assert page.locator(".strip svg").count() == 9
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("button", name="week8").first.click()
    with (folder / "lesions.csv").open(encoding="utf-8", newline="") as stream:
        lesions = {row["lesion"] for row in csv.DictReader(stream)}
    assert page.locator("#table tbody tr").count() == len(lesions)
    assert watched.errors == [] and watched.hosts <= {"file", "data"}
