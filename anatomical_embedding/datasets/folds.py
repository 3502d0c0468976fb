"""Cross-fitting: which training patients a model is trained without, so that its answers in them can be judged."""

from collections.abc import Sequence
from dataclasses import replace

from anatomical_embedding.canonical_text import sha256_of_text
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.index_file import IndexRow
from anatomical_embedding.settings.folds import FoldSettings


def set_fold_aside(rows: Sequence[IndexRow], *, fold: FoldSettings) -> list[IndexRow]:
    """Return the index of a fold: its patients are those of the split `test`, the other ones train.

    Training patients are ranked by the SHA-256 of their name and dealt out in turn, so that folds differ by one
    patient at most. Validation patients, who choose the best weights, stay; test patients are left out.

    Raises
    ------
    SettingsError
        if there are fewer training patients than folds.
    """
    patients = {row.patient_id for row in rows if row.split == "train"}
    if len(patients) < fold.count:
        raise SettingsError(
            f"confidence_folds: is {fold.count}, but there are {len(patients)} training patients; "
            "expected a patient or more in each fold"
        )
    ranked = sorted(patients, key=lambda patient: (sha256_of_text(patient), patient))
    set_aside = set(ranked[fold.number - 1 :: fold.count])
    return [
        replace(row, split="test") if row.patient_id in set_aside else row
        for row in rows
        if row.split != "test"
    ]
