"""Settings of the landmark evaluation: what is asked, which baselines answer, how errors are summed up."""

from typing import Literal

from pydantic import Field

from anatomical_embedding.identifiers import Identifier
from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.matching import MethodName
from anatomical_embedding.settings.split import Split
from anatomical_embedding.settings.volumes import Modality

Baseline = Literal["same_coordinate", "body_affine", "ncc"]
"""A method that knows no network (anatomical_embedding/evaluation/baselines/answers.py answers by it)."""

BaselineMethod = Literal[Baseline, "untrained"]
"""A method that has learned nothing; `untrained` is the network with its first random weights."""


class PairSelectionSettings(Settings):
    """Which ordered pairs (template, target) of volumes are asked."""

    num_pairs: int | None = Field(ge=1)
    """Size of a seeded random sample of the ordered pairs; null takes all of them."""

    seed: int = Field(ge=0)
    """Seed of the sample; without effect when all pairs are taken."""

    template: str | None = None
    """Only pairs with this volume as template, as for one marked case; null for every volume."""

    template_modality: Modality | None = None
    """Only pairs whose template is of this modality; null for any."""

    target_modality: Modality | None = None
    """Only pairs whose target is of this modality; null for any."""


class ResamplingSettings(Settings):
    """Random draws behind intervals and tests."""

    num_resamples: int = Field(ge=100)
    """Number of bootstrap resamples."""

    seed: int = Field(ge=0)
    """Seed of the resampling."""


class BootstrapSettings(ResamplingSettings):
    """Confidence intervals by resampling the subjects."""

    confidence_level: float = Field(gt=0.0, lt=1.0)
    """Share of the resamples that the percentile interval spans, such as 0.95."""


class NccSettings(Settings):
    """The baseline that looks for the cube most like the one round the query, by cross-correlation."""

    cube_mm: float = Field(gt=0.0)
    """Edge length of the compared cube; rounded to an odd number of voxels."""

    spacing_mm: float = Field(gt=0.0)
    """Isotropic spacing at which cubes are compared."""

    search_radius_mm: float | None = Field(gt=0.0)
    """Largest distance from the answer of `body_affine`; null searches the whole body of the target."""


class BaselineSettings(Settings):
    """What the stage `match_baseline` may see."""

    method: Baseline
    """The baseline."""

    ncc: NccSettings | None
    """Settings of the baseline `ncc`, null for another."""


class QuerySettings(Settings):
    """Which volumes are compared, and in which pairs."""

    split: Split
    """Volumes of this split are compared with each other."""

    pairs: PairSelectionSettings
    """Which ordered pairs of volumes are asked."""

    landmarks: tuple[Identifier, ...] | None = None
    """Names of the landmarks that are asked; null for all of the data set."""


class MakeQueriesSettings(QuerySettings):
    """What the stage `make_queries` may see."""

    with_cuts: bool
    """Whether every query is asked again in targets that end above or below some landmarks, to learn what answers look
    like when the place is not in view."""

    may_be_empty: bool = False
    """Whether it is no error if there is nothing to ask, as of a single patient set aside."""


class LandmarkEvaluationSettings(QuerySettings):
    """One evaluation on a data set with landmarks."""

    dataset: str = Field(min_length=1)
    """Name of the data set in the section `datasets`."""

    models: tuple[str, ...]
    """Names of the models that answer, in the section `models`."""

    methods: tuple[MethodName, ...] = Field(min_length=1)
    """Names of the ways of matching, in the section `methods`. Published: nearest for SAM, stable_points for SAM++."""

    refined: bool
    """Whether matches are moved to the voxel by the raw scans, as `answers.refinement` says, or stay in their cells."""

    bootstrap: BootstrapSettings
    """Confidence intervals of the scores."""

    baselines: tuple[BaselineMethod, ...]
    """Methods to stand beside the trained ones."""

    ncc: NccSettings
    """Settings of the baseline `ncc`."""

    def fit_queries(self, *, split: Split, with_cuts: bool) -> MakeQueriesSettings:
        """Return what the stage `make_queries` may see to ask patients that only a confidence is fitted to."""
        pairs = self.pairs.model_copy(update={"template": None})
        return MakeQueriesSettings(
            split=split, pairs=pairs, landmarks=self.landmarks, with_cuts=with_cuts, may_be_empty=True
        )

    def queries(self) -> MakeQueriesSettings:
        """Return the part that the stage `make_queries` may see."""
        return MakeQueriesSettings(
            split=self.split, pairs=self.pairs, landmarks=self.landmarks, with_cuts=False
        )

    def baseline(self, method: Baseline) -> BaselineSettings:
        """Return the part that the stage `match_baseline` may see."""
        return BaselineSettings(method=method, ncc=self.ncc if method == "ncc" else None)
