"""How far the probabilities of followed lesions hold, by what readers decided on them.

An accepted answer was right; one that was moved or rejected was not. The log odds of the answers' probabilities are
stretched and shifted so that they agree with that (Platt 1999), and stay nearly as they are where little is decided.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import logit

from anatomical_embedding.errors import UserError
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.record_json import read_record
from anatomical_embedding.follow.record_tables import read_decisions, read_lesions
from anatomical_embedding.settings.follow import CalibrationSettings

SUREST = 0.998
"""Probabilities nearer to 0 or 1 count as this near: one wrong answer would outweigh all others."""
SMALLEST_SLOPE = 0.05


def decided_answers(folder: Path | str) -> list[tuple[float, bool]]:
    """Return log odds, before any calibration, of the answers that a reader decided on, and whether they were right.

    Places that were moved before `follow` ran again are left out: the answer that they replaced is not known any more.

    Raises
    ------
    UserError
        naming the file at fault.
    """
    place = FollowFolder(Path(folder))
    last = {(row.lesion, row.visit): row.action for row in read_decisions(place.decisions)}
    applied = CalibrationSettings.model_validate(
        read_record(place.record).settings.get("calibration", {"slope": 1.0, "offset": 0.0})
    )
    return [
        (
            float((logit(np.clip(row.probability, 1.0 - SUREST, SUREST)) - applied.offset) / applied.slope),
            last[row.lesion, row.visit] == "accept",
        )
        for row in read_lesions(place.lesions)
        if (row.lesion, row.visit) in last and row.how in ("direct", "joint") and np.isfinite(row.probability)
    ]


def fit_calibration(folders: Iterable[Path | str]) -> CalibrationSettings:
    """Return the calibration by the decisions in folders that `follow` wrote; raises as `decided_answers`.

    Raises
    ------
    UserError
        if nothing is decided.

    Notes
    -----
    The likeliest slope and offset, each with a normal prior of deviation 1 around leaving everything as it is.
    """
    decided = [answer for folder in folders for answer in decided_answers(folder)]
    if not decided:
        raise UserError("no answer of these patients is decided; confirm some with `view --follow` first")
    log_odds, is_right = np.array(decided).T

    def unlikelihood(values: np.ndarray) -> float:
        slope, offset = values
        sign = np.where(is_right, 1.0, -1.0)
        data = np.logaddexp(0.0, -sign * (offset + slope * log_odds)).sum()
        return float(data + 0.5 * ((slope - 1.0) ** 2 + offset**2))

    found = minimize(unlikelihood, np.array([1.0, 0.0]), bounds=[(SMALLEST_SLOPE, None), (None, None)])
    slope, offset = map(float, found.x)
    return CalibrationSettings(slope=slope, offset=offset)


def read_calibration(path: Path) -> CalibrationSettings:
    """Return the calibration in a file that `follow-report --calibration` wrote.

    Raises
    ------
    UserError
        naming the file, if it holds none.
    """
    try:
        return CalibrationSettings.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"{path}: expected slope and offset as `follow-report` writes them ({error})"
        ) from None
