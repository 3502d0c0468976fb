"""Whether the splits of a run leave its trainings and evaluations what they need, known before a scan is prepared."""

from collections import Counter
from collections.abc import Iterable, Mapping

from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.datasets.split import split_patients
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.settings.model import training_datasets
from anatomical_embedding.settings.pipeline import PipelineSettings

FEWEST_COMPARED = 2
"""Volumes of an evaluation: points of one are sought in the other."""


def check_parts(settings: PipelineSettings, volumes: Mapping[str, Iterable[RawVolume]]) -> None:
    """Refuse splits that leave a training no patient, or an evaluation no pair of volumes.

    Parameters
    ----------
    settings : of the run.
    volumes : data set -> its raw volumes.

    Raises
    ------
    UserError
        naming the keys, also where a data set has fewer patients than its split asks for.
    """
    parts = {name: _part_sizes(settings, name, known) for name, known in volumes.items()}
    for name, model in settings.models.items():
        for dataset in sorted(training_datasets(model)):
            if parts[dataset]["train"] == 0:
                raise SettingsError(
                    f"models.{name} trains on {dataset!r}, of which no patient is left to train on; ask for fewer test "
                    f"and validation patients in datasets.{dataset}.split, or add patients"
                )
    for name, evaluation in settings.evaluations.items():
        num_tested = parts[evaluation.dataset]["test"]
        if num_tested < FEWEST_COMPARED:
            raise SettingsError(
                f"evaluations.{name} compares volumes of test patients, of which {evaluation.dataset!r} has "
                f"{num_tested}; ask for {FEWEST_COMPARED} or more: datasets.{evaluation.dataset}.split.num_test"
            )


def _part_sizes(settings: PipelineSettings, dataset: str, volumes: Iterable[RawVolume]) -> Counter[str]:
    volumes = list(volumes)
    try:
        splits = split_patients(settings.datasets[dataset], volumes)
    except SettingsError as error:
        raise SettingsError(f"datasets.{dataset}.{error}") from None
    return Counter(splits[volume.patient_id] for volume in volumes)
