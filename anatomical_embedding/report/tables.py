"""Tables of the report: real headers, cells that sort by value, a frame that scrolls on narrow screens."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anatomical_embedding.report.markup import Content, Markup, element


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    content : what it shows.
    sort_value : what it sorts by; None sorts by the text.
    is_number : set flush right.
    """

    content: Content
    sort_value: float | None = None
    is_number: bool = False


def number_cell(value: float, text: Content) -> Cell:
    """Return the cell of a number."""
    return Cell(text, sort_value=value, is_number=True)


def known_cell(value: float | None, write: Callable[[float], str]) -> Cell:
    """Return the cell of a number that may be missing, None or NaN: it is empty then."""
    if value is None or math.isnan(value):
        return Cell("", is_number=True)
    return number_cell(value, write(value))


def render_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    caption: str,
    row_classes: Sequence[str | None] | None = None,
) -> Markup:
    """Return a table whose columns sort at a click; the first cell of a row is its header.

    Parameters
    ----------
    headers : names of the columns.
    rows : cells, one for each header.
    caption : what the table shows.
    row_classes : CSS class of each row.
    """
    is_number = [bool(rows) and cell.is_number for cell in (rows[0] if rows else [])]
    head = [
        element(
            "th", element("button", text, type="button"), scope="col", class_="number" if number else None
        )
        for text, number in zip(headers, is_number or [False] * len(headers), strict=True)
    ]
    body = [
        element(
            "tr", *[_cell(cell, is_row_header=index == 0) for index, cell in enumerate(row)], class_=row_class
        )
        for row, row_class in zip(rows, row_classes or [None] * len(rows), strict=True)
    ]
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *head)),
        element("tbody", *body),
        class_="sortable",
    )
    return element("div", table, class_="scroll", role="region", aria_label=caption, tabindex=0)


def _cell(cell: Cell, *, is_row_header: bool) -> Markup:
    return element(
        "th" if is_row_header else "td",
        cell.content,
        scope="row" if is_row_header else None,
        class_="number" if cell.is_number else None,
        data_value=cell.sort_value,
    )
