"""Parts of libraries that wait are whole for whoever looks at them, from any thread."""

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from anatomical_embedding import late_parts

NUM_THREADS = 4


@pytest.fixture
def late_part(tmp_path, monkeypatch):
    """Return a function that writes a part from its source and imports it, to be loaded late."""
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(late_parts, "PARTS", ("a_late_part",))
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_and_import(source):
        (tmp_path / "a_late_part.py").write_text(source, encoding="utf-8")
        late_parts.leave_for_later()
        return importlib.import_module("a_late_part")

    yield write_and_import
    sys.modules.pop("a_late_part", None)


def test_threads_that_look_at_once_find_the_part_whole(late_part):
    part = late_part("import time\ntime.sleep(0.1)\nvalue = 7\n")
    at_once = Barrier(NUM_THREADS)

    def look(_):
        at_once.wait()
        return part.value

    with ThreadPoolExecutor(NUM_THREADS) as threads:
        assert list(threads.map(look, range(NUM_THREADS))) == [7] * NUM_THREADS


def test_a_part_may_ask_itself_for_names_that_it_lacks(late_part):
    part = late_part("import sys\nhas_value = hasattr(sys.modules[__name__], 'value')\nvalue = 7\n")
    assert (part.has_value, part.value) == (False, 7)
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = part.other


def test_a_part_that_cannot_be_loaded_says_why_each_time(late_part):
    part = late_part("raise OSError('no memory')\n")
    for _ in range(2):
        with pytest.raises(OSError, match="no memory"):
            _ = part.value
