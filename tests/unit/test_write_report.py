"""The whole report: what it shows, that it is sound HTML, and that a real browser has nothing to complain about."""

import json
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from anatomical_embedding.errors import InputFileError, UserError
from tests.report_files import NASTY, settings_of_a_run, write_run
from workflow_scripts import write_report

VOID = {"meta", "br", "col", "link", "img", "input"}
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Collects elements and text, and checks that every element is closed where it should be."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        """Note an element and open it."""
        assert len(dict(attrs)) == len(attrs), f"attribute twice in {tag}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Note an element that closes itself."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        """Close the element that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Note a text."""
        self.texts.append(data)

    def all(self, tag):
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Write a run and its report once; tests only read it."""
    folder = tmp_path_factory.mktemp("run")
    arguments = write_run(folder)
    write_report.main(arguments)
    return folder, arguments


@pytest.fixture(scope="module")
def page(run):
    """Return the parsed report."""
    return Page((run[0] / "report.html").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_all_sections_are_there(page):
    assert [attributes["id"] for attributes in page.all("section")] == [
        "what-ran",
        "examples",
        "scores",
        "distribution",
        "landmarks",
        "worst-cases",
        "failures",
        "learning-curves",
        "stages",
    ]


def test_page_is_small(run):
    assert (run[0] / "report.html").stat().st_size < 5_000_000


def test_page_asks_for_nothing_outside(page):
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in {"src", "href", "xlink:href", "action", "data", "poster"} and value
    ]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses if address != "matches.html")
    assert not page.all("link")
    style = "".join(page.texts)
    assert "@import" not in style
    assert re.search(r"url\((?!#)", style) is None


def test_page_is_accessible(page):
    assert page.all("html")[0]["lang"] == "en"
    for attributes in page.all("svg"):
        assert attributes.get("aria-label") or attributes.get("aria-hidden")
    for attributes in page.all("th"):
        assert attributes["scope"] in {"row", "col"}
    assert len(page.all("caption")) == len(page.all("table"))
    ids = Counter(attributes["id"] for _, attributes in page.elements if attributes.get("id"))
    assert [name for name, count in ids.items() if count > 1] == []


def test_foreign_text_is_shown_and_never_run(run, page):
    text = (run[0] / "report.html").read_text(encoding="utf-8")
    assert text.count("<script>") == 1
    assert 'alert("x")' not in text
    assert sum(NASTY in part for part in page.texts) >= 3  # table of landmarks, reason of failure, captions


def test_scores_stand_trained_first_then_baselines_by_median(run):
    summary = json.loads((run[0] / "summary.json").read_text(encoding="utf-8"))
    assert [entry["method"] for entry in summary] == ["nearest", "ncc", "body_affine", "untrained"]
    assert summary[0] == json.loads((run[0] / "nearest/scores.json").read_text(encoding="utf-8"))
    text = (run[0] / "report.html").read_text(encoding="utf-8")
    assert '<tr class="ours"><th scope="row"><span>nearest, SAM</span>' in text
    assert f"<strong>{summary[0]['median_mm']:.1f}</strong>" in text


def test_six_slices_a_panel_with_all_marks(page):
    labels = [
        attributes["aria-label"]
        for attributes in page.all("svg")
        if "slice" in attributes.get("aria-label", "")
    ]
    assert len(labels) == 6 * (3 + 2)  # three examples and two worst cases
    assert sum("with query" in label for label in labels) == 15
    assert sum("with truth, match" in label for label in labels) == 15


@pytest.fixture(scope="module")
def match_page(run):
    """Return the parsed page of matches."""
    return Page((run[0] / "matches.html").read_text(encoding="utf-8"))


def test_report_leads_to_the_page_of_matches(page):
    assert [attributes["href"] for attributes in page.all("a")] == ["matches.html"]


def test_page_of_matches_shows_the_middling_pair(run, match_page):
    """Of the pairs by their median error, the sixth of twelve, or of eleven with one unanswered query more."""
    errors = pd.read_csv(run[0] / "nearest" / "errors.csv", dtype={"query_id": str})
    medians = errors.groupby(["template_id", "target_id"])["error_mm"].median().sort_values()
    template_id, target_id = medians.index[5]
    buttons = [attributes for attributes in match_page.all("button") if "data-choose" in attributes]
    figures = [attributes for _, attributes in match_page.elements if "data-figure" in attributes]
    assert len(buttons) == len(figures) == 2
    assert [("hidden" in attributes) for attributes in figures] == [False, True]
    captions = [text for text in match_page.texts if text.startswith("Match: ")]
    assert len(captions) == 2
    assert all(f", {template_id} to {target_id}, error " in caption for caption in captions)
    spots = [attributes for attributes in match_page.all("circle") if "spot" in attributes["class"]]
    assert [attributes["data-choose"] for attributes in spots] == ["0", "1"] * 2


def test_page_of_matches_asks_for_nothing_outside_and_runs_no_foreign_text(run, match_page):
    addresses = [
        value
        for _, attributes in match_page.elements
        for name, value in attributes.items()
        if name in {"src", "href"} and value
    ]
    assert addresses and all(address.startswith("data:") for address in addresses)
    text = (run[0] / "matches.html").read_text(encoding="utf-8")
    assert text.count("<script>") == 2 and 'alert("x")' not in text
    assert len(text) < 3_000_000
    for attributes in match_page.all("svg"):
        assert attributes["aria-label"]


def test_report_without_trained_methods_logs_and_benchmarks(run, tmp_path):
    folder = run[0]
    write_report.main(
        [
            *("--scores", f"{folder}/ncc/scores.json", "--errors", f"{folder}/ncc/errors.csv"),
            *("--matches", f"{folder}/ncc/matches.csv", "--queries", f"{folder}/queries.csv"),
            *("--index", f"{folder}/index.csv", "--settings", settings_of_a_run()),
            *("--output", f"{tmp_path}/report.html", "--summary", f"{tmp_path}/summary.json"),
            *("--match-page", f"{tmp_path}/matches.html"),
        ]
    )
    assert "there is nothing to click on" in (tmp_path / "matches.html").read_text(encoding="utf-8")
    bare = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    shown = {attributes["id"] for attributes in bare.all("section")}
    assert shown == {"what-ran", "scores", "distribution", "landmarks", "failures"}
    assert "Every query was answered." in bare.texts


def test_lists_of_different_length_are_refused(run):
    arguments = list(run[1])
    del arguments[arguments.index("--errors") + 1]
    with pytest.raises(UserError, match=r"4 of --scores, 3 of --errors"):
        write_report.main(arguments)


def test_files_of_another_evaluation_are_refused(run, tmp_path):
    folder, arguments = run
    other = tmp_path / "errors.csv"
    lines = (folder / "nearest/errors.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    other.write_text("".join(lines[:-1]), encoding="utf-8")
    arguments = [str(other) if word == f"{folder}/nearest/errors.csv" else word for word in arguments]
    with pytest.raises(InputFileError, match="does not answer the queries of"):
        write_report.main(arguments)


in_a_browser = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium or Chrome installed: the page is not opened in a browser"
)


def what_a_page_logs(page: Path, folder: Path, script: str) -> str:
    """Open a copy of a page with a script at its end in a headless browser; return the one line that it logs."""
    copy = folder / page.name
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    browser = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
    ]
    offline = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    place = ["--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND"]
    opened = [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--dump-dom", copy.as_uri()]
    finished = subprocess.run(
        [*browser, *offline, *place, *opened], capture_output=True, encoding="utf-8", timeout=120, check=True
    )
    lines = [line for line in finished.stderr.splitlines() if "CONSOLE" in line]
    assert len(lines) == 1, lines  # what the test writes, and nothing else: no error, nothing refused
    return lines[0]


@pytest.mark.slow
@in_a_browser
def test_a_browser_opens_the_page_without_complaint_and_sorts_a_table(run, tmp_path):
    script = """
      const button = document.querySelectorAll("#scores thead button")[1];
      const order = () => [...document.querySelectorAll("#scores tbody th span:first-child")].map(e => e.textContent);
      button.click(); const up = order(); button.click(); const down = order();
      console.error("sorted " + JSON.stringify([up, down]));
    """
    line = what_a_page_logs(run[0] / "report.html", tmp_path, script)
    up, down = json.loads(re.search(r"sorted (\[\[.*?\]\])", line)[1])
    assert up == ["nearest, SAM", "intensity correlation (NCC)", "body boxes aligned", "untrained, SAM"]
    assert down == up[::-1]


@pytest.mark.slow
@in_a_browser
def test_a_browser_shows_the_match_of_the_point_that_is_clicked(run, tmp_path):
    script = """
      const shown = () => [...document.querySelectorAll("[data-figure]")].map(e => !e.hidden);
      const first = shown();
      document.querySelectorAll(".spot.query")[1].dispatchEvent(new MouseEvent("click"));
      const second = shown();
      document.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));
      console.error("shown " + JSON.stringify([first, second, shown()]));
    """
    line = what_a_page_logs(run[0] / "matches.html", tmp_path, script)
    assert json.loads(re.search(r"shown (\[\[.*?\]\])", line)[1]) == [
        [True, False],
        [False, True],
        [True, False],
    ]


@pytest.mark.slow
def test_a_scan_that_is_learned_and_tested_is_warned_of_at_the_head_and_in_the_log(run, tmp_path, capsys):
    """The data set of the run is named twice, once with the splits of its volumes turned round."""
    folder, arguments = run
    table = pd.read_csv(folder / "index.csv", dtype=str)
    learned = table.assign(split="train").head(1)
    learned.to_csv(folder / "learned.csv", index=False)
    held_out = table.assign(split="test").head(1)
    held_out.to_csv(folder / "held_out.csv", index=False)
    (volume_id,) = held_out["volume_id"]
    datasets = [f"{name}={folder / name}.csv" for name in ("learned", "held_out")]
    outputs = ["--output", tmp_path / "report.html", "--summary", tmp_path / "summary.json"]
    others = [f"--{name}={tmp_path / name}" for name in ("match-page", "results-table")]
    write_report.main([*arguments, "--datasets", *datasets, *map(str, outputs), *others])
    sentence = (
        f"{volume_id} of held_out (test) is the same scan as {volume_id} of learned, which is trained on"
    )
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"<strong>Warning: {sentence}" in text
    assert text.index("Warning: ") < text.index("queries between")
    assert f"warning: {sentence}" in capsys.readouterr().err
