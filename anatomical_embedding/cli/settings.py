"""The verb `settings`."""

from pathlib import Path

import click

from anatomical_embedding.cli.options import ExistingFile


@click.command(short_help="Print every setting of a run file.")
@click.argument("run_files", type=ExistingFile, nargs=-1, required=True, metavar="RUN_FILE...")
def settings(run_files: tuple[Path, ...]) -> None:
    """Print every setting of a run: those of its run file, and those that it leaves to recipes.

    Several run files are combined as by `snakemake --configfile FILE FILE`. The output is itself a run file that names
    no recipe; keep it to repeat the run with a later version.
    """
    import yaml

    from anatomical_embedding.errors import SettingsError
    from anatomical_embedding.settings.pipeline import read_pipeline_settings
    from anatomical_embedding.settings.run_file import read_run_files

    try:
        read = read_pipeline_settings(read_run_files(run_files))
    except SettingsError as error:
        names = ", ".join(map(str, run_files))
        raise SettingsError(f"{names}: {error}") from error
    whole = read.model_dump(mode="json")
    click.echo(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=120), nl=False)
