"""The server of the page on which a reader confirms answers."""

import re
from typing import Any

from anatomical_embedding.viewer.confirm_session import ConfirmSession
from anatomical_embedding.viewer.page_server import (
    COMMON_FILES,
    HTML,
    NIFTI_TYPE,
    SCRIPT,
    PageHandler,
    PageServer,
)


class ConfirmServer(PageServer):
    """A server of the answers of one patient.

    Parameters
    ----------
    session : what it answers from, and keeps decisions in.
    port : to listen on; 0 for any that is free.

    Raises
    ------
    UserError
        if the port is taken.
    """

    def __init__(self, session: ConfirmSession, *, port: int):
        self.session = session
        super().__init__(_Handler, port=port)


class _Handler(PageHandler):
    server: ConfirmServer
    page_files = COMMON_FILES | {"": ("confirm.html", HTML), "confirm.js": ("confirm.js", SCRIPT)}

    def get(self, path: str) -> bool:
        session = self.server.session
        if path == "session":
            self.send_json(session.overview())
        elif found := re.fullmatch(r"scans/(\d{1,4})", path):
            self.send(session.scan(int(found.group(1))), content_type=NIFTI_TYPE)
        elif found := re.fullmatch(r"masks/(\d{1,4})/(\d{1,5})", path):
            self.send(session.mask(int(found.group(1)), int(found.group(2))), content_type=NIFTI_TYPE)
        else:
            return False
        return True

    def post(self, path: str, request: dict[str, Any]) -> bool:
        if path != "decide":
            return False
        self.send_json(self.server.session.decide(request))
        return True
