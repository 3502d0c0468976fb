"""Runs of Snakemake that need not wait for its start, each with a folder, an environment and modules of its own."""

import json
import os
import select
import subprocess
import tempfile
from pathlib import Path

from tests.integration.warm_servers import start_server

_idle: list[subprocess.Popen] = []


def run_snakemake(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Run Snakemake in a folder, as `python -m snakemake` would, and return what it said."""
    with tempfile.TemporaryDirectory() as said:
        streams = [Path(said) / name for name in ("stdout", "stderr")]
        code = SnakemakeRun(folder, arguments, streams=streams, environment=environment).wait()
        texts = [path.read_text(encoding="utf-8") for path in streams]
    return subprocess.CompletedProcess(["snakemake", *arguments], code, *texts)


class SnakemakeRun:
    """A run of Snakemake that has been started.

    Attributes
    ----------
    pid : number of its process, which is not given anew before `wait` has returned; with a session of its own, that of
        the session too.
    """

    def __init__(
        self,
        folder: Path,
        arguments: tuple[str, ...],
        *,
        streams: list[Path],
        environment: dict[str, str] | None = None,
        own_session: bool = False,
    ):
        self._server = _idle.pop() if _idle else start_server("snakemake_server")
        order = {
            "folder": str(folder),
            "arguments": arguments,
            "environment": dict(os.environ if environment is None else environment),
            "said": list(map(str, streams)),
            "own_session": own_session,
        }
        self._server.stdin.write(json.dumps(order).encode() + b"\n")
        self.pid = int(self._server.stdout.readline())

    def has_ended(self) -> bool:
        """Say whether the run has ended."""
        return bool(select.select([self._server.stdout], [], [], 0)[0])

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, for at most some seconds, and return the exit code; minus the signal that killed it."""
        if not select.select([self._server.stdout], [], [], timeout)[0]:
            raise TimeoutError(f"the run did not end in {timeout} seconds")
        self._server.stdout.readline()
        self._server.stdin.write(b"\n")
        code = int(self._server.stdout.readline())
        _idle.append(self._server)
        return code
