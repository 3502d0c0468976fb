"""Learning rate over the steps of a training."""

import math

from anatomical_embedding.settings.training import ScheduleSettings


def learning_rate_factor(step: int, *, num_steps: int, settings: ScheduleSettings) -> float:
    """Return the share of the learning rate that holds at a step, counted from 0.

    Linear from `warmup_start_factor` to 1 over the warm-up, then constant or half a cosine down to 0 at the end.

    Examples
    --------
    >>> settings = ScheduleSettings(warmup_steps=10, warmup_start_factor=0.0, decay="cosine")
    >>> [round(learning_rate_factor(step, num_steps=110, settings=settings), 2) for step in (0, 5, 10, 60, 110)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if step < settings.warmup_steps:
        start = settings.warmup_start_factor
        return start + (1.0 - start) * step / settings.warmup_steps
    if settings.decay == "constant":
        return 1.0
    progress = (step - settings.warmup_steps) / max(num_steps - settings.warmup_steps, 1)
    return 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
