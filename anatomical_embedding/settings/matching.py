"""Settings of matching: how embeddings are stored, and how a query point is found in another volume."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.neighbours import NeighbourSettings

Refinement = Literal["none", "parabolic", "voxel"]
"""How a match moves on from the centre of its cell: not at all; to the peak of a parabola along each axis; or on to
where the scans themselves look alike, where they are at hand (anatomical_embedding/matching/voxel_refinement.py)."""


class StoreSettings(Settings):
    """How the embedding of a volume is stored (anatomical_embedding/embedding/store.py)."""

    format: Literal["fp16", "int8"]
    """`fp16` is practically lossless; `int8` with a scale per voxel halves the file (same match in about 98 %)."""


class HeadWeights(Settings):
    """Share of each head in the similarity; only the ratios matter, the mean is divided by their sum."""

    fine: float = Field(ge=0)
    """Weight of the cosine of the fine head."""
    coarse: float = Field(ge=0)
    """Weight of the cosine of the coarse head, upsampled to the fine grid and normalised again."""
    semantic: float = Field(ge=0)
    """Weight of the cosine of the semantic head; without effect on stores that hold none."""

    @model_validator(mode="after")
    def _some_head_counts(self) -> Self:
        if self.fine + self.coarse == 0:
            raise ValueError("fine and coarse are both 0; give at least one of them a positive weight")
        return self


class MatchingSettings(Settings):
    """How the vectors of points are compared and searched for, whatever is made of them."""

    head_weights: HeadWeights
    """Weights of the heads; 1, 1, 1 is the published mean."""
    query_interpolation: Literal["trilinear", "nearest"]
    """Where the query vector is read: at the point itself, or at the centre of its fine cell (published)."""
    search: Literal["exact", "pruned"]
    """`exact` compares every fine cell; `pruned` scans every second cell along each axis, then rescores exactly."""
    num_candidates: int = Field(ge=1)
    """Cells of the scan whose neighbourhoods the pruned search rescores; the exact search ignores it. On a network
    trained on phantoms with cells of 8 mm, 16 give the exact answer for 97.9 % of the queries, 64 for 99.8 %."""
    scan_precision: Literal["bf16", "fp32"]
    """Number format of the pruned scan; bf16 is fast only where the processor supports it."""
    refinement: Refinement
    """How a match moves on from the centre of its cell; with `voxel`, a store alone answers as with `parabolic`."""
    max_memory_mb: int = Field(ge=64)
    """Bound on working memory of a search beyond the stores and the prepared target, in MB."""
    device: Literal["auto", "cpu", "cuda"]
    """Where the products are computed: auto takes a GPU where there is one."""


class NearestSettings(Settings):
    """A point lies where the target is most similar to it (anatomical_embedding/matching/nearest.py)."""

    kind: Literal["nearest"] = "nearest"
    """Way of matching."""


class StablePointSettings(NeighbourSettings):
    """The neighbours of a point decide together where it lies (anatomical_embedding/matching/stable_points.py)."""

    kind: Literal["stable_points"] = "stable_points"
    """Way of matching."""
    num_places: int = Field(ge=1)
    """Places of each volume that look most like the query, round which anchors are matched. Published: everywhere,
    at 27 to 125 times the cost."""
    smallest_similarity: float = Field(ge=-1.0, le=1.0)
    """Anchors that match worse are left out. Published: 0.8 for single points; 0.43 (1.3 as a sum of three heads) for
    lesions."""
    largest_shift_mm: float = Field(gt=0.0)
    """Anchors that end farther than this from the query are left out. Published: 200."""
    min_anchors: int = Field(ge=4)
    """With fewer different anchors that agree, the nearest match answers. Published: no such rule."""


MatchingMethod = Annotated[NearestSettings | StablePointSettings, Field(discriminator="kind")]
"""A way of matching; `kind` says which. anatomical_embedding/matching/methods.py matches by it."""

MethodName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
"""What a way of matching is called in a run file, in the names of its answers and in the report."""
