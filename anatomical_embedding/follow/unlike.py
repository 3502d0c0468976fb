"""Whether a visit is unlike the scans that the confidence was fitted to, by what `match` says of lesions."""

from typing import Protocol

import numpy as np

from anatomical_embedding.follow.seen import SeenVisit
from anatomical_embedding.usage.answers import match_points
from anatomical_embedding.usage.model import Model
from anatomical_embedding.usage.scans import EmbeddedScan

MOST_ASKED = 3
"""Lesions that are asked: what is unlike mostly is so all over a scan."""


class _Scans(Protocol):
    """Embedded scans by visit, and the model that embedded them."""

    model: Model

    def __getitem__(self, name: str, /) -> EmbeddedScan: ...


def remarks_on_unlike(visit: str, first: SeenVisit, scans: _Scans) -> tuple[str, ...]:
    """Return a remark where what speaks for most lesions' matches is unlike all that the confidence was fitted to.

    Parameters
    ----------
    visit : that is followed.
    first : the first one that shows lesions.
    """
    model = scans.model
    places_mm = np.array([row.point_mm for row in first.rows.values()]).reshape(-1, 3)
    places_mm = places_mm[np.isfinite(places_mm).all(axis=1)]
    if not len(places_mm) or model.card.confidence.get(model.card.usage.answers.method) is None:
        return ()
    number = min(MOST_ASKED, len(places_mm))
    asked_mm = places_mm[np.linspace(0, len(places_mm) - 1, number).astype(np.int64)]
    words = [word for word in match_points(model, scans[first.name], scans[visit], asked_mm).unlike if word]
    if 2 * len(words) <= number:
        return ()
    return (f"{visit}: probabilities may not hold, since matches in this scan are {words[0]}",)
