"""Settings of deformable registration: pairs of volumes, and the parameters of the program `deeds`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from anatomical_embedding.identifiers import Identifier
from anatomical_embedding.settings.base import Settings

Voxels = Annotated[int, Field(ge=1, le=16)]
"""A whole number of voxels or steps that the program takes."""


class SearchLevelsSettings(Settings):
    """A search from coarse to fine; the three lists have one entry a level."""

    grid_spacing_vox: tuple[Voxels, ...] = Field(min_length=1)
    """Voxels between control points; published: 5, 4, 3."""
    search_radius: tuple[Voxels, ...] = Field(min_length=1)
    """Steps to either side that are searched; published: 5, 4, 3."""
    quantization_vox: tuple[Voxels, ...] = Field(min_length=1)
    """Voxels of one step; published: 2, 2, 1."""

    @model_validator(mode="after")
    def _one_entry_a_level(self) -> "SearchLevelsSettings":
        lengths = [len(self.grid_spacing_vox), len(self.search_radius), len(self.quantization_vox)]
        if len(set(lengths)) > 1:
            raise ValueError(
                "grid_spacing_vox, search_radius and quantization_vox need one entry a level each, "
                f"got {lengths[0]}, {lengths[1]} and {lengths[2]}"
            )
        return self


class LinearStepSettings(SearchLevelsSettings):
    """The step before the deformable one; published: spacing 7, 6, 5, 4, radius 5, 4, 3, 2, steps 4, 3, 2, 1."""

    kind: Literal["affine", "rigid"]
    """Which maps are allowed; published: affine."""


class DeedsSettings(SearchLevelsSettings):
    """Parameters of the program `deeds`."""

    alpha: float = Field(gt=0.0)
    """Weight of smoothness against similarity; published: 1.6."""
    linear: LinearStepSettings | None
    """The linear step; null begins as the volumes lie."""
    start: Literal["world", "centres"]
    """What lies on one another at the start: equal world coordinates, or the centres of the volumes."""
    background: float
    """Intensity outside the volumes; linear control points at it are left out. Air in CT: -1024."""


class RegistrationSettings(Settings):
    """Some pairs of volumes of one data set that are registered."""

    dataset: str = Field(min_length=1)
    """Name of the data set in the section `datasets`; it needs organs, whose overlap is measured."""
    pairs: tuple[tuple[Identifier, Identifier], ...] = Field(min_length=1)
    """Ids of the fixed and the moving volume of each pair."""
    deeds: DeedsSettings
    """How they are registered."""

    @model_validator(mode="after")
    def _pairs_differ(self) -> "RegistrationSettings":
        if len(set(self.pairs)) < len(self.pairs):
            raise ValueError("pairs names a pair twice; name each once")
        same = [fixed for fixed, moving in self.pairs if fixed == moving]
        if same:
            raise ValueError(f"pairs holds {same[0]!r} with itself; name two volumes")
        return self


class RegisterDeedsSettings(Settings):
    """What the stage `register_deeds` may see."""

    deeds: DeedsSettings
    """How the pair is registered."""
    organs: tuple[Identifier, ...]
    """Names of the labels 1, 2, ..."""
