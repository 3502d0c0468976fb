"""An HTML file that needs nothing else to open."""

from anatomical_embedding.report.markup import Content, Markup, element
from anatomical_embedding.report.sorting_script import SORTING_SCRIPT
from anatomical_embedding.report.stylesheet import STYLESHEET

NOTHING_FROM_OUTSIDE = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
"""Browsers hold the page to it: no request leaves it."""


def render_document(title: str, *content: Content) -> str:
    """Return the text of an HTML file with a title, in the style of the report, tables sorting at a click."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=NOTHING_FROM_OUTSIDE),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(STYLESHEET)),
    )
    body = element(
        "body",
        element("header", element("h1", title)),
        element("main", *content),
        element("script", Markup(SORTING_SCRIPT)),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"
