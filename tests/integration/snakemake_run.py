"""Runs of Snakemake that need not wait for its start, each with a folder, an environment and modules of its own."""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = Path(__file__).with_name("snakemake_server.py")


def run_snakemake(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Run Snakemake in a folder, as `python -m snakemake` would, and return what it said."""
    with tempfile.TemporaryDirectory() as said:
        stdout, stderr = (Path(said) / name for name in ("stdout", "stderr"))
        order = {
            "folder": str(folder),
            "arguments": arguments,
            "environment": dict(os.environ if environment is None else environment),
            "said": [str(stdout), str(stderr)],
        }
        server = _server()
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        texts = [path.read_text(encoding="utf-8") for path in (stdout, stderr)]
    return subprocess.CompletedProcess(["snakemake", *arguments], code, *texts)


@functools.cache
def _server() -> subprocess.Popen:
    command = [sys.executable, str(SERVER)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
    atexit.register(_end, server)
    return server


def _end(server: subprocess.Popen) -> None:
    server.stdin.close()
    server.wait()
    server.stdout.close()
