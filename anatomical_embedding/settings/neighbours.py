"""Settings of the neighbours of a point, which are matched within windows (matching/anchor_windows.py)."""

from typing import Self

from pydantic import Field, model_validator

from anatomical_embedding.settings.base import Settings


class NeighbourSettings(Settings):
    """Cells round a point that are matched within windows, and the map that is fitted to them."""

    anchor_radius_steps: int = Field(ge=1, le=3)
    """Anchors are (2 r + 1)^3 fine cells round the query. Published: 2 for single points, 1 for lesions."""
    anchor_step_cells: int = Field(ge=1, le=4)
    """Cells between neighbouring anchors. Published: 1."""
    window_radius_cells: int = Field(ge=1)
    """Cells round each such place, along each axis; at least the reach of the anchors."""
    affine_stiffness_mm: float = Field(gt=0.0)
    """Resistance of the affine map to leaving a mere shift: anchors that spread by less than this cannot bend it.
    Published: none."""

    @model_validator(mode="after")
    def _windows_hold_the_anchors(self) -> Self:
        reach = self.anchor_radius_steps * self.anchor_step_cells
        if self.window_radius_cells < reach:
            raise ValueError(
                f"window_radius_cells is {self.window_radius_cells}, expected at least the reach of the anchors, "
                f"anchor_radius_steps * anchor_step_cells = {reach}"
            )
        return self
