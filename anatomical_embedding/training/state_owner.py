"""Who may write a resume state: the training that was started last.

A node that is taken for dead may go on computing while its job already runs elsewhere. Whoever starts takes the
folder over; whoever finds that it has been taken over stops before it writes.
"""

import json
import os
import socket
import uuid
from pathlib import Path

from anatomical_embedding.errors import UserError
from anatomical_embedding.files import PARTIAL, write_json

OWNER_NAME = "owner.json"


class StateOwner:
    """The right to write into a folder of resume states, taken from whoever had it before.

    Parameters
    ----------
    folder : of the states.
    """

    def __init__(self, folder: Path):
        self._path = folder / OWNER_NAME
        self._token = uuid.uuid4().hex
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f".*{PARTIAL}*"):  # of writers that were killed
            leftover.unlink(missing_ok=True)
        write_json(self._path, {"token": self._token, "host": socket.gethostname(), "process": os.getpid()})

    def check(self) -> None:
        """Make sure that no other training has taken over.

        Raises
        ------
        UserError
            naming the training that has.
        """
        try:
            owner = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{self._path}: is gone; another training has finished here, this one stops"
            ) from None
        if owner["token"] != self._token:
            raise UserError(
                f"{self._path}: process {owner['process']} on {owner['host']} trains the same model and was started "
                "later; this one stops"
            )

    def give_up(self) -> None:
        """Leave the folder to nobody."""
        self._path.unlink(missing_ok=True)
