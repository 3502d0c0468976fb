"""Which volumes are registered onto which."""

from collections.abc import Iterable, Mapping
from itertools import permutations

from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.settings.registration import PatientPairsSettings, SplitPairsSettings
from anatomical_embedding.settings.split import Split


def find_pairs(
    volumes: Iterable[RawVolume],
    *,
    splits: Mapping[str, Split],
    settings: PatientPairsSettings | SplitPairsSettings,
) -> list[tuple[str, str]]:
    """Return the ids of fixed and moving volumes, sorted.

    Parameters
    ----------
    volumes : of one data set.
    splits : split of each patient.
    settings : the modalities of each patient's pairs, or all pairs of some splits.
    """
    chosen = [volume for volume in volumes if splits[volume.patient_id] in settings.splits]
    return sorted(
        (fixed.volume_id, moving.volume_id)
        for fixed, moving in permutations(chosen, 2)
        if isinstance(settings, SplitPairsSettings) or _is_pair(fixed, moving, settings=settings)
    )


def _is_pair(fixed: RawVolume, moving: RawVolume, *, settings: PatientPairsSettings) -> bool:
    return (
        fixed.patient_id == moving.patient_id
        and fixed.modality == settings.fixed_modality
        and moving.modality == settings.moving_modality
    )
