"""What serves a page: loopback only, a token in every path, nothing but the page's files and what its subclass answers.

A request must come by a name of this machine (Host header, which stops a foreign page that renames itself to this
address) and know the token, which only the printed address holds. Paths are compared with a fixed list and never
become file names.
"""

import json
import secrets
import socket
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from anatomical_embedding.errors import UserError

LOOPBACK = "127.0.0.1"
MOST_REQUEST_BYTES = 2**22
HTML, STYLE, SCRIPT = (f"text/{kind}; charset=utf-8" for kind in ("html", "css", "javascript"))
COMMON_FILES = {
    "page.css": ("page.css", STYLE),
    "scans.js": ("scans.js", SCRIPT),
    "niivue.js": ("niivue.js.gz", SCRIPT),
}
"""Path -> file of the package and its type."""
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


class PageServer(ThreadingHTTPServer):
    """A server of one page.

    Parameters
    ----------
    handler : answers the requests of the page.
    port : to listen on; 0 for any that is free.

    Raises
    ------
    UserError
        if the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, handler: "type[PageHandler]", *, port: int):
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((LOOPBACK, port), handler)
        except OSError as error:
            raise _taken(port, error) from error

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"


class PageHandler(BaseHTTPRequestHandler):
    """Checks each request and hands its path below the token to `get`, or its content to `post`."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    page_files: Mapping[str, tuple[str, str]] = COMMON_FILES

    def get(self, path: str) -> bool:
        """Answer a request and return True, or return False where there is no such page, as here beside the files."""
        return False

    def post(self, path: str, request: dict[str, Any]) -> bool:
        """Answer a request in JSON and return True, or return False where there is no such page, as here."""
        return False

    def do_GET(self) -> None:
        """Answer a GET request."""
        self._respond(self._get)

    def do_POST(self) -> None:
        """Answer a POST request."""
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
            self.send_json({"error": str(error)}, status=HTTPStatus.BAD_REQUEST)
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
        if path in self.page_files:
            self._send_page_file(path)
        elif not self.get(path):
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")

    def _post(self, path: str) -> None:
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
        if not self.post(path, request):
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")

    def _send_page_file(self, path: str) -> None:
        name, content_type = self.page_files[path]
        content = files("anatomical_embedding.viewer").joinpath("page", name).read_bytes()
        encoding = {"Content-Encoding": "gzip"} if name.endswith(".gz") else {}
        self.send(content, content_type=content_type, headers=encoding)

    def send_json(self, content: Any, *, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Answer in JSON."""
        self.send(json.dumps(content).encode("utf-8"), content_type=JSON_TYPE, status=status)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True  # a body that was not read would be taken for the next request
        self.send_json({"error": reason}, status=status)

    def send(
        self,
        content: bytes,
        *,
        content_type: str,
        status: HTTPStatus = HTTPStatus.OK,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer with bytes of a type."""
        self.send_response(status)
        common = {"Content-Type": content_type, "Content-Length": str(len(content))}
        for name, value in (common | SECURITY_HEADERS | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
