"""Snakemake without its start: a process that has loaded it and its libraries, and does every run in a fork of itself.

Nothing of this project is loaded before the fork: a run imports the sources of the folder that it works in.
"""

import importlib
import json
import os
import sys
import traceback

from snakemake.cli import main

LIBRARIES = (
    *("snakemake.api", "snakemake.workflow", "snakemake.report", "snakemake.storage"),
    *("pydantic", "pandas", "yaml", "nibabel", "smart_open", "yte", "docutils.core", "requests", "jinja2"),
)


def serve() -> None:
    """Do the runs that are asked for, one a line, and answer each with its number, then with its exit code."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            _run(**json.loads(line))
        print(process, flush=True)
        # Not taken away yet: whoever kills a run by its number must not hit another process that got it anew.
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        print("ended", flush=True)
        sys.stdin.readline()
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(
    folder: str, arguments: list[str], environment: dict[str, str], said: list[str], own_session: bool
) -> None:
    """Run Snakemake in this process, with its streams in two files, and end it."""
    if own_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0] = folder
    sys.argv = ["snakemake", *arguments]
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    for stream, path in zip((sys.stdout, sys.stderr), said, strict=True):
        os.dup2(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), stream.fileno())
    code = 1
    try:
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
