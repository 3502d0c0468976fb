"""HTML that cannot be broken by the text in it: everything is escaped unless it was built here."""

from html import escape


class Markup(str):
    """Text that is HTML already, and so is not escaped again."""

    __slots__ = ()


Content = Markup | str | int | float | None
"""What an element may hold; None stands for nothing."""

ELEMENTS_WITHOUT_CONTENT = frozenset({"br", "meta", "col", "line", "circle", "image"})


def element(tag: str, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """Return an HTML or SVG element.

    Parameters
    ----------
    tag : name of the element.
    content : what stands inside; text is escaped, `Markup` is taken as it is.
    attributes : `_` in names becomes `-`, a trailing `_` is dropped (`class_`); True gives an attribute
        without value, False and None leave it out.

    Examples
    --------
    >>> element("td", "a < b", class_="wide", data_value=3)
    '<td class="wide" data-value="3">a &lt; b</td>'
    """
    opening = tag + "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in ELEMENTS_WITHOUT_CONTENT:
        return Markup(f"<{opening}>") if tag in {"br", "meta", "col"} else Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{join(content)}</{tag}>")


def join(content: tuple[Content, ...] | list[Markup]) -> Markup:
    """Return pieces of content one after the other, text escaped."""
    return Markup("".join(part if isinstance(part, Markup) else _escaped(part) for part in content))


def _escaped(part: Content) -> str:
    return "" if part is None else escape(str(part))


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
