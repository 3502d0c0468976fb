"""Settings of the refinement of a match by the scans themselves (anatomical_embedding/matching/voxel_refinement.py)."""

from pydantic import Field

from anatomical_embedding.settings.base import Settings


class ShiftSettings(Settings):
    """A lattice of shifts at which surroundings are compared (anatomical_embedding/matching/local_correlation.py)."""

    half_size_mm: float = Field(gt=0.0)
    """Half the edge of the cube around the query point."""
    step_mm: float = Field(gt=0.0)
    """Distance of samples, and of the shifts that are tried."""
    deviation_mm: float = Field(gt=0.0)
    """Standard deviation of the Gaussian that weighs samples by their distance from the point."""
    blur_steps: float = Field(ge=0.0)
    """Standard deviation of the blur before sampling, in steps."""
    reach_mm: float = Field(gt=0.0)
    """Largest shift of a match."""


class CorrelationSettings(ShiftSettings):
    """The search over shifts (anatomical_embedding/matching/local_correlation.py)."""

    return_reach_mm: float = Field(gt=0.0)
    """Largest shift on the way back."""


class LookalikeSettings(ShiftSettings):
    """How many places around an answer look like the query (anatomical_embedding/matching/lookalikes.py)."""

    sharpness: float = Field(gt=0.0)
    """A place counts less than the one most alike by the exponential of this times the difference of correlation."""


class DescentPassSettings(Settings):
    """What one pass of the descent samples, drawn again around the place found so far."""

    half_size_mm: float = Field(gt=0.0)
    """Radius of the ball around the query point."""
    min_voxels: int = Field(ge=1)
    """So many voxels of the coarser scan the ball holds; where these are wide it grows, and its weights with it."""
    step_mm: float = Field(gt=0.0)
    """Distance of samples."""
    blur_mm: float = Field(ge=0.0)
    """Standard deviation of the blur of both scans; with 0 the voxels of the coarser one are compared as they are."""
    reach_mm: float = Field(gt=0.0)
    """Largest shift."""
    num_steps: int = Field(ge=1)
    """Gauss-Newton steps at most."""
    deviation_mm: float = Field(gt=0.0)
    """Standard deviation of the Gaussian that weighs samples by their distance from the point."""


class DescentSettings(Settings):
    """The steps to the voxel and below (anatomical_embedding/matching/local_descent.py)."""

    passes: tuple[DescentPassSettings, ...] = Field(min_length=1)
    """From coarse to fine."""
    stiffness: float = Field(ge=0.0)
    """Resistance of the local affine map to leaving a mere shift."""
    chance_gain: float = Field(ge=0.0)
    """A later pass, of a smaller ball, moves the place only where it makes the unexplained share of the intensities
    smaller by more than this factor, which noise alone would allow."""
    sure_gain: float = Field(gt=0.0)
    """From this factor on it moves the place all the way, in between by a part of it."""
    min_correlation: float = Field(ge=-1.0, le=1.0)
    """With a lower correlation of the intensities at the end of a pass that went half its reach the place from before
    it stands: tissue that changed would pull it away. After a longer or shorter way it has to be higher or lower."""


class ConsensusSettings(Settings):
    """Where the other matches expect a match (anatomical_embedding/matching/expected_places.py)."""

    min_matches: int = Field(ge=4)
    """More than so many others, refined or anchors, expect a match; with fewer nothing is expected."""
    reach_mm: float = Field(gt=0.0)
    """Standard deviation of the Gaussian that weighs others by their distance from the query."""
    stiffness_mm: float = Field(ge=0.0)
    """Spread of the others below which their map is hardly more than a shift."""
    smallest_scale_mm: float = Field(gt=0.0)
    """Others that leave their common map by this never count as wrong."""
    astray_mm: float = Field(gt=0.0)
    """A match farther from where it is expected is searched for there as well."""


class RefinementSettings(Settings):
    """How a match is refined by the scans, and when the refined place is kept."""

    correlation: CorrelationSettings
    """The search over shifts."""
    descent: DescentSettings
    """The steps to the voxel and below."""
    consensus: ConsensusSettings
    """A second start."""
    min_correlation: float = Field(ge=-1.0, le=1.0)
    """With a lower correlation of the surroundings the match stands as it was."""
    max_return_mm: float = Field(gt=0.0)
    """Where matching back ends farther from the query than this, the match stands as it was."""
    max_shift_alone_mm: float = Field(gt=0.0)
    """A match that would move farther than a cell may be wrong stands as it was, unless neighbours move alike."""
    neighbour_mm: float = Field(gt=0.0)
    """Matches of the same call so near in the target are neighbours."""
    max_disagreement_mm: float = Field(gt=0.0)
    """Neighbours move alike if their shifts differ by no more."""
    min_neighbours: int = Field(ge=1)
    """So many of them have to."""
