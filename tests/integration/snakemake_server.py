"""Snakemake without its start: a process that has loaded it and its libraries, and does every run in a fork of itself.

Nothing of this project is loaded before the fork: a run imports the sources of the folder that it works in. Its stages
are forks too (warm_python.py).
"""

import json
import os
import shutil
import sys
import traceback
from pathlib import Path

from snakemake.cli import main

from tests.integration import warm_python

LIBRARIES = (
    *("snakemake.api", "snakemake.workflow", "snakemake.report", "snakemake.storage"),
    *("pydantic", "pandas", "yaml", "nibabel", "smart_open", "yte", "docutils.core", "requests", "jinja2"),
)


def serve() -> None:
    """Do the runs that are asked for, one a line, and answer each with its number, then with its exit code."""
    warm_python.load(LIBRARIES)
    python = warm_python.write_python()
    for line in sys.stdin:
        order = json.loads(line)
        if "--dry-run" not in order["arguments"]:
            warm_python.load(warm_python.LIBRARIES)
        process = os.fork()
        if process == 0:
            _run(**order, python=python)
        print(process, flush=True)
        # Not taken away yet: whoever kills a run by its number must not hit another process that got it anew.
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        print("ended", flush=True)
        sys.stdin.readline()
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    shutil.rmtree(python.parent)


def _run(
    folder: str,
    arguments: list[str],
    environment: dict[str, str],
    said: list[str],
    own_session: bool,
    *,
    python: Path,
) -> None:
    """Run Snakemake in this process, with its streams in two files, and end it."""
    if own_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    for stream, path in zip((sys.stdout, sys.stderr), said, strict=True):
        os.dup2(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), stream.fileno())
    code = 1
    try:
        with warm_python.served(python):
            sys.path[0] = folder
            sys.argv = ["snakemake", *arguments]
            sys.executable = str(python)  # which the rules put first on the path
            main(arguments)
    except SystemExit as ended:
        code = ended.code or 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
