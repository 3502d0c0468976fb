"""The verb `settings`."""

from pathlib import Path

import click

from anatomical_embedding.cli.options import ExistingFile


@click.command()
@click.argument("run_files", type=ExistingFile, nargs=-1, required=True, metavar="RUN_FILE...")
def settings(run_files: tuple[Path, ...]) -> None:
    """Print every setting of a run: what its run file says, and what it leaves to recipes.

    Several run files are combined as `snakemake --configfile FILE FILE` combines them. The text is a run file itself,
    which names no recipe.
    """
    import yaml

    from anatomical_embedding.settings.pipeline import read_pipeline_settings
    from anatomical_embedding.settings.run_file import read_run_files

    whole = read_pipeline_settings(read_run_files(run_files)).model_dump(mode="json")
    click.echo(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=120), nl=False)
