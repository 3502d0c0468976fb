"""Python without its start, for stages and commands: a process that has loaded their libraries runs each in a fork.

Rules call `python -m workflow_scripts.<stage>`. A folder with another `python` comes first on the path: it hands its
words, environment, folder and streams to the warm process, waits for the end of the fork, and ends as the fork did.
Nothing of this project is loaded before the fork: a stage imports the sources of the run's folder. The fork belongs to
the session and the process group of the run, and ends with the `python` that asked for it. That stages start by
themselves is for the runs on a cluster, `make demo` and the tests of single stages to show.
"""

import atexit
import contextlib
import gc
import importlib
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path

from tests.integration.ask_warm_python import SOCKET_NAME, receive

LIBRARIES = (
    *("torch", "torch.export", "torch.distributed", "torch.utils.data", "safetensors.torch"),
    # What a training and a report load late.
    *("torch._dynamo", "monai.transforms", "matplotlib.backends.backend_svg"),
    *("numpy", "pandas", "nibabel", "SimpleITK", "pydicom", "yaml", "psutil"),
    *("pydantic.fields", "pydantic.functional_validators", "pydantic.types"),
    *("scipy.ndimage", "scipy.spatial", "scipy.optimize", "scipy.interpolate", "scipy.stats"),
    *("sklearn.isotonic", "sklearn.linear_model", "sklearn.model_selection", "sklearn.metrics"),
)
SITE_PATH = [path for path in sys.path[1:] if path not in os.environ.get("PYTHONPATH", "").split(os.pathsep)]
"""Where Python finds modules that are neither in its folder nor where the environment says."""
ASK = Path(__file__).with_name("ask_warm_python.py")


def serve() -> None:
    """Say the path of a `python`, and serve it as long as the one who reads that keeps the other end open."""
    load(LIBRARIES)
    program = write_python()
    with served(program):
        print(program, flush=True)
        sys.stdin.read()
    shutil.rmtree(program.parent)


def load(libraries: tuple[str, ...]) -> None:
    """Import modules that the forks will ask for."""
    for name in libraries:
        importlib.import_module(name)
    gc.freeze()  # what the collector looks at is copied in every fork


def write_python() -> Path:
    """Write a `python` in a folder of its own, which asks the warm process of that folder, and return its path."""
    # No TemporaryDirectory, which every fork would remove at its end.
    program = Path(tempfile.mkdtemp(prefix="warm")) / "python"
    program.write_text(
        f"#!{sys.executable} -IS\n{ASK.read_text(encoding='utf-8')}\n\nask({sys.executable!r})\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    return program


@contextlib.contextmanager
def served(program: Path):
    """Serve a `python` from a fork of this process while a run goes on."""
    address = program.with_name(SOCKET_NAME)
    address.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen()
    run_is_over, run_goes_on = os.pipe()
    server = os.fork()
    if server == 0:
        os.close(run_goes_on)
        _serve(listener, run_is_over, program=program)
    listener.close()
    os.close(run_is_over)
    try:
        yield
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


def _serve(listener: socket.socket, run_is_over: int, *, program: Path) -> None:
    """Fork for each question until the run is over, or was killed."""
    while True:
        ready, _, _ = select.select([listener, run_is_over], [], [])
        if run_is_over in ready:
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            os.close(run_is_over)
            _answer(connection, program=program)
        connection.close()
        _take_away_what_has_ended()


def _take_away_what_has_ended() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _answer(connection: socket.socket, *, program: Path) -> None:
    """Run what is asked for in a fork, and answer with its status; end it if the one that asked is gone."""
    order, streams = receive(connection)
    process = os.fork()
    if process == 0:
        connection.close()
        _become(**order, streams=streams, program=program)
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(process)
    ready, _, _ = select.select([connection, ended], [], [])
    if ended not in ready:
        os.kill(process, signal.SIGKILL)  # as abruptly as the other may have ended; no stage catches SIGTERM
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(OSError):
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(
    folder: str,
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    *,
    streams: list[int],
    program: Path,
) -> None:
    """Do what `python -m module` would do, and end."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.executable = str(program)
    sys.path[:] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *SITE_PATH]
    sys.argv = [module, *arguments]
    if "OMP_NUM_THREADS" in environment:  # which the libraries have read already
        sys.modules["torch"].set_num_threads(int(environment["OMP_NUM_THREADS"]))
    os._exit(_exit_code(module))


def _exit_code(module: str) -> int:
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


if __name__ == "__main__":
    serve()
