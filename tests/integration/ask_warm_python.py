"""What the `python` of a warm process does: it hands over what it was called with, waits, and ends as the other did.

Written into that program as it stands, which starts without packages: it needs the standard library alone.
"""

import json
import os
import signal
import socket
import sys

SOCKET_NAME = "socket"
STREAMS = (0, 1, 2)
WARM = ("workflow_scripts.", "anatomical_embedding.")
"""What the modules begin with whose libraries are loaded; all else is for the real program."""


def ask(real_python: str) -> None:
    """Have a stage or command run by the warm process, and anything else by the real Python."""
    words = sys.argv[1:]
    if words[:1] == ["-u"]:  # as torchrun starts its processes
        del words[0]
    if words[:1] != ["-m"] or not words[1].startswith(WARM):
        os.execv(real_python, [real_python, *sys.argv[1:]])  # noqa: S606
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{sys.argv[0].rpartition('/')[0]}/{SOCKET_NAME}")
        order = {
            "folder": os.getcwd(),  # noqa: PTH109, as pathlib takes half as long to load as all else here
            "module": words[1],
            "arguments": words[2:],
            "environment": dict(os.environ),
        }
        socket.send_fds(connection, [b"\0"], list(STREAMS))
        connection.sendall(json.dumps(order).encode() + b"\n")
        code = int(connection.recv(16))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def receive(connection: socket.socket) -> tuple[dict, list[int]]:
    """Return what was handed over, and the numbers of the streams here."""
    _, streams, _, _ = socket.recv_fds(connection, 1, len(STREAMS))
    with connection.makefile("rb") as sent:
        return json.loads(sent.readline()), streams
