"""One scan under two names: found by the checksum of its prepared image, lest it be learned and tested at once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from anatomical_embedding.errors import UserError
from anatomical_embedding.index_file import IndexRow

TRAINING = "train"


def require_separate_splits(rows: Iterable[IndexRow]) -> list[str]:
    """Return a sentence on each scan that a data set holds twice in one split, and refuse it in two splits.

    Raises
    ------
    UserError
        naming the first two volumes that are one scan and lie in different splits.
    """
    remarks = []
    for same in _by_scan(rows).values():
        for first, second in combinations(same, 2):
            if first.split != second.split:
                raise UserError(
                    f"the volumes {first.volume_id!r} ({first.split}) and {second.volume_id!r} ({second.split}) are "
                    "one scan, their images are the same; remove one of them, or name them so that both belong to one "
                    "patient"
                )
            remarks.append(
                f"the volumes {first.volume_id!r} and {second.volume_id!r} ({first.split}) are one scan and count twice"
            )
    return remarks


def learned_and_held_out(indices: Mapping[str, Sequence[IndexRow]]) -> list[str]:
    """Return a sentence on each scan that one data set trains on and another holds out.

    Parameters
    ----------
    indices : name of each data set to its rows.
    """
    trained: dict[str, tuple[str, IndexRow]] = {}
    for name, rows in indices.items():
        trained.update({row.sha256: (name, row) for row in rows if row.split == TRAINING})
    sentences = []
    for name, rows in indices.items():
        for row in rows:
            if row.split == TRAINING or row.sha256 not in trained:
                continue
            where, learned = trained[row.sha256]
            sentences.append(
                f"{row.volume_id} of {name} ({row.split}) is the same scan as {learned.volume_id} of {where}, which is "
                "trained on: scores on it do not show how the model does on new scans"
            )
    return sentences


def _by_scan(rows: Iterable[IndexRow]) -> dict[str, list[IndexRow]]:
    groups: dict[str, list[IndexRow]] = defaultdict(list)
    for row in rows:
        groups[row.sha256].append(row)
    return groups
