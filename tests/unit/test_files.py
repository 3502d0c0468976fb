"""Files and folders that appear whole or not at all."""

import os
import threading
from pathlib import Path

import pytest

from anatomical_embedding.errors import OutputFileError
from anatomical_embedding.files import (
    folder_written_atomically,
    held_folder,
    is_partial,
    require_writable_file,
    require_writable_folder,
    written_atomically,
)


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


# Places that cannot be written to


def unwritable(tmp_path):
    """Return places where no file can be made, root or not, and why."""
    (tmp_path / "file").write_text("a file", encoding="utf-8")
    return [
        (tmp_path / "file" / "a.txt", "Not a directory"),
        (tmp_path / "file" / "new" / "a.txt", "Not a directory"),
        (tmp_path / ("x" * 300), "File name too long"),
        (tmp_path / "new" / ("x" * 300) / "a.txt", "File name too long"),
        (Path("/proc/self/fd/a.txt"), "cannot be written"),
        (Path("/proc/self/new/a.txt"), "cannot be written"),
    ]


def test_what_cannot_be_written_is_told_before_and_leaves_nothing(tmp_path):
    for path, reason in unwritable(tmp_path):
        for require in (require_writable_file, require_writable_folder):
            with pytest.raises(OutputFileError, match=reason) as caught:
                require(path)
            assert str(caught.value).startswith(str(path))
        with pytest.raises(OutputFileError, match=reason), written_atomically(path):
            pytest.fail("nothing should be written")
    assert names_in(tmp_path) == ["file", "new"]  # made by the writing that failed
    assert names_in(tmp_path / "new") == []


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path):
    (tmp_path / "file").touch()
    for write in (require_writable_file, lambda path: written_atomically(path).__enter__()):
        with pytest.raises(OutputFileError, match="is a folder, expected the name of a file"):
            write(tmp_path)
    with pytest.raises(OutputFileError, match="is a file, expected a folder"):
        require_writable_folder(tmp_path / "file")
    with (
        pytest.raises(OutputFileError, match="Not a directory"),
        folder_written_atomically(tmp_path / "file/a"),
    ):
        pytest.fail("nothing should be written")


def test_a_place_that_can_be_written_stays_as_it_is(tmp_path):
    (tmp_path / "a.txt").write_text("before", encoding="utf-8")
    for path in (tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "new" / "deep" / "c.txt"):
        require_writable_file(path)
        require_writable_folder(path.parent)
    assert names_in(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "before"


@pytest.mark.parametrize("umask", [0o022, 0o007, 0o077], ids=oct)
def test_files_are_readable_as_the_umask_says(tmp_path, umask):
    before = os.umask(umask)
    try:
        with written_atomically(tmp_path / "a.txt") as temporary:
            temporary.touch(mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_share_that_sets_its_own_permissions_is_written(tmp_path, monkeypatch):
    """On a mounted share files may belong to another user, so that their mode cannot be changed."""

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    with written_atomically(tmp_path / "a.txt") as temporary:
        os.close(os.open(temporary, os.O_CREAT, 0o600))
    assert names_in(tmp_path) == ["a.txt"]


# Folders that one command at a time writes


def elsewhere(work):
    """Run some work as another command would, in another thread, and return what it raised."""
    raised = []

    def run():
        try:
            work()
        except OutputFileError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised


def hold(path, **options):
    with held_folder(path, **options):
        pass


def test_a_folder_is_held_by_one_command_at_a_time(tmp_path):
    path = tmp_path / "made" / "here"
    with held_folder(path), held_folder(path):  # a command and the library that it calls
        (error,) = elsewhere(lambda: hold(path))
        assert "here: another command is writing into it" in str(error)
        assert elsewhere(lambda: hold(tmp_path)) == []
    assert not (tmp_path / "made").exists()
    path.mkdir(parents=True)
    assert elsewhere(lambda: hold(path)) == []
    assert path.exists()


def test_a_held_folder_is_waited_for_where_that_is_asked(tmp_path):
    order = []

    def wait():
        with held_folder(tmp_path, waits=True):
            order.append("second")

    with held_folder(tmp_path):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(timeout=0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert tmp_path.exists()


def test_what_was_written_into_a_held_folder_stays(tmp_path):
    with held_folder(tmp_path / "made"):
        fill(tmp_path / "made", "a")
    assert names_in(tmp_path / "made") == ["a"]
