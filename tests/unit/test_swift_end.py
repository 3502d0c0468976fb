"""A process that leaves its libraries to the system ends as Python would end it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import atexit, sys, threading, time
from anatomical_embedding.swift_end import end_process
class Kept:
    def __del__(self):
        print("taken down", file=sys.stderr)
kept = Kept()
threading.Thread(target=lambda: (time.sleep(0.2), sys.stdout.write("thread "))).start()
atexit.register(lambda: sys.stdout.write("atexit"))
end_process(7)
"""


def test_threads_and_what_was_registered_come_first_and_nothing_is_taken_down():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "thread atexit", "")


def test_a_pool_of_threads_that_waits_for_work_is_ended():
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from anatomical_embedding.swift_end import end_process\n"
        "pool = ThreadPoolExecutor(1)\n"
        "pool.submit(print, 'worked').result()\n"
        "end_process(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "worked\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
@pytest.mark.parametrize(("status", "expected"), [(0, 120), (2, 2)])
def test_lost_output_is_said(monkeypatch, status, expected):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    code = f"from anatomical_embedding.swift_end import end_process; print('lost'); end_process({status})"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == expected
    assert "what was printed could not be written whole" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["settings", "config.yaml"], ["match", "--help"]])
def test_a_command_whose_output_is_lost_says_so_in_one_line(arguments):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "anatomical_embedding.cli.main", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 120
    assert re.fullmatch(r"error: what was printed could not be written whole \(.*\)\n", done.stderr)
