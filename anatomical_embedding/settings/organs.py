"""The organs of a data set: a list of names, or the name of a table that comes with the project.

A table is a text file in `organ_tables`, one organ per line; the line number is the label. Those of TotalSegmentator
have the order of its class ids, so that its merged label maps are read with them as well.

Source of both: the class maps `total_v1` and `total` of TotalSegmentator's `map_to_binary.py`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from anatomical_embedding.identifiers import Identifier
from anatomical_embedding.settings.base import Settings

LandmarkKind = Literal["centroid", "top", "bottom", "left", "right", "front", "back"]
"""A point of an organ: its centroid, or that of its outermost slice towards a side of the patient."""

TABLES = Path(__file__).parent / "organ_tables"


def organs_of_table(name: str) -> tuple[str, ...]:
    """Return the organs of a table in the order of their labels, which begin at 1.

    Raises
    ------
    ValueError
        if there is no such table.

    Examples
    --------
    >>> organs_of_table("totalsegmentator_v2")[:2], len(organs_of_table("totalsegmentator_v2"))
    (('spleen', 'kidney_right'), 117)
    """
    known = sorted(path.stem for path in TABLES.glob("*.txt"))
    if name not in known:
        raise ValueError(f"expected a list of organs or one of the tables {', '.join(known)}, got {name!r}")
    return tuple((TABLES / f"{name}.txt").read_text(encoding="utf-8").split())


def _listed(organs: Any) -> Any:
    return organs_of_table(organs) if isinstance(organs, str) else organs


Organs = Annotated[
    tuple[Identifier, ...], BeforeValidator(_listed, json_schema_input_type=tuple[Identifier, ...] | str)
]
"""Organs in the order of their label ids, which begin at 1; or the name of a table of organs."""


class WithoutOrgans(Settings):
    """A data set that nothing is known of inside the body."""

    @property
    def organs(self) -> tuple[str, ...]:
        """No organs."""
        return ()

    @property
    def landmarks(self) -> dict[str, tuple[LandmarkKind, ...]]:
        """No landmarks."""
        return {}
