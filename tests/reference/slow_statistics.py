"""Error metrics and their bootstrap written out: every resample is a list of subjects, then of errors."""

import numpy as np


def slow_metrics(errors_mm):
    """Return the metrics of a list of errors; failed ones are infinite."""
    found = [error for error in errors_mm if np.isfinite(error)]
    return {
        "median_mm": slow_percentile(errors_mm, 0.5),
        "mean_mm": sum(found) / len(found) if found else np.inf,
        "p90_mm": slow_percentile(errors_mm, 0.9),
        "hit_10mm": sum(error <= 10 for error in errors_mm) / len(errors_mm),
        "hit_20mm": sum(error <= 20 for error in errors_mm) / len(errors_mm),
    }


def slow_percentile(values, share):
    """Return the percentile, interpolated between neighbours; infinite if one with a part in it is."""
    values = sorted(values)
    position = (len(values) - 1) * share
    below = int(np.floor(position))
    fraction = position - below
    if fraction == 0:
        return values[below]
    if np.isinf(values[below + 1]):
        return np.inf
    return values[below] * (1 - fraction) + values[below + 1] * fraction


def slow_resample(errors_mm, template_subjects, target_subjects, drawn_subjects):
    """Return the errors of a resample, each as often as its pair of subjects occurs among the drawn."""
    errors = []
    for first_place, first in enumerate(drawn_subjects):
        for second_place, second in enumerate(drawn_subjects):
            for error, template, target in zip(errors_mm, template_subjects, target_subjects, strict=True):
                is_pair = template != target and (template, target) == (first, second)
                is_within = template == target == first and first_place == second_place
                if is_pair or is_within:
                    errors.append(error)
    return errors


def slow_bootstrap(errors_mm, template_subjects, target_subjects, *, num_resamples, seed, level):
    """Return (low, high) of each metric, with a random stream of its own."""
    generator = np.random.default_rng(seed)
    subjects = sorted(set(template_subjects) | set(target_subjects))
    values = {}
    done = 0
    while done < num_resamples:
        drawn = [subjects[index] for index in generator.integers(len(subjects), size=len(subjects))]
        errors = slow_resample(errors_mm, template_subjects, target_subjects, drawn)
        if not errors:
            continue
        done += 1
        for name, value in slow_metrics(errors).items():
            values.setdefault(name, []).append(value)
    tail = (1 - level) / 2
    return {
        name: (sorted(each)[int(np.ceil(tail * done)) - 1], sorted(each)[int(np.ceil((1 - tail) * done)) - 1])
        for name, each in values.items()
    }
