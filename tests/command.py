"""The command `anatomical-embedding`, run inside the process of a test."""

from collections.abc import Iterable
from typing import Any

import pytest

from anatomical_embedding.cli.main import main


def run(arguments: Iterable[Any]) -> int:
    """Run the command and return its exit code."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
        raise SystemExit(0)  # a verb that ends well returns
    return stop.value.code


def refusal_of(capsys: pytest.CaptureFixture[str], arguments: Iterable[Any]) -> str:
    """Run the command, which must refuse its input in one line, and return that line."""
    capsys.readouterr()
    assert run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert "Traceback" not in printed.err
    return lines[-1]


def output_of(capsys: pytest.CaptureFixture[str], arguments: Iterable[Any]) -> str:
    """Run the command, which must end well, and return what it printed."""
    capsys.readouterr()
    code = run(arguments)
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out
