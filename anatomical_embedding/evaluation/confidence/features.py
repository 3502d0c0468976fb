"""The evidence of a match as numbers that a logistic regression can weigh.

Distances enter as logarithms: the step from 2 to 4 mm says as much as that from 20 to 40. Depths inside the field of
view are cut off where more depth says nothing more.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

DEEPEST_MM = 40.0


def _depth(values: FloatArray) -> FloatArray:
    return np.clip(values, -DEEPEST_MM, DEEPEST_MM)


def _identity(values: FloatArray) -> FloatArray:
    return values


FEATURES: Mapping[str, Callable[[FloatArray], FloatArray]] = MappingProxyType(
    {
        "similarity": _identity,
        "margin": _identity,
        "cycle_mm": np.log1p,
        "residual_mm": np.log1p,
        "anchor_spread_mm": np.log1p,
        "num_anchors": np.log1p,
        "view_margin_mm": _depth,
        "edge_mm": _depth,
    }
)
"""Column of the evidence -> how it enters; NaN stays NaN."""


def feature_table(evidence: pd.DataFrame) -> FloatArray:
    """Return the (N, features) numbers of N matches, in the order of `FEATURES`; NaN where unknown."""
    return np.column_stack(
        [change(evidence[name].to_numpy(dtype=np.float64)) for name, change in FEATURES.items()]
    )
