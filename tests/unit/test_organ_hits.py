"""Answers counted by the organ that they lie in."""

import numpy as np
import pandas as pd

from anatomical_embedding.evaluation.landmarks.organ_hits import OrganHits, count_organ_hits
from anatomical_embedding.volumes.volume import Volume

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def label_map(*slabs):
    """Return 12 x 4 x 4 voxels of 2 mm; organ k fills the k-th range of x."""
    array = np.zeros((12, 4, 4), np.uint8)
    for label, (start, stop) in enumerate(slabs, start=1):
        array[start:stop] = label
    return Volume(array, AFFINE)


def table(**columns):
    return pd.DataFrame({"query_id": list("abcdef"), **columns})


def points(prefix, x_mm):
    return {f"{prefix}x_mm": x_mm, f"{prefix}y_mm": [2.0] * 6, f"{prefix}z_mm": [2.0] * 6}


def test_hits_by_hand():
    labels = {"one": label_map((0, 4), (4, 8)), "two": label_map((2, 6), (6, 10))}
    queries = table(
        template_id=["one"] * 6,
        target_id=["two"] * 6,
        # a, b, c in organ 1; d in organ 2; e in none; f in organ 1 while the truth is in organ 2
        **points("query_", [2.0, 2.0, 2.0, 10.0, 20.0, 2.0]),
        **points("truth_", [6.0, 6.0, 6.0, 14.0, 22.0, 14.0]),
    )
    matches = table(
        # a in organ 1, b beyond it, c failed, d at the last voxel of organ 2 (9 * 2 mm + less than half a voxel)
        **points("", [10.9, 11.1, np.nan, 18.9, 22.0, 6.0]),
    ).iloc[::-1]
    assert count_organ_hits(queries, matches, labels=labels) == OrganHits(num_queries=4, share=0.5)


def test_without_labels_nothing_counts():
    queries = table(
        template_id=["one"] * 6,
        target_id=["two"] * 6,
        **points("query_", [2.0] * 6),
        **points("truth_", [2.0] * 6),
    )
    matches = table(**points("", [2.0] * 6))
    assert count_organ_hits(queries, matches, labels={"one": label_map((0, 4))}) == OrganHits(0, None)
