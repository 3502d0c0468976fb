"""The page's server: loopback only, a token in every path, nothing but the page and the given scans.

A request must come by a name of this machine (Host header, which stops a foreign page that renames itself to this
address) and know the token, which only the printed address holds. Paths are compared with a fixed list and never
become file names.
"""

import json
import re
import secrets
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from anatomical_embedding.errors import UserError
from anatomical_embedding.viewer.exports import pins_csv, pins_markups
from anatomical_embedding.viewer.session import Session
from anatomical_embedding.volumes.nifti import nifti_bytes

LOOPBACK = "127.0.0.1"
MOST_REQUEST_BYTES = 2**22
PAGE_FILES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "circles.js": ("circles.js", "text/javascript; charset=utf-8"),
    "niivue.js": ("niivue.js.gz", "text/javascript; charset=utf-8"),
}
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self' data: blob:; worker-src 'self' blob:; font-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
JSON_TYPE, NIFTI_TYPE = "application/json", "application/octet-stream"


def require_free_port(port: int) -> None:
    """Refuse a port that another program listens on, before work is done for the page.

    Raises
    ------
    UserError
        if the port is taken.
    """
    try:
        with socket.create_server((LOOPBACK, port), reuse_port=False):
            pass
    except OSError as error:
        raise _taken(port, error) from error


def _taken(port: int, error: OSError) -> UserError:
    return UserError(
        f"--port {port}: cannot listen there ({error.strerror}); choose another port, or 0 for any free one"
    )


class ViewServer(ThreadingHTTPServer):
    """A server of one session.

    Parameters
    ----------
    session : what it answers from.
    port : to listen on; 0 for any that is free.

    Raises
    ------
    UserError
        if the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, session: Session, *, port: int):
        self.session = session
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise _taken(port, error) from error

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    server: ViewServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._respond(self._get)

    def do_POST(self) -> None:
        self._respond(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal quiet: the page tells what went wrong."""

    def _respond(self, act: Any) -> None:
        try:
            path = self._checked_path()
            if path is None:
                return
            act(path)
        except UserError as error:
            self._send_json({"error": str(error)}, status=HTTPStatus.BAD_REQUEST)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _checked_path(self) -> str | None:
        """Return the path below the token, or refuse the request and return None."""
        names = {f"{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")}
        if self.headers.get("Host") not in names:
            self._refuse(HTTPStatus.FORBIDDEN, "this server answers on this machine only")
            return None
        token, separator, path = urlsplit(self.path).path.removeprefix("/").partition("/")
        if not separator or not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "open the address that the command printed, with its token")
            return None
        return path

    def _get(self, path: str) -> None:
        session = self.server.session
        if path in PAGE_FILES:
            self._send_page_file(path)
        elif path == "session":
            self._send_json(session.overview())
        elif path == "pins":
            self._send_json({"pins": session.pins})
        elif path == "pins.csv":
            names = [scan.embedded.name for scan in session.scans]
            self._send(pins_csv(session.pins, names), content_type="text/csv; charset=utf-8")
        elif path == "similarity":
            self._send(nifti_bytes(session.similarity(self._query()), compress=True), content_type=NIFTI_TYPE)
        elif (number := self._scan_number(r"scans/(\d+)", path)) is not None:
            self._send(session.scans[number].content(), content_type=NIFTI_TYPE)
        elif (number := self._scan_number(r"pins-(\d+)\.mrk\.json", path)) is not None:
            self._send(pins_markups(session.pins, scan=number), content_type=JSON_TYPE)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")

    def _post(self, path: str) -> None:
        session = self.server.session
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Content-Type") != JSON_TYPE or not 0 < length <= MOST_REQUEST_BYTES:
            self._refuse(HTTPStatus.BAD_REQUEST, "expected a request in JSON of at most 4 MB")
            return
        try:
            request = json.loads(self.rfile.read(length))
        except ValueError as error:
            raise UserError(f"the request is not JSON ({error})") from error
        if not isinstance(request, dict):
            raise UserError("the request is not a JSON object")
        if path == "match":
            self._send_json(session.match(request))
        elif path == "alternatives":
            self._send_json(session.alternatives(request))
        elif path == "pins":
            session.set_pins(request.get("pins"))
            self._send_json({"pins": session.pins})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")

    def _query(self) -> dict[str, Any]:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        try:
            return {
                "from": int(query["from"]),
                "to": int(query["to"]),
                "point": [float(number) for number in query["point"].split(",")],
            }
        except (KeyError, ValueError) as error:
            raise UserError(f"expected from, to and point, got {query}") from error

    def _scan_number(self, pattern: str, path: str) -> int | None:
        found = re.fullmatch(pattern, path)
        number = int(found.group(1)) if found else -1
        return number if 0 <= number < len(self.server.session.scans) else None

    def _send_page_file(self, path: str) -> None:
        name, content_type = PAGE_FILES[path]
        content = files("anatomical_embedding.viewer").joinpath("page", name).read_bytes()
        encoding = {"Content-Encoding": "gzip"} if name.endswith(".gz") else {}
        self._send(content, content_type=content_type, headers=encoding)

    def _send_json(self, content: Any, *, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(content).encode("utf-8"), content_type=JSON_TYPE, status=status)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True  # a body that was not read would be taken for the next request
        self._send_json({"error": reason}, status=status)

    def _send(
        self,
        content: bytes,
        *,
        content_type: str,
        status: HTTPStatus = HTTPStatus.OK,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        common = {"Content-Type": content_type, "Content-Length": str(len(content))}
        for name, value in (common | SECURITY_HEADERS | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
