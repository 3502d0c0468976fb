"""The server of the click-to-match page: answers between the given scans, and the list of pinned points."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from anatomical_embedding.errors import UserError
from anatomical_embedding.viewer.exports import pins_csv, pins_markups
from anatomical_embedding.viewer.page_server import (
    COMMON_FILES,
    HTML,
    JSON_TYPE,
    NIFTI_TYPE,
    SCRIPT,
    PageHandler,
    PageServer,
)
from anatomical_embedding.viewer.session import Session
from anatomical_embedding.volumes.nifti import nifti_bytes


class ViewServer(PageServer):
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

    def __init__(self, session: Session, *, port: int):
        self.session = session
        super().__init__(_Handler, port=port)


class _Handler(PageHandler):
    server: ViewServer
    page_files = COMMON_FILES | {
        "": ("index.html", HTML),
        "page.js": ("page.js", SCRIPT),
        "circles.js": ("circles.js", SCRIPT),
    }

    def get(self, path: str) -> bool:
        session = self.server.session
        if path == "session":
            self.send_json(session.overview())
        elif path == "pins":
            self.send_json({"pins": session.pins})
        elif path == "pins.csv":
            names = [scan.embedded.name for scan in session.scans]
            self.send(pins_csv(session.pins, names), content_type="text/csv; charset=utf-8")
        elif path == "similarity":
            self.send(nifti_bytes(session.similarity(self._query()), compress=True), content_type=NIFTI_TYPE)
        elif (number := self._scan_number(r"scans/(\d+)", path)) is not None:
            self.send(session.scans[number].content(), content_type=NIFTI_TYPE)
        elif (number := self._scan_number(r"pins-(\d+)\.mrk\.json", path)) is not None:
            self.send(pins_markups(session.pins, scan=number), content_type=JSON_TYPE)
        else:
            return False
        return True

    def post(self, path: str, request: dict[str, Any]) -> bool:
        session = self.server.session
        if path == "match":
            self.send_json(session.match(request))
        elif path == "alternatives":
            self.send_json(session.alternatives(request))
        elif path == "pins":
            session.set_pins(request.get("pins"))
            self.send_json({"pins": session.pins})
        else:
            return False
        return True

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
