"""How target lesions answer to treatment: the sum of their diameters at each visit, and its category by RECIST 1.1.

Source: Eisenhauer et al., "New response evaluation criteria in solid tumours: revised RECIST guideline (version 1.1)",
European Journal of Cancer 45 (2009) 228-247; the sections are named beside each rule. What of it is applied and what is
left to the reader stands in `APPLIED` and `NOT_APPLIED`, which every report repeats.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anatomical_embedding.csv_table import POSITIVE_WHOLE, TEXT, choice, read_table
from anatomical_embedding.errors import UserError
from anatomical_embedding.follow.records import DecisionRow, LesionRow, MeasurementRow, merged_groups

Category = Literal["baseline", "CR", "PR", "SD", "PD", "NE"]
RULE = "RECIST 1.1 (Eisenhauer et al. 2009), target lesions and new lesions"
MOST_TARGETS, MOST_IN_ORGAN = 5, 2
"""Section 4.2."""
SMALLEST_LESION_MM, SMALLEST_NODE_MM, NORMAL_NODE_MM = 10.0, 15.0, 10.0
"""Longest diameter of a lesion, and short axis of a lymph node, from which on they are measured (3.1, 4.2); a node
below the last is no longer one of disease (4.3.2)."""
THICK_SLICE_MM, SLICES_IN_SMALLEST = 5.0, 2.0
"""On thicker slices the smallest lesion is two slices large (3.1)."""
SHRUNK, GROWN, GROWN_MM = -0.30, 0.20, 5.0
"""Of the sum: from the baseline for PR, from the smallest sum for PD, which takes 5 mm as well (4.3.1)."""

APPLIED = (
    f"at most {MOST_TARGETS} targets, at most {MOST_IN_ORGAN} in an organ where organs are told",
    "lesions of 10 mm (two slices, where slices are thicker than 5 mm), nodes of 15 mm across their short axis; the "
    "baseline names smaller targets, which count all the same",
    "the longest axial diameter of lesions, the short axis of lymph nodes",
    "CR: every target gone, every node below 10 mm; PR: 30 % less than the baseline; PD: 20 % and 5 mm more than the "
    "smallest sum so far, or a new lesion; SD: none of these",
    "the parts of a lesion that split are added up; lesions that merged count once, with the diameter of what they are "
    "together, unless a corrected mask keeps them apart",
    "NE where a target was not seen, waits for review or was rejected, unless the others alone mean PD",
    "a target whose size the scan does not tell counts with that of another visit, and is named beside the sum",
)
NOT_APPLIED = (
    "lesions that are no targets, beyond new ones",
    "confirmation of a response at a later visit, and the best overall response",
    "5 mm for a target that is seen but too small to measure: it has the size of its mask",
    "cystic, bony, irradiated and biopsied lesions: whether one may be a target is for the reader to say",
)


@dataclass(frozen=True)
class Target:
    """A lesion whose diameter counts.

    Attributes
    ----------
    lesion : its number.
    organ : where it lies; empty where that is not told.
    is_node : whether it is a lymph node, which counts with its short axis.
    """

    lesion: int
    organ: str = ""
    is_node: bool = False


@dataclass(frozen=True)
class VisitResponse:
    """The answer at one visit.

    Attributes
    ----------
    visit : name of the visit.
    sum_mm : of the diameters of the targets that were assessed.
    from_baseline, from_nadir : change of the sum as a share of the baseline and of the smallest sum before; NaN where
        there is none to compare with or a target was not assessed.
    category : of the response.
    reason : why, in words.
    untold : targets in the sum with the size of another visit, since the scan does not tell theirs.
    """

    visit: str
    sum_mm: float
    from_baseline: float
    from_nadir: float
    category: Category
    reason: str
    untold: tuple[int, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every target was assessed."""
        return self.category == "baseline" or not math.isnan(self.from_baseline)


def read_targets(path: Path | str) -> list[Target]:
    """Return the targets that a user chose: a table with the columns lesion, organ, kind (`lesion` or `node`).

    Raises
    ------
    InputFileError
        naming the line at fault.
    UserError
        if there are none, or more than the rule allows.
    """
    columns = {"lesion": POSITIVE_WHOLE, "organ": TEXT, "kind": choice("lesion", "node")}
    rows = read_table(path, columns, unique=("lesion",))
    targets = [Target(row["lesion"], row["organ"].strip(), row["kind"] == "node") for _, row in rows]
    if not targets:
        raise UserError(f"{path}: names no target; name one or more, or remove the file")
    if len(targets) > MOST_TARGETS:
        raise UserError(f"{path}: names {len(targets)} targets, RECIST 1.1 takes at most {MOST_TARGETS}")
    organs = Counter(target.organ.casefold() for target in targets if target.organ)
    crowded = next(
        (target.organ for target in targets if organs[target.organ.casefold()] > MOST_IN_ORGAN), None
    )
    if crowded is not None:
        raise UserError(
            f"{path}: names {organs[crowded.casefold()]} targets in {crowded!r}, RECIST 1.1 takes at most "
            f"{MOST_IN_ORGAN}"
        )
    return targets


def choose_targets(baseline: Sequence[MeasurementRow], *, slice_mm: float) -> list[Target]:
    """Return the largest measurable lesions of the first visit, where no user chose; organs and nodes are not known.

    Parameters
    ----------
    baseline : measurements of that visit.
    slice_mm : distance between its axial planes.
    """
    measurable = [row for row in baseline if row.long_axis_mm >= _smallest_lesion_mm(slice_mm)]
    largest = sorted(measurable, key=lambda row: (-row.long_axis_mm, row.lesion))[:MOST_TARGETS]
    return [Target(row.lesion) for row in sorted(largest, key=lambda row: row.lesion)]


def _smallest_lesion_mm(slice_mm: float) -> float:
    return SMALLEST_LESION_MM if slice_mm <= THICK_SLICE_MM else SLICES_IN_SMALLEST * slice_mm


def assess_response(
    targets: Sequence[Target],
    *,
    slice_mm: float,
    visits: Sequence[str],
    lesions: Sequence[LesionRow],
    measurements: Sequence[MeasurementRow],
    decisions: Sequence[DecisionRow],
    targets_path: Path | str = "targets.csv",
) -> list[VisitResponse]:
    """Return the response at every visit; the first is the baseline.

    Targets that are too small to be measured by the rule count all the same, as their user wants, and the baseline
    names them.

    Parameters
    ----------
    slice_mm : distance between the axial planes of the baseline.
    targets_path : where the targets were chosen, for the error.

    Raises
    ------
    UserError
        if a target is not measured at the baseline.
    """
    if not targets:
        return []
    sizes = _Sizes(targets, lesions, measurements, decisions)
    first = sizes.at(visits[0])
    require_sizes(
        [target.lesion for target in targets if math.isnan(first[target.lesion])], visits[0], targets_path
    )
    baseline_mm = nadir_mm = sum(first.values())
    small = [target.lesion for target in targets if _is_too_small(first[target.lesion], target, slice_mm)]
    reason = (
        f"the baseline; smaller than the rule measures: target {_listed(small)}" if small else "the baseline"
    )
    responses = [VisitResponse(visits[0], baseline_mm, math.nan, math.nan, "baseline", reason)]
    new: list[int] = []
    for visit in visits[1:]:
        found = sizes.at(visit)
        gone = {row.lesion for row in lesions if row.visit == visit and row.state == "gone"}
        new = [lesion for lesion in new if lesion not in gone]
        new += [row.lesion for row in lesions if row.visit == visit and row.state == "new"]
        responses.append(
            _response(
                visit,
                found,
                targets,
                untold=sizes.untold_at(visit),
                baseline_mm=baseline_mm,
                nadir_mm=nadir_mm,
                new=new,
            )
        )
        if not any(map(math.isnan, found.values())):
            nadir_mm = min(nadir_mm, responses[-1].sum_mm)
    return responses


def require_sizes(without: Sequence[int], baseline: str, targets_path: Path | str) -> None:
    """Refuse targets without a size at the baseline, if there are any, with a `UserError` that names the first."""
    if without:
        raise UserError(
            f"{targets_path}: lesion {without[0]} has no measurement at {baseline}, the baseline; leave it out, or "
            "give its mask there"
        )


def share_of_change(now: float, before: float) -> float:
    """Return by which share a size changed; infinite for growth from nothing, 0 for nothing that stays so.

    Examples
    --------
    >>> share_of_change(15.0, 10.0), share_of_change(1.0, 0.0), share_of_change(0.0, 0.0)
    (0.5, inf, 0.0)
    """
    if before == 0.0:
        return 0.0 if now == 0.0 else math.inf
    return (now - before) / before


def _response(
    visit: str,
    found: Mapping[int, float],
    targets: Sequence[Target],
    *,
    untold: tuple[int, ...],
    baseline_mm: float,
    nadir_mm: float,
    new: Sequence[int],
) -> VisitResponse:
    missing = [lesion for lesion, size_mm in found.items() if math.isnan(size_mm)]
    sum_mm = sum(size_mm for size_mm in found.values() if not math.isnan(size_mm))
    from_baseline, from_nadir = share_of_change(sum_mm, baseline_mm), share_of_change(sum_mm, nadir_mm)
    grew = from_nadir >= GROWN and sum_mm - nadir_mm >= GROWN_MM
    category: Category
    if new:
        category, reason = "PD", f"new lesion {_listed(new)}"
    elif not missing and all(_is_normal(found[target.lesion], target) for target in targets):
        category, reason = "CR", "every target gone, every node below 10 mm"
    elif grew:
        alone = f", even without {_listed(missing)}" if missing else ""
        category = "PD"
        reason = f"sum {from_nadir:+.0%} and {sum_mm - nadir_mm:+.1f} mm from the smallest so far{alone}"
    elif missing:
        category, reason = "NE", f"not assessed: target {_listed(missing)}"
    elif from_baseline <= SHRUNK:
        category, reason = "PR", f"sum {from_baseline:+.0%} from the baseline"
    else:
        category, reason = (
            "SD",
            f"sum {from_baseline:+.0%} from the baseline, {from_nadir:+.0%} from the smallest",
        )
    if missing:
        from_baseline = from_nadir = math.nan
    untold = tuple(lesion for lesion in untold if not math.isnan(found[lesion]))
    if untold:
        reason += (
            f"; with the size of another visit, since the scan does not tell it: target {_listed(untold)}"
        )
    return VisitResponse(visit, sum_mm, from_baseline, from_nadir, category, reason, untold)


def _is_too_small(size_mm: float, target: Target, slice_mm: float) -> bool:
    return size_mm < (SMALLEST_NODE_MM if target.is_node else _smallest_lesion_mm(slice_mm))


def _is_normal(size_mm: float, target: Target) -> bool:
    return size_mm < NORMAL_NODE_MM if target.is_node else size_mm == 0.0


def _listed(lesions: Collection[int]) -> str:
    return ", ".join(map(str, lesions))


class _Sizes:
    """The diameters of targets, as far as they count."""

    def __init__(
        self,
        targets: Sequence[Target],
        lesions: Sequence[LesionRow],
        measurements: Sequence[MeasurementRow],
        decisions: Sequence[DecisionRow],
    ):
        self._targets = targets
        self._lesions = {(row.lesion, row.visit): row for row in lesions}
        self._measured = {(row.lesion, row.visit): row for row in measurements}
        self._decided = {(row.lesion, row.visit): row.action for row in decisions}  # the last one stands
        visits = {row.visit for row in lesions}
        self._merged = {
            visit: merged_groups(row for row in lesions if row.visit == visit) for visit in visits
        }

    def at(self, visit: str) -> dict[int, float]:
        """Return the diameter of each target at a visit, mm: 0 where it is gone, NaN where it was not assessed."""
        sizes = {target.lesion: self._size(target, visit) for target in self._targets}
        for group in set(self._merged.get(visit, {}).values()):
            # Of one mask, that of all of them, what the targets among them measure counts with the first of these.
            assessed = [lesion for lesion in sizes if lesion in group and not math.isnan(sizes[lesion])]
            if not self._are_apart(group, visit):
                sizes |= {lesion: 0.0 for lesion in assessed if lesion != min(assessed)}
        return sizes

    def untold_at(self, visit: str) -> tuple[int, ...]:
        """Return the targets that have the size of another visit: their masks were carried as they are."""
        rows = (self._lesions.get((target.lesion, visit)) for target in self._targets)
        return tuple(row.lesion for row in rows if row is not None and row.mask == "carried")

    def _size(self, target: Target, visit: str) -> float:
        row = self._lesions.get((target.lesion, visit))
        decision = self._decided.get((target.lesion, visit))
        if row is None or row.state == "out_of_view" or decision == "reject":
            return math.nan
        if row.state == "review" and decision != "accept":
            return math.nan
        if row.state == "gone":
            return 0.0
        if row.state != "merged" or self._are_apart(self._merged[visit][row.lesion], visit):
            return self._axis(row, target)
        together = (self._lesions.get((other, visit)) for other in self._merged[visit][row.lesion])
        axes_mm = [self._axis(other, target) for other in together if other is not None]
        return max((axis_mm for axis_mm in axes_mm if not math.isnan(axis_mm)), default=math.nan)

    def _are_apart(self, group: Sequence[int], visit: str) -> bool:
        """Say whether a reader's own mask keeps lesions apart that look like one."""
        rows = [self._lesions[other, visit] for other in group if (other, visit) in self._measured]
        return len(rows) > 1 and all(row.mask == "corrected" for row in rows)

    def _axis(self, row: LesionRow, target: Target) -> float:
        measured = self._measured.get((row.lesion, row.visit))
        if measured is None:
            return math.nan
        long_mm, short_mm = measured.axes_mm(row.state)
        return short_mm if target.is_node else long_mm
