"""Whether matches of two scans are moved from their cells to the voxel: only the scans themselves tell where."""

from collections.abc import Iterable
from dataclasses import dataclass

from anatomical_embedding.errors import UserError
from anatomical_embedding.registration.installed_program import installed_program
from anatomical_embedding.settings.matching import Refinement
from anatomical_embedding.usage.model import Model
from anatomical_embedding.usage.scans import EmbeddedScan
from anatomical_embedding.volumes.raw_scan import RawScan


@dataclass(frozen=True)
class RefinedPair:
    """Two scans that are matched with one refinement.

    Attributes
    ----------
    template, target : the scans, with this refinement in their settings.
    scans : the raw scans, where matches are moved by them; None where they stay in their cells.
    in_cells : why they do although the voxel is asked for; else empty.
    """

    template: EmbeddedScan
    target: EmbeddedScan
    scans: tuple[RawScan, RawScan] | None
    in_cells: str


def require_refinable(scans: Iterable[RawScan | EmbeddedScan], refinement: Refinement | None) -> None:
    """Refuse to move matches to the voxel where one of the scans is a store, before any other is embedded.

    Raises
    ------
    UserError
        naming the store.
    """
    store = next((scan for scan in scans if isinstance(scan, EmbeddedScan) and scan.raw is None), None)
    if refinement == "voxel" and store is not None:
        raise UserError(f"matches cannot be moved to the voxel: {_why_in_cells(store)}")


def remarks_on_program(
    model: Model,
    template: RawScan | EmbeddedScan,
    targets: Iterable[RawScan | EmbeddedScan],
    refinement: Refinement | None,
) -> list[str]:
    """Return what to say where answers between raw scans will be less near for want of the program that registers them.

    Parameters
    ----------
    model : whose settings say whether scans are registered.
    template, targets : of the command; stores are not registered anyway.
    refinement : that was asked for; None for the model's own.
    """
    usage = model.card.usage
    is_wanted = usage.coarse_registration() and (refinement or usage.matching.refinement) == "voxel"
    if not is_wanted or _is_store(template) or all(map(_is_store, targets)):
        return []
    try:
        installed_program()
    except UserError as error:
        return [
            "answers are less near and fewer are found, since scans are searched where they match and not where a "
            f"registration carries a point: {error}"
        ]
    return []


def remarks_on_registration(template: EmbeddedScan, target: EmbeddedScan) -> list[str]:
    """Return what to say of two scans that were matched if the program failed to register them before."""
    problem = template.why_not_registered_to(target)
    if not problem:
        return []
    return [
        f"{template.name} and {target.name} could not be registered, so they were searched where they match: {problem}"
    ]


def refined_pair(template: EmbeddedScan, target: EmbeddedScan, refinement: Refinement | None) -> RefinedPair:
    """Return two scans with a refinement; None takes that of their settings as far as they can.

    Raises
    ------
    UserError
        if `voxel` is asked for and one of them is a store.
    """
    if refinement is not None:
        template, target = template.refined_by(refinement), target.refined_by(refinement)
    if target.matching.refinement != "voxel":
        return RefinedPair(template, target, None, "")
    if template.raw is not None and target.raw is not None:
        return RefinedPair(template, target, (template.raw, target.raw), "")
    require_refinable((template, target), refinement)
    return RefinedPair(template, target, None, _why_in_cells(template if template.raw is None else target))


def _is_store(scan: RawScan | EmbeddedScan) -> bool:
    return isinstance(scan, EmbeddedScan) and scan.raw is None


def _why_in_cells(store: EmbeddedScan) -> str:
    return f"{store.name} is a store, which answers in cells; name the scan itself"
