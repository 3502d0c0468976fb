"""The verb `view`."""

import contextlib
from pathlib import Path
from typing import Any

import click

from anatomical_embedding.cli.options import (
    ExistingPath,
    OutputPath,
    checkpoint_option,
    json_option,
    print_json,
    reading_options,
    require_outputs,
    say_remarks,
)

FEWEST_SCANS = 2


@click.command()
@click.argument("scans", type=ExistingPath, nargs=-1, required=True)
@checkpoint_option
@reading_options
@click.option("--pins", type=OutputPath, help="File (.json) that keeps pinned points between sessions.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; 0 means any free one."
)
@click.option("--open/--no-open", "opens", default=True, help="Open the page in the browser.")
@json_option
def view(
    scans: tuple[Path, ...],
    checkpoint: Path,
    reading: dict[str, Any],
    pins: Path | None,
    port: int,
    opens: bool,
    as_json: bool,
) -> None:
    """Open scans side by side: click a point in one, and the others jump to it.

    The page is served to this machine only, until Ctrl-C.
    """
    from anatomical_embedding.api import load_model, read_scans
    from anatomical_embedding.usage.scans import require_raw
    from anatomical_embedding.viewer.open_session import open_session
    from anatomical_embedding.viewer.server import ViewServer, require_free_port
    from anatomical_embedding.viewer.session import read_pins

    if len(scans) < FEWEST_SCANS:
        raise click.UsageError("expected two or more scans")
    require_outputs(pins)
    read_pins(pins, num_scans=len(scans))
    require_free_port(port)
    model = load_model(checkpoint)
    read = read_scans(model, scans, **reading)
    session = open_session(model, [require_raw(read[path]) for path in scans], pins_path=pins)
    remarks = say_remarks(remark for scan in session.scans for remark in scan.embedded.remarks)
    with ViewServer(session, port=port) as server:
        if as_json:
            print_json({"address": server.address, "remarks": remarks})
        else:
            click.echo(f"{server.address}\nCtrl-C ends it.")
        if opens:
            import webbrowser

            webbrowser.open(server.address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
