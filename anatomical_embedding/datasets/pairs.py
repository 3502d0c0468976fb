"""Which volumes of a patient are registered onto which."""

from collections.abc import Iterable, Mapping

from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.datasets.split import Split
from anatomical_embedding.settings.registration import PatientPairsSettings


def patient_pairs(
    volumes: Iterable[RawVolume], *, splits: Mapping[str, Split], settings: PatientPairsSettings
) -> list[tuple[str, str]]:
    """Return the ids of fixed and moving volumes, every one with every one of the same patient, sorted.

    Parameters
    ----------
    volumes : of one data set.
    splits : split of each patient.
    settings : modalities and splits.
    """
    chosen = [volume for volume in volumes if splits[volume.patient_id] in settings.splits]
    return sorted(
        (fixed.volume_id, moving.volume_id)
        for fixed in chosen
        for moving in chosen
        if fixed.patient_id == moving.patient_id
        and fixed.modality == settings.fixed_modality
        and moving.modality == settings.moving_modality
    )
