"""Settings of deformable registration: pairs of volumes, and the parameters of the program `deeds`."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from anatomical_embedding.identifiers import Identifier
from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.field_descent import FieldDescentSettings
from anatomical_embedding.settings.matching import MatchingSettings
from anatomical_embedding.settings.split import Split
from anatomical_embedding.settings.volumes import Modality, ReadScanSettings

MapKind = Literal["rigid", "similarity", "affine"]
"""Rotation and shift; with one scale; with any linear part."""

Voxels = Annotated[int, Field(ge=1, le=16)]
"""A whole number of voxels or steps that the program takes."""


class SearchLevelsSettings(Settings):
    """A search from coarse to fine; the three lists have one entry per level."""

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
                "grid_spacing_vox, search_radius and quantization_vox need one entry per level, "
                f"got {lengths[0]}, {lengths[1]} and {lengths[2]}"
            )
        return self

    def levels_for(self, size_vox: int, *, fewest: int) -> Self | None:
        """Return the same settings with the levels that leave so many control points, or None where none does.

        Parameters
        ----------
        size_vox : voxels of the image along its shortest axis.
        fewest : control points along each axis.
        """
        kept = [level for level, step in enumerate(self.grid_spacing_vox) if size_vox // step >= fewest]
        if not kept:
            return None
        lists = {
            name: getattr(self, name) for name in ("grid_spacing_vox", "search_radius", "quantization_vox")
        }
        return self.model_copy(
            update={name: tuple(values[level] for level in kept) for name, values in lists.items()}
        )


class LinearStepSettings(SearchLevelsSettings):
    """The step before the deformable one; published: spacing 7, 6, 5, 4, radius 5, 4, 3, 2, steps 4, 3, 2, 1."""

    kind: Literal["affine", "rigid"]
    """Which maps are allowed; published: affine."""


class BetweenModalitiesSettings(Settings):
    """What differs between CT and MR: there fewer places look alike, and a loose field follows the noise."""

    alpha: float = Field(gt=0.0)
    """Weight of smoothness against similarity; published: 1.6, as within a modality."""
    linear_kind: Literal["affine", "rigid"]
    """Which maps the linear step may find, where there is one; published: affine."""


class DeedsSettings(SearchLevelsSettings):
    """Parameters of the program `deeds`."""

    spacing_mm: PositiveFloat | None
    """Both volumes are brought to this spacing first; null registers on the fixed volume's own grid."""
    alpha: float = Field(gt=0.0)
    """Weight of smoothness against similarity; published: 1.6."""
    linear: LinearStepSettings | None
    """The linear step, left out after a guided start that scales or shears; null begins as the volumes lie."""
    start: Literal["world", "centres"]
    """What lies on one another at the start: equal world coordinates, or the centres of the volumes."""
    background: float
    """Intensity outside the volumes; linear control points at it are left out. Air in CT: -1024."""
    between_modalities: BetweenModalitiesSettings | None = None
    """What differs between CT and MR; null: nothing does (published)."""
    descent: FieldDescentSettings | None = None
    """Steps below a voxel afterwards, between two CTs; null takes none (published)."""

    def for_pair(self, fixed: Modality, moving: Modality) -> "DeedsSettings":
        """Return the settings of a pair: steps below a voxel between two CTs alone, other smoothness from CT to MR."""
        update: dict[str, object] = {}
        if not fixed == moving == "ct":
            update["descent"] = None
        if fixed != moving and self.between_modalities is not None:
            update["alpha"] = self.between_modalities.alpha
            if self.linear is not None:
                kind = self.between_modalities.linear_kind
                update["linear"] = self.linear.model_copy(update={"kind": kind})
        return self.model_copy(update=update)

    def without_doubt(self) -> "DeedsSettings":
        """Return the same settings for a registration that does not say how far places may be off."""
        if self.descent is None:
            return self
        return self.model_copy(update={"descent": self.descent.model_copy(update={"doubt": None})})


class GridMatchSettings(Settings):
    """Query points on a lattice, and which of their matches are trusted."""

    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    """Distance of the lattice's points; published: four interleaved lattices of 48, 48, 32."""
    min_similarity: Annotated[float, Field(ge=-1.0, le=1.0)]
    """Least mean cosine of the heads; published: 0.75, written there as the sum 1.5 of two heads."""
    max_return_distance_mm: PositiveFloat | None
    """Largest distance between a point and its match's match; null asks one way only (published)."""


class ImageEvidenceSettings(Settings):
    """Whether the images agree at a start better than elsewhere; published: not asked."""

    spacing_mm: PositiveFloat
    """Distance of the places of the body that are compared."""
    smooth_mm: PositiveFloat
    """Standard deviation of the Gaussian that both images are smoothed by."""
    percentiles: tuple[Annotated[float, Field(ge=0.0, le=100.0)], Annotated[float, Field(ge=0.0, le=100.0)]]
    """Intensities of the body outside these count as these."""
    num_bins: Annotated[int, Field(ge=2)]
    """Classes of intensity of the correlation ratio."""
    shift_mm: PositiveFloat
    """The images are compared after shifts of this length as well, as they lie and after half a turn."""
    turn_degrees: Annotated[float, Field(gt=0.0, lt=180.0)]
    """They are compared after turns about the long axis by this angle as well."""
    weight: Annotated[float, Field(ge=0.0)]
    """Of the gain: by how much the images agree better at the start (0 to 1) than after any of these."""
    min_evidence: float
    """The share of correspondences that agree and the weighted gain must add up to this."""
    min_retried_evidence: float | None = None
    """To this, if it is more, where `register` turned the moving scan or matched it once more; null: to as much as the
    first time."""

    @model_validator(mode="after")
    def _percentiles_rise(self) -> "ImageEvidenceSettings":
        if self.percentiles[0] >= self.percentiles[1]:
            raise ValueError(
                f"percentiles must rise, got {self.percentiles[0]:g} and {self.percentiles[1]:g}"
            )
        return self


class AffineFitSettings(Settings):
    """How a map is fitted to correspondences, and when it is not believed."""

    kind: MapKind | Literal["auto"]
    """Which maps are allowed; published: rigid. `auto`: the richest that matches left out of its fit support."""
    estimator: Literal["ransac", "trimmed", "least_squares"]
    """The largest set that one map explains, the half that agrees best, or all points alike (published)."""
    inlier_distance_mm: PositiveFloat
    """Largest residual of a correspondence that counts as true."""
    num_samples: PositiveInt
    """Random samples of `ransac`; 500 find 40 % true ones with certainty."""
    seed: NonNegativeInt
    """Of the samples."""
    max_rotation_component_rad: PositiveFloat | None
    """Components of the rotation vector of a rigid map are clipped to this; published: 0.2; null for no limit."""
    min_inliers: Annotated[int, Field(ge=4)]
    """With fewer true correspondences the pair fails."""
    min_inlier_fraction: Annotated[float, Field(ge=0.0, le=1.0)]
    """With a smaller share of true ones the pair fails."""
    min_spread_mm: PositiveFloat
    """The true ones must extend this far (standard deviation) along two directions, for an affine map along three."""
    max_rotation_degrees: Annotated[float, Field(gt=0.0, le=180.0)]
    """A map that rotates more is not believed."""
    max_scale_change: Annotated[float, Field(ge=0.0, lt=1.0)]
    """A map that stretches or shrinks some direction by more is not believed: 0.5 allows 1/1.5 to 1.5."""
    min_agreeing_similarity: Annotated[float, Field(ge=-1.0, le=1.0)] | None = None
    """A map is not believed where half of the correspondences that agree on it are less similar; null asks nothing."""
    images: ImageEvidenceSettings | None = None
    """What the images must say to the map; null asks the matches alone (published)."""
    turns_degrees: tuple[Annotated[float, Field(ge=-180.0, le=180.0)], ...] = ()
    """Turns of the moving scan about its long axis after which `register` matches it again where it found no start."""
    sure_evidence: Annotated[float, Field(ge=0.0)] = 0.0
    """Where a start has less evidence, these turns are tried as well; 0 leaves it."""
    shared_margin_mm: PositiveFloat | None = None
    """Where a start has less evidence than `sure_evidence`, `register` first matches the scans once more within the
    parts of the bodies that both show as their matches say, and this far beyond; null leaves it (published)."""
    straight_degrees: Annotated[float, Field(gt=0.0, le=180.0)] | None = None
    """A start that turns by more about the long axis makes `register` turn the moving scan back by as much and match it
    once more; null leaves it (published)."""

    def for_retried_scans(self) -> "AffineFitSettings":
        """Return the same settings for a moving scan that was matched before: more must speak for its start."""
        if self.images is None or self.images.min_retried_evidence is None:
            return self
        least = max(self.images.min_evidence, self.images.min_retried_evidence)
        images = self.images.model_copy(update={"min_evidence": least})
        return self.model_copy(update={"images": images})

    @model_validator(mode="after")
    def _only_rotations_are_clipped(self) -> "AffineFitSettings":
        if self.max_rotation_component_rad is not None and self.kind != "rigid":
            raise ValueError(f"max_rotation_component_rad is for kind rigid, got {self.kind}; set it to null")
        return self


class GuideSettings(Settings):
    """A start found by matching embeddings, for volumes whose headers do not tell how they lie."""

    model: str = Field(min_length=1)
    """Name of the model in the section `models`."""
    grid: GridMatchSettings
    """Which points are matched."""
    fit: AffineFitSettings
    """How they become a map."""


class PatientPairsSettings(Settings):
    """Every patient's volume of one modality with every one of another."""

    fixed_modality: Modality
    """Of the volumes that stay."""
    moving_modality: Modality
    """Of the volumes that are brought onto them."""
    splits: tuple[Split, ...] = Field(min_length=1)
    """Patients of these splits are registered."""

    @model_validator(mode="after")
    def _modalities_differ(self) -> "PatientPairsSettings":
        if self.fixed_modality == self.moving_modality:
            raise ValueError(f"fixed_modality and moving_modality are both {self.fixed_modality}; name two")
        return self


class SplitPairsSettings(Settings):
    """Every volume of some splits with every other one, both ways: patients are registered onto each other."""

    splits: tuple[Split, ...] = Field(min_length=1)
    """Volumes of these splits are registered."""


class CoarseRegistrationSettings(Settings):
    """How two scans are registered coarsely, so that they are searched where it carries a point."""

    fit: AffineFitSettings
    """The start, from matched anchors."""
    deeds: DeedsSettings
    """The search on a coarse grid, without its linear step and without a descent."""


class RegistrationSettings(Settings):
    """Some pairs of volumes of one data set that are registered."""

    dataset: str = Field(min_length=1)
    """Name of the data set in the section `datasets`. Where it has organs, their overlap is measured."""
    pairs: (
        PatientPairsSettings
        | SplitPairsSettings
        | Annotated[tuple[tuple[Identifier, Identifier], ...], Field(min_length=1)]
    )
    """Ids of the fixed and the moving volume of each pair, or a rule that finds them."""
    guide: GuideSettings | None = None
    """Start found by embeddings; null starts as `deeds.start` says."""
    deeds: DeedsSettings
    """How they are registered."""
    headline: tuple[Identifier, ...] = ()
    """Landmarks whose errors stand for the registration, such as those whose places anatomy fixes; errors of all are
    measured beside them. Empty: all alike."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """Splits that the volumes of the pairs may come from."""
        return get_args(Split) if isinstance(self.pairs, tuple) else self.pairs.splits

    @model_validator(mode="after")
    def _pairs_differ(self) -> "RegistrationSettings":
        if not isinstance(self.pairs, tuple):
            return self
        if len(set(self.pairs)) < len(self.pairs):
            raise ValueError("pairs names a pair twice; name each once")
        same = [fixed for fixed, moving in self.pairs if fixed == moving]
        if same:
            raise ValueError(f"pairs holds {same[0]!r} with itself; name two volumes")
        return self


class MatchGridSettings(Settings):
    """What the stage `match_grid` may see."""

    grid: GridMatchSettings
    """Which points are matched."""
    matching: MatchingSettings
    """How they are matched."""


class ResampleRegisteredSettings(Settings):
    """What the stage `resample_registered` may see."""

    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    """Working spacing of the copy that a training reads."""
    moving: ReadScanSettings
    """How the original moving volume is read."""


class RegisterDeedsSettings(Settings):
    """What the stage `register_deeds` may see."""

    deeds: DeedsSettings
    """How the pair is registered."""
    organs: tuple[Identifier, ...]
    """Names of the labels 1, 2, ..."""
    modalities: tuple[Modality, Modality]
    """Of the fixed and the moving volume."""


class ScoreRegistrationSettings(Settings):
    """What the stage `score_registration` may see."""

    start: Literal["world", "centres"]
    """What lay on one another before a pair without a guide was registered."""
    headline: tuple[Identifier, ...]
    """Landmarks whose errors stand for the registration; empty for all alike."""
