"""Settings of following lesions over visits (anatomical_embedding/follow)."""

from functools import cache

from pydantic import Field

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.confidence import AnchorSettings, Share
from anatomical_embedding.settings.input_path import InputPath
from anatomical_embedding.settings.run_file import read_run_files, recipe_path
from anatomical_embedding.settings.volumes import Modality


class InViewSettings(Settings):
    """How it is told whether a place is inside the scan: by the points of the body well inside it."""

    reach_mm: float = Field(gt=0)
    """Weight of a point of the body falls with its distance as a Gaussian of this deviation."""
    depth_mm: float = Field(ge=0)
    """Points found less deep inside the scan do not count."""
    inward_mm: float = Field(ge=0)
    """Places beside the border of a scan match what lies farther in: the depth that they tell is too large by this."""
    error_mm: float = Field(gt=0)
    """Deviation of the depth that they tell."""


class AroundSettings(Settings):
    """Points beside a lesion that are moved to the voxel with it (anatomical_embedding/follow/places.py)."""

    beyond_mm: float = Field(gt=0)
    """How far outside of the lesion they lie, ..."""
    nearest_mm: float = Field(gt=0)
    """... and how far from its middle at least."""
    own: float = Field(gt=0)
    """Weight of the lesion's own match beside one of theirs."""
    fewest: int = Field(ge=3)
    """With fewer of them its own match decides alone."""


class PlaceSettings(Settings):
    """How the place of a lesion is found from several visits (anatomical_embedding/follow/places.py)."""

    evidence: AnchorSettings
    """Points of the body that are matched between two visits, and how far they decide on a place."""
    view: InViewSettings
    """How it is told whether a place is inside the scan."""
    around: AroundSettings
    """Points beside the lesion that are matched with it where it was given."""
    num_neighbours: int = Field(ge=1)
    """Visits nearest in time that answer beside the one where the lesion was given."""
    stiffness_mm: float = Field(gt=0)
    """Points around a place that spread by less than this move it, but do not stretch or turn what lies around it."""
    error_per_lean: float = Field(ge=0)
    """Error by which a place counts as less certain for each mm by which the points round it lie to one side."""
    smallest_error_mm: float = Field(gt=0)
    """Deviation of a place, along each axis, where all evidence agrees."""
    largest_disagreement_mm: float = Field(gt=0)
    """An answer is to be reviewed where the direct match and the one over the visits between are farther apart, and the
    scan does not tell which of their places is the lesion's."""


class GoneOdds(Settings):
    """Natural logarithm of the odds that a lesion is gone, linear in how its place looks (follow/look.py)."""

    constant: float
    """Where the place looks as the lesion did, but does not differ from its surroundings."""
    change: float = Field(gt=0)
    """For a change by as much as lesion and surroundings differed before."""
    contrast: float = Field(lt=0)
    """For a contrast with the surroundings as before."""


class MergeSettings(Settings):
    """When two lesions that were apart are one (anatomical_embedding/follow/merged.py)."""

    apart: float = Field(gt=1.0)
    """Pairs are looked at whose middles were at most this far apart, in the sum of their radii."""
    visibility: float = Field(gt=0.0, le=1.0)
    """Lesions that are less visible, as a share of those that are, are not looked at."""
    gap: float = Field(ge=0)
    """They are one where balls as large as they leave no more of a gap than this, in radii of the larger one, ..."""
    nearer: float = Field(gt=0)
    """... which was larger by this, ..."""
    part: Share
    """... and each is there with at least this share of their contrast, ..."""
    filled: Share
    """... and what lies between their middles with this one."""
    certainty: Share
    """Share of the pairs that look so which have merged."""


class TissueSettings(Settings):
    """How the tissue of a lesion is found round its place (anatomical_embedding/follow/lesion_tissue.py)."""

    step_mm: float = Field(gt=0)
    """Distance of the samples."""
    smallest_share: Share
    """Samples with less of the lesion's contrast are none of its tissue."""
    smallest_part: Share
    """With less tissue than this part of the lesion's ball its place stays where the body puts it."""
    farthest: float = Field(gt=0)
    """A place moves at most this far to the middle of its tissue, in radii of the lesion."""


class SplitOdds(Settings):
    """Natural logarithm of the odds that a lesion has split, linear in what tells of it (follow/split.py)."""

    constant: float
    """Where nothing tells of it."""
    margin: float
    """For a pair of parts that explains more than one ball or none by as much as the lesion explained."""
    weaker: float
    """Where the weaker part is as strong as the lesion was."""
    aside: float
    """For a pair that lies a radius of the lesion beside its place."""
    history: float
    """Where the lesion was in two parts at the visit before; as much less where it was gone."""


class LesionSplitSettings(Settings):
    """When one lesion is two (anatomical_embedding/follow/split.py)."""

    visibility: float = Field(gt=0.0, le=1.0)
    """Lesions that are less visible, as a share of those that are, are not looked at."""
    scales: tuple[float, ...] = Field(min_length=1)
    """Sizes of the two parts together that are tried, in sizes of the lesion."""
    gap: Share
    """What lies between two parts has no more than this share of the lesion's contrast, ..."""
    new: Share
    """... and at least this share of the two is new, beside the former lesion."""
    smallest_radius_mm: float = Field(gt=0)
    """Radius of the smallest parts that are looked for: what is less than 10 mm in diameter cannot be measured."""
    log_odds: SplitOdds
    """What the best pair of parts says about whether the lesion has split."""


class LookSettings(Settings):
    """How it is told whether a lesion is still there (anatomical_embedding/follow/look.py)."""

    step_mm: float = Field(gt=0)
    """Distance of the samples round a place."""
    inner: Share
    """Radius of the inner part, in radii of the lesion: it is still lesion where the edge has moved in."""
    smallest_inner_mm: float = Field(gt=0)
    """The inner part is not smaller than this."""
    shell: tuple[float, float]
    """Inner and outer radius of the surroundings, in radii of the lesion."""
    point_radius_mm: float = Field(gt=0)
    """Radius that a lesion is taken to have that is given as a point."""
    visible_contrast: float = Field(gt=0)
    """Lesions with less contrast than this many deviations within them are hardly visible, and tell less."""
    gone_log_odds: GoneOdds
    """What the look of a place says about whether the lesion is gone."""


class MaskSettings(Settings):
    """How a mask is fitted to the scan (anatomical_embedding/follow/fit_mask.py)."""

    step_mm: float = Field(gt=0)
    """Distance of the samples that the mask is fitted on."""
    core: Share
    """Share of the radius inside which everything is lesion."""
    shell: float = Field(gt=1.0)
    """Radius, in radii of the lesion, beyond which nothing is."""
    blur_steps: float = Field(gt=0)
    """Deviation of the Gaussian under which the gradient is taken, in samples."""
    edge_share: Share
    """Nothing with less than this share of its contrast is lesion; half would cut off what a blur takes from a ball."""
    round_steps: float = Field(gt=0)
    """Deviation of the Gaussian that rounds a fitted mask, in samples, ..."""
    round_share: Share
    """... and the share of it from which on a sample is lesion; less than half lets the mask grow."""
    share_of_place: Share
    """Share of the middle of a fitted mask in the place of a lesion that is present: each errs on its own."""
    volume_change: tuple[float, float]
    """Smallest and largest factor between the carried and the fitted volume; other fits are not trusted."""
    smallest_contrast: float = Field(gt=0)
    """Difference of lesion and surroundings, in deviations within both, below which a fit is not trusted."""
    least_likeness: Share
    """Dice coefficient of a mask and what is fitted from it in its own scan, below which no fit of it is trusted."""
    grown_share: Share
    """Where no fit is trusted a mask grows to what explains the scan best, if with this share of its contrast."""


class CalibrationSettings(Settings):
    """Stated log odds of a state: those of the model stretched and shifted (follow/calibration.py)."""

    slope: float = Field(gt=0)
    """Factor of the log odds."""
    offset: float
    """Added to them."""


class FollowSettings(Settings):
    """Everything that following lesions depends on, beside the model."""

    places: PlaceSettings
    """Where a lesion is."""
    look: LookSettings
    """Whether it is there."""
    masks: MaskSettings
    """What it covers."""
    tissue: TissueSettings
    """Where its tissue lies round its place."""
    merging: MergeSettings
    """When two have become one."""
    splitting: LesionSplitSettings
    """When one has become two."""
    calibration: CalibrationSettings
    """How probabilities are corrected by what readers decided; slope 1 and offset 0 leave them as they are."""
    present_probability: Share
    """Smallest probability of the most likely state; answers below it are to be reviewed."""
    same_lesion_mm: float = Field(gt=0)
    """A lesion given at a later visit is one that is followed, if this near to its place or within its radius."""


class FollowingSettings(FollowSettings):
    """One list of patients whose lesions are followed."""

    visits: InputPath
    """Table with one row per visit: patient, visit, date, scan, lesions (docs/follow.md)."""
    model: str = Field(min_length=1)
    """Name of the model that finds the places, in the section `models`."""
    modality: Modality | None = None
    """What all scans are; null takes what DICOM headers say and else looks at the values."""

    def follow(self) -> FollowSettings:
        """Return what following the lesions of one patient depends on."""
        return FollowSettings(**{name: getattr(self, name) for name in FollowSettings.model_fields})


@cache
def delivered_follow_settings() -> FollowSettings:
    """Return the settings of the recipe."""
    recipe = read_run_files([recipe_path("entries/following")])
    return FollowSettings.model_validate(recipe, strict=False)
