"""How the values of an array of voxels are spread: by shares of what they would be in HU, and in patches as labels are.

In a CT in HU air lies near -1000, fat near -100 and soft tissue near 40, whatever the scanner: in 49 real CTs (heads,
chests, abdomens, limbs, crops) 20 to 95 % of the voxels are air, and of those above -200 HU 69 to 99 % lie below 200.
All look at some 500,000 voxels of a regular lattice.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_SAMPLES = 500_000
AIR_HU, LUNG_HU = (-1200.0, -700.0), (-700.0, -200.0)
FAT_HU, SOFT_HU, TISSUE_HU = (-160.0, -40.0), (-20.0, 120.0), (-200.0, 200.0)
DENSE_HU = 600.0
"""Above it lies dense bone and metal alone."""

SMALLEST_AIR_SHARE = 0.01
"""Of all voxels; a scan with less holds no air round the body."""
AIR_ALONE_SHARE = 0.99
SMALLEST_TISSUE_SHARE, LARGEST_DENSE_SHARE = 0.3, 0.4
"""Of what is not air; a CT of a plastic phantom has 0.45 and 0.22."""
SURE_AIR_SHARE, SURE_TISSUE_SHARE, LARGEST_SURE_DENSE_SHARE = 0.02, 0.6, 0.2
SURE_FAT_SHARE, SURE_SOFT_SHARE, SURE_BRIGHT_SHARE = 0.08, 0.15, 0.003
"""Those CTs have 0.14, 0.33 and 0.015 at least; bright is bone or contrast medium, which an inverted picture lacks."""
SMALLEST_FAT_SHARE_INSIDE = 0.03
LARGEST_LUNG_RATIO = 0.3
"""Lung and partial volumes against what is denser: 0.13 and less in those CTs, 0.44 and more in MRs moved there."""

SMALLEST_PADDING_SHARE, LARGEST_SHARE_ABOVE_PADDING, PADDING_GAP = 0.01, 0.001, 500.0
"""A lowest value that many voxels have and nothing lies near is no measurement."""
SMALLEST_SHARE_IN_PATCHES = 0.7
"""Of neighbours off the most frequent value that have the same one: 0.90 and more in label maps, of small organs in
voxels of 10 mm too; 0.13 and less in 60 real CTs and MRs, and 0.63 and less where these are grey values of 8 bits."""


@dataclass(frozen=True)
class Shares:
    """How the values of a scan are spread if they are HU.

    Attributes
    ----------
    air : of all voxels.
    tissue, fat, soft, bright, dense : of the voxels above -200 HU.
    lung : voxels between air and fat, relative to those above -200 HU.
    """

    air: float
    tissue: float
    fat: float
    soft: float
    bright: float
    dense: float
    lung: float

    @property
    def are_of_a_ct(self) -> bool:
        """Whether this may be a CT in HU with air in it; one that shows nothing else is one without a body."""
        is_tissue = self.tissue >= SMALLEST_TISSUE_SHARE and self.dense <= LARGEST_DENSE_SHARE
        return self.air >= SMALLEST_AIR_SHARE and (is_tissue or self.air >= AIR_ALONE_SHARE)

    @property
    def are_surely_of_a_ct(self) -> bool:
        """Whether nothing else looks so: air, fat and soft tissue are where they belong, and little lies between."""
        return (
            self.air >= SURE_AIR_SHARE
            and self.have_a_bodys_tissue
            and self.bright >= SURE_BRIGHT_SHARE
            and self.lung <= LARGEST_LUNG_RATIO
        )

    @property
    def have_a_bodys_tissue(self) -> bool:
        """Whether fat, soft tissue and dense bone have shares as in a body."""
        return (
            self.tissue >= SURE_TISSUE_SHARE
            and self.fat >= SURE_FAT_SHARE
            and self.soft >= SURE_SOFT_SHARE
            and self.dense <= LARGEST_SURE_DENSE_SHARE
        )

    @property
    def are_of_the_inside(self) -> bool:
        """Whether this may be a part of a CT in HU that lies within the body."""
        return (
            self.tissue >= SURE_TISSUE_SHARE
            and self.fat >= SMALLEST_FAT_SHARE_INSIDE
            and self.soft >= SURE_SOFT_SHARE
            and self.bright >= SURE_BRIGHT_SHARE
        )


def sample_values(array: NDArray) -> NDArray[np.float32]:
    """Return (N,) values of a regular lattice of voxels, about half a million of them."""
    step = max(1, round((array.size / MOST_SAMPLES) ** (1 / array.ndim)))
    return array[(slice(None, None, step),) * array.ndim].astype(np.float32).ravel()


def shares_of(values: NDArray[np.floating]) -> Shares:
    """Return how values are spread if they are HU; of none at all every share is zero."""
    if not values.size:
        return Shares(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    denser = values[values >= TISSUE_HU[0]]
    num_denser = max(denser.size, 1)
    return Shares(
        air=_num_between(values, AIR_HU) / values.size,
        tissue=_num_between(denser, TISSUE_HU) / num_denser,
        fat=_num_between(denser, FAT_HU) / num_denser,
        soft=_num_between(denser, SOFT_HU) / num_denser,
        bright=float((denser >= TISSUE_HU[1]).sum()) / num_denser,
        dense=float((denser > DENSE_HU).sum()) / num_denser,
        lung=_num_between(values, LUNG_HU) / num_denser,
    )


def without_padding(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return values without those of the border that a program or a round field of view filled with one number.

    Padding is the lowest value, where many voxels have it and hardly one comes near: what is measured, air as well, is
    spread out, by noise and by voxels that hold two tissues.
    """
    lowest = values.min()
    is_lowest = values == lowest
    is_near = ~is_lowest & (values <= lowest + PADDING_GAP)
    is_padding = is_lowest.mean() >= SMALLEST_PADDING_SHARE and is_near.mean() <= LARGEST_SHARE_ABOVE_PADDING
    return values[~is_lowest] if is_padding else values


def _num_between(values: NDArray[np.floating], limits: tuple[float, float]) -> float:
    return float(((values >= limits[0]) & (values < limits[1])).sum())


def is_label_map(array: NDArray) -> bool:
    """Return whether values are whole numbers from 0 on in patches, or two alone, as labels are and no scan is."""
    lowest, highest = array.min(), array.max()
    if lowest < 0 or not are_whole(sample_values(array)):
        return False
    is_mask = bool(((array == lowest) | (array == highest)).all())
    return is_mask or share_in_patches(array) >= SMALLEST_SHARE_IN_PATCHES


def share_in_patches(array: NDArray) -> float:
    """Return the share of like pairs among neighbours along the first axis, both off the most frequent value.

    Pairs with one voxel in the background do not count: a thin organ in coarse voxels has many. Looks at some 500,000
    voxels.

    Examples
    --------
    >>> share_in_patches(np.array([0, 1, 1, 0, 0, 2, 2, 2, 3, 0]).reshape(-1, 1, 1))
    0.75
    """
    step = max(1, round((array[0].size * array.shape[0] / MOST_SAMPLES) ** 0.5))
    lines = array[:, ::step, ::step]
    values, counts = np.unique(lines, return_counts=True)
    is_shown = lines != values[counts.argmax()]
    is_pair = is_shown[:-1] & is_shown[1:]
    is_like = lines[:-1] == lines[1:]
    return float(is_like[is_pair].mean()) if is_pair.any() else 0.0


def are_whole(values: NDArray[np.floating]) -> bool:
    """Return whether all values are whole numbers."""
    return bool((values == np.rint(values)).all())
