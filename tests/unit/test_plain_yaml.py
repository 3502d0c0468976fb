"""Run files whose keys or values YAML takes for something else are refused with their line."""

import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.plain_yaml import read_plain_yaml


def read(folder, text):
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return read_plain_yaml(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("datasets: {}\nmodels: {}\ndatasets: {a: 1}\n", "line 3: has the key datasets of line 1 again"),
        ("split:\n  seed: 1\n  num_test: 2\n  seed: 2\n", "line 4: has the key seed of line 2 again"),
        ("pairs: [[a, {b: 1, b: 2}]]\n", "line 1: has the key b of line 1 again"),
        ("series: 012\n", "line 1: 012 is read as 10; put it in quotes, or write that number"),
        ("a: 1\nseries: {012: 4}\n", "line 2: 012 is read as 10"),
        ("pairs:\n- [011, b]\n", "line 2: 011 is read as 9"),
        ("series: 1:30\n", "line 1: 1:30 is read as 90"),
        ("scale: 1:30.5\n", "line 1: 1:30.5 is read as 90.5"),
        ("series: 1_2\n", "line 1: 1_2 is read as 12"),
        ("series: 0x1f\n", "line 1: 0x1f is read as 31"),
        ("results: 2026-01-02\n", "line 1: 2026-01-02 is read as a date; put it in quotes"),
        ("datasets: {on: {}}\n", "line 1: has a key that is not read as text; put it in quotes"),
        ("? [a, b]\n: 1\n", "line 1: has a key that is not read as text"),
        ("a: [\n", "is not YAML"),
    ],
)
def test_what_is_read_otherwise_is_refused(tmp_path, text, problem):
    with pytest.raises(InputFileError, match=r"run\.yaml: ") as caught:
        read(tmp_path, text)
    assert str(caught.value).split(": ", 1)[1].startswith(problem)


def test_what_is_read_as_it_looks_is_taken(tmp_path):
    text = "base: &base {seed: 1, x: 2}\nother: {<<: *base, x: +3}\n12: {'012': 4, '2026-01-02': 08}\nrate: 1e-3\n"
    assert read(tmp_path, text) == {
        "base": {"seed": 1, "x": 2},
        "other": {"seed": 1, "x": 3},
        12: {"012": 4, "2026-01-02": "08"},
        "rate": "1e-3",
    }
    assert read(tmp_path, "") is None
