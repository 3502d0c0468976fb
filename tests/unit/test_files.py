"""Files and folders that appear whole or not at all."""

import pytest

from anatomical_embedding.files import folder_written_atomically, is_partial, written_atomically


class BrokenError(Exception):
    """What goes wrong while something is written."""


def fill(folder, *names):
    for name in names:
        (folder / name).write_text(name, encoding="utf-8")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_replaces_the_one_before_as_a_whole(tmp_path):
    path = tmp_path / "markups"
    for names in (("a", "b"), ("b", "c")):
        with folder_written_atomically(path) as folder:
            fill(folder, *names)
            assert is_partial(folder)
    assert names_in(path) == ["b", "c"]
    assert names_in(tmp_path) == ["markups"]


def test_a_folder_whose_writing_fails_leaves_the_one_before(tmp_path):
    path = tmp_path / "markups"
    path.mkdir()
    fill(path, "old")
    with pytest.raises(BrokenError), folder_written_atomically(path) as folder:
        fill(folder, "new")
        raise BrokenError
    assert names_in(path) == ["old"]
    assert names_in(tmp_path) == ["markups"]


def test_a_file_is_partial_until_it_is_renamed(tmp_path):
    with written_atomically(tmp_path / "scores.json") as temporary:
        temporary.touch()
        assert is_partial(temporary)
    assert not is_partial(tmp_path / "scores.json")
    assert not is_partial(tmp_path / ".hidden.json")
