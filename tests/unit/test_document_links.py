"""Links between the documents lead to files and headings that are there."""

import re

import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY

DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), REPOSITORY / "deeds" / "README.md"], key=str
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors_of(text):
    """Return the anchors of a document's headings, as GitHub makes them of their words."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for link in LINK.findall(text):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{link}: no such file"
        if anchor:
            assert anchor in anchors_of(target.read_text(encoding="utf-8")), f"{link}: no such heading"


def test_a_missing_heading_would_be_seen():
    assert anchors_of("# Time and memory\n\n### `match`, cold\n") == {"time-and-memory", "match-cold"}
