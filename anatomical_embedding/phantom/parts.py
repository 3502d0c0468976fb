"""Solids as parts of a named organ."""

from collections.abc import Iterable

from anatomical_embedding.phantom.shapes import Part, Solid
from anatomical_embedding.phantom.tissues import ORGAN_IDS, Tissue

ABDOMEN = (Tissue.VISCERAL_FAT,)
CHEST = (Tissue.LUNG, Tissue.MEDIASTINAL_FAT, Tissue.LUNG_VESSEL)


def organ_parts(
    solids: Solid | Iterable[Solid], organ: str, tissue: Tissue, *, over: tuple[Tissue, ...] | None = None
) -> list[Part]:
    """Return solids as parts of one organ.

    Parameters
    ----------
    solids : one or more solids.
    organ : name of the organ.
    tissue : what they are made of.
    over : tissues on which they may be painted; None is all.
    """
    return [
        Part(solid, ORGAN_IDS[organ], tissue, over)
        for solid in (solids if isinstance(solids, Iterable) else [solids])
    ]
