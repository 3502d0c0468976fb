"""The verb `score`."""

from pathlib import Path

import click

from anatomical_embedding.cli.options import (
    ExistingFile,
    OutputPath,
    json_option,
    print_json,
    require_outputs,
)


@click.command(short_help="Score predictions of tracked lesions.")
@click.option(
    "--annotations", type=ExistingFile, required=True, help="Annotations of Deep Lesion Tracking (JSON)."
)
@click.option(
    "--predictions", type=ExistingFile, required=True, help="Predictions: JSON, or CSV with a column pair_id."
)
@click.option("--output", type=OutputPath, required=True, help="Scores to write (JSON).")
@click.option("--compare", type=ExistingFile, help="Second file of predictions, for a paired test.")
@click.option(
    "--volumes",
    type=ExistingFile,
    help="Affines of the annotation grids (CSV), needed for predictions in world mm.",
)
@click.option(
    "--count-missing-as-failed",
    is_flag=True,
    help="Count missing predictions as failed; default: refuse them.",
)
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
    """Score predictions of tracked lesions under every published definition, as the workflow does."""
    from anatomical_embedding.evaluation.lesions.referee import NUM_DRAWS, SEED, score_files
    from anatomical_embedding.files import write_json

    require_outputs(output)
    scored = score_files(
        annotations,
        predictions,
        compare_path=compare,
        frames_path=volumes,
        set_aside_path=None,
        count_missing_as_failed=count_missing_as_failed,
        num_draws=NUM_DRAWS,
        seed=SEED,
    )
    write_json(output, scored.scores)
    if as_json:
        print_json(scored.scores)
    else:
        click.echo("\n".join(scored.lines))
