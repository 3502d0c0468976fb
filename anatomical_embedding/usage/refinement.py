"""Whether matches of two scans are moved from their cells to the voxel: only the scans themselves tell where."""

from dataclasses import dataclass

from anatomical_embedding.errors import UserError
from anatomical_embedding.settings.matching import Refinement
from anatomical_embedding.usage.scans import EmbeddedScan
from anatomical_embedding.volumes.volume import Volume


@dataclass(frozen=True)
class RefinedPair:
    """Two scans that are matched with one refinement.

    Attributes
    ----------
    template, target : the scans, with this refinement in their settings.
    scans : their voxels, where matches are moved by them; None where they stay in their cells.
    in_cells : why they do although the voxel is asked for; else empty.
    """

    template: EmbeddedScan
    target: EmbeddedScan
    scans: tuple[Volume, Volume] | None
    in_cells: str


def refined_pair(template: EmbeddedScan, target: EmbeddedScan, refinement: Refinement | None) -> RefinedPair:
    """Return two scans with a refinement; None takes that of their settings as far as they can.

    Raises
    ------
    UserError
        if `voxel` is asked for and the scans cannot tell.
    """
    if refinement is not None:
        template, target = template.refined_by(refinement), target.refined_by(refinement)
    if target.matching.refinement != "voxel":
        return RefinedPair(template, target, None, "")
    in_cells = _why_in_cells(template, target)
    if in_cells and refinement == "voxel":
        raise UserError(f"matches cannot be moved to the voxel: {in_cells}")
    if template.raw is None or target.raw is None or in_cells:
        return RefinedPair(template, target, None, in_cells)
    return RefinedPair(template, target, (template.raw.volume, target.raw.volume), "")


def _why_in_cells(template: EmbeddedScan, target: EmbeddedScan) -> str:
    for scan in (template, target):
        if scan.raw is None:
            return f"{scan.name} is a store, which answers in cells; name the scan itself"
    if template.modality != target.modality:
        return (
            f"{template.name} is a scan of modality {template.modality}, {target.name} of {target.modality}; only "
            "scans of one modality are compared"
        )
    return ""
