"""Which patients train, validate and test."""

from collections.abc import Iterable

from anatomical_embedding.canonical_text import sha256_of_text
from anatomical_embedding.datasets.deeplesion_tracking import annotated_splits
from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.settings.dataset import DatasetSettings, DeepLesionTrackingSettings
from anatomical_embedding.settings.split import Split, SplitSettings


def split_patients(settings: DatasetSettings, raw_volumes: Iterable[RawVolume]) -> dict[str, Split]:
    """Return the split of every patient of a data set: drawn, or given by its annotations.

    Raises
    ------
    UserError
        as `assign_splits` and `annotated_splits`.
    """
    if isinstance(settings, DeepLesionTrackingSettings):
        return annotated_splits(settings)
    return assign_splits((raw.patient_id for raw in raw_volumes), settings=settings.split)


def assign_splits(patient_ids: Iterable[str], *, settings: SplitSettings) -> dict[str, Split]:
    """Return the split of every patient.

    Patients are ranked by the SHA-256 of `seed:patient_id`; the first ones test, the next ones validate, the
    rest train. The rank of a patient depends on no other patient, on no order and on no machine: a patient
    who joins or leaves moves at most one other across each of the two borders.

    Parameters
    ----------
    patient_ids : repeated ids count once.
    settings : sizes and seed.

    Raises
    ------
    SettingsError
        if there are fewer patients than the settings ask for.
    """
    patients = set(patient_ids)
    num_held_out = settings.num_test + settings.num_validation
    if len(patients) < num_held_out:
        raise SettingsError(
            f"split: {settings.num_test} test and {settings.num_validation} validation patients are asked "
            f"for, but the data set has {len(patients)}; ask for fewer or add patients"
        )
    ranked = sorted(patients, key=lambda patient: (sha256_of_text(f"{settings.seed}:{patient}"), patient))
    splits: dict[str, Split] = {}
    for rank, patient in enumerate(ranked):
        if rank < settings.num_test:
            splits[patient] = "test"
        else:
            splits[patient] = "validation" if rank < num_held_out else "train"
    return splits
