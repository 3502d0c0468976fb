"""The verb `score`."""

from pathlib import Path

import click

from anatomical_embedding.cli.options import ExistingFile, OutputPath, json_option, require_outputs


@click.command()
@click.option(
    "--annotations", type=ExistingFile, required=True, help="Deep Lesion Tracking annotations (JSON)."
)
@click.option("--predictions", type=ExistingFile, required=True, help="Predictions: JSON, or CSV by pair_id.")
@click.option("--output", type=OutputPath, required=True, help="Scores to write (JSON).")
@click.option("--compare", type=ExistingFile, help="Second file of predictions, for a paired test.")
@click.option(
    "--volumes", type=ExistingFile, help="Affines of the annotation grids (CSV), for answers in world mm."
)
@click.option("--count-missing-as-failed", is_flag=True, help="Count missing predictions as failed.")
@json_option
def score(
    annotations: Path,
    predictions: Path,
    output: Path,
    compare: Path | None,
    volumes: Path | None,
    count_missing_as_failed: bool,
    as_json: bool,
) -> None:
    """Score tracked lesions under every published definition; the referee of the workflow."""
    import contextlib
    import io

    from workflow_scripts import score_tracking

    require_outputs(output)
    arguments = ["--annotations", annotations, "--predictions", predictions, "--output", output]
    for name, path in (("--compare", compare), ("--volumes", volumes)):
        arguments += [] if path is None else [name, path]
    flags = ["--count-missing-as-failed"] if count_missing_as_failed else []
    lines = io.StringIO()
    with contextlib.redirect_stdout(lines):
        score_tracking.main([*map(str, arguments), *flags])
    click.echo(output.read_text(encoding="utf-8") if as_json else lines.getvalue(), nl=False)
