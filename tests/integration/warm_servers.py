"""Processes that load libraries once for many runs (snakemake_server.py, warm_python.py), and end with the tests."""

import atexit
import functools
import os
import subprocess
import sys

from anatomical_embedding.code_fingerprint import REPOSITORY


def start_server(name: str, *, python: str = sys.executable) -> subprocess.Popen:
    """Start a module beside this one that serves as long as its input is open."""
    # Libraries take their number of threads when they are loaded; a stage is told its own.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    server = subprocess.Popen(
        [python, "-m", f"{__package__}.{name}"],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    atexit.register(_end, server)
    return server


@functools.cache
def warm_python(python: str = sys.executable) -> str:
    """Return the path of a `python` that runs the modules of this project in processes that need not load libraries.

    Those of another environment, which has its `python`, are the modules that are installed there.
    """
    return start_server("warm_python", python=python).stdout.readline().decode().strip()


def _end(server: subprocess.Popen) -> None:
    server.stdin.close()
    server.wait()
    server.stdout.close()
