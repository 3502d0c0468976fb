"""Run files without what YAML 1.1 takes for something else in silence: a key twice, 012 for 10, a date, `on` for true.

Snakemake reads run files by itself. These rules are stricter than its own: a file which passes means the same to both.
"""

from pathlib import Path
from typing import Any

import yaml

from anatomical_embedding.errors import InputFileError

TEXT, INTEGER, FLOAT, DATE, MERGE = (
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "timestamp", "merge")
)


def read_plain_yaml(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises
    ------
    InputFileError
        if it cannot be read or is no YAML; naming the line of a key that stands there twice or is no text, and of a
        value that is read as another number than it looks like, or as a date.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _require_plain(root, path=path)
        return yaml.safe_load(text)
    except OSError as error:
        raise InputFileError(path, f"cannot be read ({error.strerror}); name a run file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputFileError(path, f"is not YAML ({' '.join(str(error).split())}); correct it") from error


def _require_plain(root: yaml.Node, *, path: Path) -> None:
    """Refuse a document with a part that means something else than it looks like."""
    waiting, looked_at = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in looked_at:  # an anchor that is named again
            continue
        looked_at.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _require_plain_keys(node, path=path)
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif problem := _problem_of(node):
            raise InputFileError(path, f"line {_line(node)}: {problem}")


def _require_plain_keys(node: yaml.MappingNode, *, path: Path) -> None:
    first: dict[str, int] = {}
    for key, _ in node.value:
        if key.tag == MERGE:
            continue
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (TEXT, INTEGER):
            raise InputFileError(
                path, f"line {_line(key)}: has a key that is not read as text; put it in quotes"
            )
        if key.value in first:
            raise InputFileError(
                path,
                f"line {_line(key)}: has the key {key.value} of line {first[key.value]} again; keep one of the two",
            )
        first[key.value] = _line(key)


def _problem_of(node: yaml.ScalarNode) -> str:
    """Return what is wrong with a scalar; empty where nothing is."""
    if node.tag == DATE:
        return f"{node.value} is read as a date; put it in quotes"
    if node.tag == INTEGER and node.value.lstrip("+") != str(yaml.safe_load(node.value)):
        return f"{node.value} is read as {yaml.safe_load(node.value)}; put it in quotes, or write that number"
    if node.tag == FLOAT and set(node.value) & {":", "_"}:
        return (
            f"{node.value} is read as {yaml.safe_load(node.value):g}; put it in quotes, or write that number"
        )
    return ""


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
