"""The figures of lesion tracking: shares, distances, intervals, strata, and the comparison of two trackers.

A failed pair is a miss in every share, and infinitely far in medians and percentiles. Means and deviations of the
distance can only be those of the pairs that were found: read them beside `num_failed`.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.datasets.lesion_annotations import LesionPairs
from anatomical_embedding.evaluation.bootstrap import percentile_interval, weighted_quantile
from anatomical_embedding.evaluation.lesions.metrics import (
    PROTOCOLS,
    Hits,
    center_distances_mm,
    signed_errors_mm,
)
from anatomical_embedding.evaluation.patient_bootstrap import paired_permutation_p_value, patient_resamples

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

CONFIDENCE = 0.95
"""Of the intervals named `ci95`."""

RADIUS_EDGES_MM = (5.0, 10.0, 20.0)
"""Bounds of the lesion sizes; at 10 mm the cap of the `dlt` protocol begins to bind."""

AXES = ("x", "y", "z")


def score_protocols(
    pairs: LesionPairs, points_vox: FloatArray, *, num_resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Return the figures of every protocol, over all pairs and per stratum.

    Parameters
    ----------
    pairs : the annotated pairs.
    points_vox : (N, 3) predicted centres, annotation index; NaN for failed pairs.
    num_resamples : bootstrap samples of patients behind each interval.
    seed : of the bootstrap.

    Returns
    -------
    Protocol -> `num_pairs`, `num_failed`, `num_patients`, the statistics of `distance_statistics`, `cpm_10mm` and
    `cpm_radius` (0 to 1), `ci95` with `[low, high]` for each, and `strata`: `slice_thickness_mm` and `radius_mm`,
    each class with the same keys. A value that does not exist is None: a mean where no pair was found, a percentile
    beyond the failures, the interval of a single patient.
    """
    hits = {name: protocol.hits_of(pairs, points_vox) for name, protocol in PROTOCOLS.items()}
    errors_mm = signed_errors_mm(pairs, points_vox)

    def scores_of(rows: BoolArray) -> dict[str, dict[str, Any]]:
        patient_ids = pairs.patient_ids[rows]
        resamples = patient_resamples(patient_ids, num_resamples=num_resamples, seed=seed)
        weights = np.vstack([np.ones(len(patient_ids)), resamples])  # sample 0: every pair once
        distance_samples = distance_statistics(errors_mm[rows], weights)
        counts = {
            "num_pairs": len(patient_ids),
            "num_failed": int(np.isnan(errors_mm[rows]).any(axis=1).sum()),
            "num_patients": len(np.unique(patient_ids)),
        }
        return {
            protocol: counts
            | _values_and_intervals(hit_shares(hit, rows, weights) | distance_samples, counts)
            for protocol, hit in hits.items()
        }

    scores = scores_of(np.ones(len(pairs), dtype=bool))
    for kind, label, rows in strata(pairs):
        for protocol, summary in scores_of(rows).items():
            scores[protocol].setdefault("strata", {}).setdefault(kind, {})[label] = summary
    return scores


def distance_statistics(errors_mm: FloatArray, weights: FloatArray) -> dict[str, FloatArray]:
    """Return the distance figures of samples in which every pair stands a number of times.

    Parameters
    ----------
    errors_mm : (N, 3) signed errors; NaN for failed pairs.
    weights : (R, N) how often each pair stands in each sample.

    Returns
    -------
    Name -> (R,) values: `med_mm` and `med_sd_mm` (mean distance and its deviation, divided by the number of pairs), the
    same per axis with absolute errors (`med_x_mm`, `med_x_sd_mm`, ...), and the mean signed error per axis
    (`bias_x_mm`, ...), all of the found pairs; `median_mm` and `p95_mm` of all pairs, failed ones at infinity.
    """
    distance = np.linalg.norm(errors_mm, axis=1)
    is_found = ~np.isnan(distance)
    found_weights = weights[:, is_found]
    samples: dict[str, FloatArray] = {}
    samples["med_mm"], samples["med_sd_mm"] = _mean_and_deviation(distance[is_found], found_weights)
    for axis, error in zip(AXES, errors_mm[is_found].T, strict=True):
        mean, deviation = _mean_and_deviation(np.abs(error), found_weights)
        samples[f"med_{axis}_mm"], samples[f"med_{axis}_sd_mm"] = mean, deviation
        samples[f"bias_{axis}_mm"] = _mean_and_deviation(error, found_weights)[0]
    distance_or_infinity = np.where(is_found, distance, np.inf)
    samples["median_mm"] = weighted_quantile(distance_or_infinity, weights, share=0.5)
    samples["p95_mm"] = weighted_quantile(distance_or_infinity, weights, share=0.95)
    return samples


def hit_shares(hits: Hits, rows: BoolArray, weights: FloatArray) -> dict[str, FloatArray]:
    """Return `cpm_10mm` and `cpm_radius` (0 to 1), (R,) each, of samples of some rows; (R, number of rows) weights."""
    totals = weights.sum(axis=1)
    return {
        "cpm_10mm": weights @ hits.within_10mm[rows].astype(np.float64) / totals,
        "cpm_radius": weights @ hits.within_radius[rows].astype(np.float64) / totals,
    }


def strata(pairs: LesionPairs) -> Iterator[tuple[str, str, BoolArray]]:
    """Yield kind, label and (N,) members of every class of slice thickness and of lesion radius that has members."""
    thickness = np.round(pairs.slice_thickness_mm, 2)
    for value in np.unique(thickness):
        yield "slice_thickness_mm", f"{value:g}", thickness == value
    edges = (0.0, *RADIUS_EDGES_MM, np.inf)
    for low, high in pairwise(edges):
        rows = (low <= pairs.radius_mm) & (pairs.radius_mm < high)
        if rows.any():
            yield "radius_mm", f"{low:g} and more" if np.isinf(high) else f"{low:g} to {high:g}", rows


def compare_protocols(
    pairs: LesionPairs, points_vox: FloatArray, other_points_vox: FloatArray, *, num_draws: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Return the paired differences of two trackers, with interval and p value, clustered by patient.

    Parameters
    ----------
    pairs : the annotated pairs, the same truth for both.
    points_vox, other_points_vox : (N, 3) predicted centres, annotation index; NaN for failed pairs.
    num_draws : bootstrap samples, and permutations.
    seed : of both.

    Returns
    -------
    Protocol -> `cpm_10mm`, `cpm_radius` (all pairs) and `med_mm` (pairs that both found), each with `num_pairs`,
    `value`, `other`, `difference` (value minus other), `ci95` of the difference and `p_value` of the sign-flip test.
    """

    def paired(ours: FloatArray, other: FloatArray, patient_ids: NDArray[np.str_]) -> dict[str, Any]:
        if not len(ours):
            return {"num_pairs": 0}
        differences = ours - other
        weights = patient_resamples(patient_ids, num_resamples=num_draws, seed=seed)
        interval = percentile_interval(weights @ differences / weights.sum(axis=1), confidence=CONFIDENCE)
        return {
            "num_pairs": len(ours),
            "value": float(ours.mean()),
            "other": float(other.mean()),
            "difference": float(differences.mean()),
            "ci95": interval if len(np.unique(patient_ids)) > 1 else None,
            "p_value": paired_permutation_p_value(
                differences, patient_ids, num_permutations=num_draws, seed=seed
            ),
        }

    distance, other_distance = (
        center_distances_mm(pairs, points_vox),
        center_distances_mm(pairs, other_points_vox),
    )
    both = ~np.isnan(distance) & ~np.isnan(other_distance)
    med = paired(distance[both], other_distance[both], pairs.patient_ids[both])
    comparison = {}
    for name, protocol in PROTOCOLS.items():
        ours, other = protocol.hits_of(pairs, points_vox), protocol.hits_of(pairs, other_points_vox)
        comparison[name] = {
            "cpm_10mm": paired(
                ours.within_10mm.astype(float), other.within_10mm.astype(float), pairs.patient_ids
            ),
            "cpm_radius": paired(
                ours.within_radius.astype(float), other.within_radius.astype(float), pairs.patient_ids
            ),
            "med_mm": med,
        }
    return comparison


def _mean_and_deviation(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (R,) mean and population deviation of (N,) values that stand (R, N) times; NaN for an empty sample."""
    totals = weights.sum(axis=1)
    totals = np.where(totals > 0, totals, np.nan)
    mean = weights @ values / totals
    variance = weights @ values**2 / totals - mean**2
    return mean, np.sqrt(np.maximum(variance, 0.0))


def _values_and_intervals(samples: Mapping[str, FloatArray], counts: Mapping[str, int]) -> dict[str, Any]:
    """Return each statistic's value (sample 0) by name, and `ci95` with the interval of the other samples."""
    values: dict[str, Any] = {
        name: float(sample[0]) if np.isfinite(sample[0]) else None for name, sample in samples.items()
    }
    values["ci95"] = {
        name: _finite_interval(sample[1:]) if counts["num_patients"] > 1 else None
        for name, sample in samples.items()
    }
    return values


def _finite_interval(values: FloatArray) -> tuple[float, float] | None:
    """Return the interval of resampled values; None if an end is not finite."""
    interval = percentile_interval(values, confidence=CONFIDENCE)
    return interval if np.isfinite(interval).all() else None
