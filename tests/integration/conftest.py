"""The runs that several tests look at, and the browser that they open pages in."""

import os
from pathlib import Path

import pytest

from tests.integration.demo_run import run_demo, set_up_demo
from tests.integration.real_browser import CHROMIUM, SOFTWARE_GRAPHICS, Watched
from tests.integration.tiny_workflow import planned_jobs, set_up, snakemake, turn_into_dicom


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """Return a folder in which the demo has run: the one that the environment names, else a small one of the tests."""
    if named := os.environ.get("ANATOMICAL_EMBEDDING_DEMO"):
        return Path(named)
    folder = tmp_path_factory.mktemp("demo")
    set_up_demo(folder)
    done = run_demo(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """Return the folder of a whole run of seconds, of five scans, one in DICOM; what a test changes there it undoes."""
    folder = tmp_path_factory.mktemp("tiny")
    set_up(folder, num_scans=5)
    turn_into_dicom(folder / "scans" / "scan_3.nii.gz")
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder
    assert planned_jobs(folder) == {}, "a test did not undo what it changed"


@pytest.fixture(scope="module")
def browser():
    """Return a real browser; a test that asks for one skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium, which is not on the path")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE_GRAPHICS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Return a function that opens a page of its own with the settings of a device."""
    contexts = []

    def open_page(**device):
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | device))
        contexts.append(context)
        return Watched(context.new_page())

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def watched(opened):
    """Return a page of its own."""
    return opened()
