"""The verb `view`."""

import contextlib
import getpass
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anatomical_embedding.cli.options import (
    ExistingFile,
    ExistingPath,
    OutputPath,
    json_option,
    load_libraries,
    print_json,
    reading_options,
    require_outputs,
    say_remarks,
)

if TYPE_CHECKING:
    from anatomical_embedding.viewer.page_server import PageServer

FEWEST_SCANS = 2


@click.command(short_help="Open scans side by side and click to match.")
@click.argument("scans", type=ExistingPath, nargs=-1)
@click.option(
    "--checkpoint",
    type=ExistingFile,
    help="Model to use: model.safetensors of a run, or of `import`; not needed with --follow.",
)
@reading_options
@click.option("--pins", type=OutputPath, help="File (.json) to keep pinned points in between sessions.")
@click.option(
    "--follow",
    "followed",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Confirm the answers in a folder that `follow` wrote, least sure first, instead of matching scans.",
)
@click.option("--reader", help="With --follow: your name, kept with each decision; default: your login name.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; 0 means any free one."
)
@click.option(
    "--open/--no-open",
    "opens",
    default=True,
    help="Open the page in the browser (default), or only print its address.",
)
@json_option
def view(
    scans: tuple[Path, ...],
    checkpoint: Path | None,
    reading: dict[str, Any],
    pins: Path | None,
    followed: Path | None,
    reader: str | None,
    port: int,
    opens: bool,
    as_json: bool,
) -> None:
    """Open two or more SCANS side by side in the browser: click a point in one, and the others jump to the match.

    With --follow FOLDER the page shows the lesions of a followed patient instead, one answer after the other, to
    accept, move or reject. The page is served to this machine only; Ctrl-C ends it.
    """
    if followed is not None:
        if scans or checkpoint or pins:
            raise click.UsageError(
                "--follow takes its scans from the folder; leave out SCANS, --checkpoint and --pins"
            )
        _confirm(followed, reader=reader, port=port, opens=opens, as_json=as_json)
        return
    if reader is not None:
        raise click.UsageError("--reader belongs to --follow")
    if len(scans) < FEWEST_SCANS:
        raise click.UsageError("expected two or more scans")
    if checkpoint is None:
        raise click.UsageError("Missing option '--checkpoint'.")
    _match(scans, checkpoint, reading=reading, pins=pins, port=port, opens=opens, as_json=as_json)


def _match(
    scans: tuple[Path, ...],
    checkpoint: Path,
    *,
    reading: dict[str, Any],
    pins: Path | None,
    port: int,
    opens: bool,
    as_json: bool,
) -> None:
    load_libraries()
    from anatomical_embedding.api import load_model, read_scans
    from anatomical_embedding.usage.refinement import remarks_on_program, remarks_on_registration
    from anatomical_embedding.usage.scans import require_raw
    from anatomical_embedding.viewer.open_session import open_session
    from anatomical_embedding.viewer.page_server import require_free_port
    from anatomical_embedding.viewer.server import ViewServer
    from anatomical_embedding.viewer.session import read_pins

    require_outputs(pins)
    read_pins(pins, num_scans=len(scans))
    require_free_port(port)
    model = load_model(checkpoint)
    read = read_scans(model, scans, **reading)
    session = open_session(model, [require_raw(read[path]) for path in scans], pins_path=pins)
    shown = [scan.embedded for scan in session.scans]
    remarks = say_remarks(
        [
            *remarks_on_program(model, shown[0], shown[1:], None),
            *(remark for scan in shown for remark in scan.remarks),
            *(remark for pair in permutations(shown, 2) for remark in remarks_on_registration(*pair)),
        ]
    )
    with ViewServer(session, port=port) as server:
        _serve(server, remarks=remarks, opens=opens, as_json=as_json)


def _confirm(folder: Path, *, reader: str | None, port: int, opens: bool, as_json: bool) -> None:
    from anatomical_embedding.files import require_writable_file
    from anatomical_embedding.follow.follow_folder import FollowFolder
    from anatomical_embedding.viewer.confirm_server import ConfirmServer
    from anatomical_embedding.viewer.confirm_session import ConfirmSession
    from anatomical_embedding.viewer.page_server import require_free_port

    require_free_port(port)
    require_writable_file(FollowFolder(folder).decisions)
    session = ConfirmSession(folder, reader=reader or getpass.getuser())
    with ConfirmServer(session, port=port) as server:
        _serve(server, remarks=[], opens=opens, as_json=as_json)


def _serve(server: "PageServer", *, remarks: list[str], opens: bool, as_json: bool) -> None:
    """Serve a page until Ctrl-C."""
    if as_json:
        print_json({"address": server.address, "remarks": remarks})
    else:
        click.echo(f"{server.address}\nCtrl-C ends it.")
    if opens:
        import webbrowser

        webbrowser.open(server.address)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
