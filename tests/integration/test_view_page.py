"""The click-to-match page in a real browser: clicks are answered as the library answers, pins are kept and exported."""

import csv
import json
import shutil
import threading
from urllib.parse import urlsplit

import numpy as np
import pytest

from anatomical_embedding import api
from anatomical_embedding.viewer.open_session import open_session
from anatomical_embedding.viewer.server import ViewServer
from tests.packaged_model import write_model, write_two_scans

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SOFTWARE_GRAPHICS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
NUM_CLICKS = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("view")
    write_model(folder)
    write_two_scans(folder)
    return folder


@pytest.fixture(scope="module")
def scans(folder):
    model = api.load_model(folder / "tiny.safetensors")
    return model, [
        api.embed_scan(model, folder / f"{name}.nii.gz", modality=None) for name in ("first", "second")
    ]


@pytest.fixture(scope="module")
def server(folder):
    model = api.load_model(folder / "tiny.safetensors")
    paths = [folder / "first.nii.gz", folder / "second.nii.gz"]
    session = open_session(model, paths, modality=None, pins_path=folder / "pins.json")
    with ViewServer(session, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


class Watched:
    """A page that notes what goes wrong, where requests go, and what was asked and answered."""

    def __init__(self, page):
        self.page = page
        self.errors, self.hosts, self.matches = [], set(), []
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "request",
            lambda request: self.hosts.add(urlsplit(request.url).hostname or urlsplit(request.url).scheme),
        )
        page.on("response", self._note)

    def _note(self, response):
        if response.url.endswith("/match"):
            self.matches.append((json.loads(response.request.post_data), response))

    def _note_host(self, address):
        self.hosts.add(address.hostname or address.scheme)

    def open(self, address):
        """Open the page and wait until its scans are shown."""
        self.page.goto(address)
        self.page.wait_for_selector("body[data-ready=true]", timeout=60_000)

    def answered(self, number):
        """Wait for the answer of that number."""
        self.page.wait_for_selector(f"body[data-answered='{number}']", timeout=20_000)


@pytest.fixture
def watched():
    if CHROMIUM is None:
        pytest.skip("needs Chromium, which is not on the path")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE_GRAPHICS)
        yield Watched(browser.new_page(viewport={"width": 1280, "height": 800}))
        browser.close()


def test_clicks_pins_corrections_and_exports(watched, server, scans):
    page = watched.page
    watched.open(server.address)
    box = page.locator("#scan-0").bounding_box()
    places = np.random.default_rng(0).uniform((0.22, 0.12), (0.36, 0.42), (NUM_CLICKS, 2))
    for number, (across, down) in enumerate(places, start=1):
        page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
        watched.answered(number)
    assert len(watched.matches) == NUM_CLICKS
    model, (first, second) = scans
    for asked, response in watched.matches:
        (answer,) = response.json()["answers"]
        expected = api.match_points(model, first, second, asked["point"])
        if answer["point"] is None:
            assert expected.decision[0] == "failed"
        else:
            np.testing.assert_allclose(answer["point"], expected.points_mm[0], atol=1e-6)
    last = watched.matches[-1][1].json()["answers"][0]["point"]
    shown = page.locator(".view").nth(1).locator(".answer").inner_text()
    assert shown.startswith(", ".join(f"{value:.1f}" for value in last))
    assert float(page.locator("body").get_attribute("data-milliseconds")) < 2000

    page.keyboard.press("p")
    page.wait_for_selector("#pins tbody tr")
    page.get_by_role("button", name="Correct point 1").click()
    other = page.locator("#scan-1").bounding_box()
    page.mouse.click(other["x"] + 0.28 * other["width"], other["y"] + 0.25 * other["height"])
    page.get_by_role("button", name="Done point 1").click()
    page.wait_for_selector("td .corrected")

    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text(encoding="utf-8").splitlines()))
    assert [row["scan"] for row in rows] == ["first", "second"]
    assert rows[1]["corrected"] == "True"
    with page.expect_download() as download:
        page.get_by_role("link", name="Slicer markups of second").click()
    markups = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert len(markups["markups"][0]["controlPoints"]) == 1

    page.reload()
    page.wait_for_selector("body[data-ready=true]", timeout=60_000)
    assert page.locator("#pins tbody tr").count() == 1
    assert watched.errors == []
    assert watched.hosts <= {"127.0.0.1", "blob", "data"}


def test_keys_move_the_crosshair_and_the_similarity_is_shown(watched, server):
    page = watched.page
    watched.open(server.address)
    page.locator("#scan-0").focus()
    page.keyboard.press("ArrowLeft")
    watched.answered(1)
    page.keyboard.press("2")
    assert page.locator("#window").input_value() == "lung"
    with page.expect_response(lambda response: "similarity" in response.url) as shown:
        page.keyboard.press("s")
    assert shown.value.ok
    assert page.locator("#scan-0").get_attribute("aria-label").startswith("Slices of first")
    assert watched.errors == []
