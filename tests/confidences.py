"""Confidences made by hand, for tests of what judges by them."""

from typing import Any

from anatomical_embedding.confidence import FEATURES, Confidence, FeatureRange, Line

WIDE = FeatureRange(unknown=0.0, mean=0.0, scale=1.0, lowest=-1e9, highest=1e9)


def line(intercept: float, **weights: float) -> Line:
    """Return a line with the weights that are given, and none on the other features."""
    return Line(intercept=intercept, weights=dict.fromkeys(FEATURES, 0.0) | weights)


def confidence_of(**changes: Any) -> Confidence:
    """Return a confidence of standard features that is 73 % sure of everything, with some parts exchanged."""
    parts: dict[str, Any] = {
        "within_mm": 10.0,
        "features": dict.fromkeys(FEATURES, WIDE),
        "right": line(1.0),
        "out_of_view": None,
        "out_of_view_threshold": None,
        "radius": {"50": line(1.0), "90": line(2.0)},
        "sources": ("test",),
        "num_answers": 100,
        "num_patients": 5,
        "num_out_of_view": 0,
        "unseen": {},
    }
    return Confidence(**(parts | changes))
