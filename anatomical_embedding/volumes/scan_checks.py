"""What kind of scan an array of voxels is, and whether a CT is in HU.

A CT in HU has its air, fat and soft tissue where every scanner puts them (`value_shares`); an MR has no such scale. So
a CT is told by shares of the whole, not by its darkest voxel, and an offset that was not taken off shows as the same
picture in another place.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import UserError
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.value_shares import (
    AIR_HU,
    DENSE_HU,
    TISSUE_HU,
    Shares,
    are_whole,
    is_label_map,
    sample_values,
    shares_of,
    without_padding,
)

MODALITIES: dict[str, Modality] = {"CT": "ct", "MR": "mr"}
"""Word of a DICOM header -> kind of scan."""

KNOWN_OFFSETS_HU = (-1024.0, -32768.0)
"""What has to be added to a CT whose rescale was lost: its scanner stored HU + 1024, or a program HU + 32768."""
TAKEN_TWICE_HU = 1024.0
"""What has to be added to a CT from which its scanner's offset was taken off twice: its soft tissue looks like air."""
NUM_SIGNED, NUM_UNSIGNED = 2**15, 2**16
"""Where the numbers of 16 bits with a sign end, and those without."""
MOST_LUNG_RATIO = 1.0
"""Crops of lungs rarely have more, most CTs that were cut off at -1024 after their offset was taken off twice do."""
LARGEST_CUT_SHARE = 0.02
"""Of voxels at the lowest value; more means that a window was cut out."""
SMALLEST_CUT_SHARE = 0.001
"""Of voxels at the highest value; a whole scan has a few."""
LARGEST_GREY_VALUE = 255.0
SMALLEST_DARK_SHARE = 0.01
"""Of voxels below -200; an MR has none or a few."""
FULL_BODY_SHARE = 0.99
LIKE_LABELS = "looks like a label map: its values are whole numbers in patches, or two alone"


class Kind(NamedTuple):
    """What a scan was found to be.

    Attributes
    ----------
    modality : kind of scan.
    remark : why, where it was a close case; empty otherwise.
    """

    modality: Modality
    remark: str


class Offset(NamedTuple):
    """What makes HU of the values of a CT.

    Attributes
    ----------
    hu : to be added.
    remark : what was found or told; empty where the values are HU.
    """

    hu: float
    remark: str


def find_kind(array: NDArray) -> Kind:
    """Return whether an array that nobody has named is a CT or an MR.

    Raises
    ------
    UserError
        if it may be either: the sentence goes on from the file's name.
    """
    values = sample_values(array)
    measured = without_padding(values)
    shares = shares_of(measured)
    if shares.are_of_a_ct or _needs_offset(measured, TAKEN_TWICE_HU):
        return Kind("ct", "")
    dark_share = float((measured < TISSUE_HU[0]).mean())
    missing = [offset for offset in KNOWN_OFFSETS_HU if shares_of(measured + offset).are_surely_of_a_ct]
    if missing:
        raise UserError(
            f"looks like a CT whose values lie {-missing[0]:g} above HU, or like an MR; say which "
            "(--modality ct takes that off, --modality mr leaves the values)"
        )
    _require_signs(values, otherwise=", or take it as it is (--modality mr)")
    if shares.are_of_the_inside or dark_share >= SMALLEST_DARK_SHARE:
        raise UserError(
            f"may be a CT or an MR: {_percent(shares.air)} of its voxels are like air in HU and {_percent(dark_share)} "
            f"lie below {TISSUE_HU[0]:g}; say which (--modality ct or --modality mr)"
        )
    lowest, highest = float(array.min()), float(array.max())
    if lowest < TISSUE_HU[0]:
        return Kind(
            "mr",
            f"taken as MR though its lowest value is {lowest:g}: {_percent(dark_share)} of its voxels lie below "
            f"{TISSUE_HU[0]:g} and {_percent(shares.air)} are like air in HU; --modality says otherwise",
        )
    if is_label_map(array):
        raise UserError(
            f"{LIKE_LABELS}; name the scan that it belongs to, or say what it is (--modality); `apply --labels` "
            "carries label maps"
        )
    if lowest >= 0.0 and highest <= LARGEST_GREY_VALUE and are_whole(values):
        return Kind(
            "mr",
            f"taken as MR; a CT that was turned into grey values (here {lowest:g} to {highest:g}) would look the same",
        )
    if _is_cut_at_both_ends(values):
        return Kind(
            "mr",
            f"taken as MR; a CT of which a window was cut out (here {lowest:g} to {highest:g}) would look the same",
        )
    return Kind("mr", "")


def find_offset(array: NDArray) -> Offset:
    """Return what has to be added to the values of a CT to make them HU; nothing, for most.

    An offset is taken where it is certain: one of the usual ones brings air, fat and soft tissue to their places at
    once, and the values as they are show no air.

    Raises
    ------
    UserError
        if the values are not HU and no such offset makes them: the sentence goes on from the file's name.
    """
    values = sample_values(array)
    measured = without_padding(values)
    shares = shares_of(measured)
    if _needs_offset(measured, TAKEN_TWICE_HU):
        return Offset(
            TAKEN_TWICE_HU,
            f"its values lie {TAKEN_TWICE_HU:g} below HU (air, fat and soft tissue at once), so {TAKEN_TWICE_HU:g} was "
            "added; --hu-offset says otherwise",
        )
    if shares.are_of_a_ct:
        return Offset(0.0, _remark_on_cut(values) or _remark_on_tissue(shares))
    found = [offset for offset in KNOWN_OFFSETS_HU if shares_of(measured + offset).are_surely_of_a_ct]
    if shares_of(values).are_of_a_ct:
        if not found:
            return Offset(0.0, "")  # air of one value all over
        raise UserError(
            f"has {_percent(1.0 - measured.size / values.size)} of its voxels at {values.min():g}, like air in HU, "
            f"but the others lie {-found[0]:g} above HU; give the number to add: --hu-offset {found[0]:g}, or 0 if "
            "they are HU"
        )
    if found:
        return Offset(
            found[0],
            f"its values lie {-found[0]:g} above HU (air, fat and soft tissue at once), so {-found[0]:g} was taken "
            "off; --hu-offset says otherwise",
        )
    _require_signs(values)
    lowest, highest = float(array.min()), float(array.max())
    if shares.are_of_the_inside and float((values == values.min()).mean()) <= LARGEST_CUT_SHARE:
        return Offset(0.0, "it shows no air, so that it is in HU was judged by its fat and soft tissue alone")
    if is_label_map(array):
        raise UserError(f"{LIKE_LABELS}; name the scan that it belongs to")
    raise UserError(
        f"is not in HU: its values run from {lowest:g} to {highest:g}, {_percent(shares.air)} of them are like air "
        f"({AIR_HU[0]:g} to {AIR_HU[1]:g}) and {_percent(shares.tissue)} of the others like tissue "
        f"({TISSUE_HU[0]:g} to {TISSUE_HU[1]:g}); export it with its rescale, or give the number to add "
        "(--hu-offset, 0 if it is in HU)"
    )


def _needs_offset(measured: NDArray[np.floating], offset_hu: float) -> bool:
    """Return whether values are surely of a CT once a number is added, and not so as they are."""
    return shares_of(measured + offset_hu).are_surely_of_a_ct and not shares_of(measured).are_surely_of_a_ct


def _require_signs(values: NDArray[np.floating], *, otherwise: str = "") -> None:
    """Refuse a CT whose values below 0, air or padding, were written to 16 bits without their sign."""
    is_high = (values >= NUM_SIGNED) & (values < NUM_UNSIGNED)
    if not is_high.any():
        return
    signed = without_padding(np.where(is_high, values - NUM_UNSIGNED, values))
    if any(shares_of(signed + offset).are_surely_of_a_ct for offset in (0.0, *KNOWN_OFFSETS_HU)):
        raise UserError(
            f"looks like a CT whose values below 0 were stored without their sign: {_percent(float(is_high.mean()))} "
            f"of its voxels are {NUM_UNSIGNED} too high; write it with a sign (int16){otherwise}"
        )


def _is_cut_at_both_ends(values: NDArray[np.floating]) -> bool:
    """Return whether many voxels have the lowest and many the highest value; of ten real MRs none has the latter."""
    lowest_share, highest_share = ((values == end).mean() for end in (values.min(), values.max()))
    return bool(lowest_share > LARGEST_CUT_SHARE and highest_share >= SMALLEST_CUT_SHARE)


def _remark_on_cut(values: NDArray[np.floating]) -> str:
    """Return what to say of a CT in HU whose dense tissue was cut off at one value; empty where it was not."""
    highest = values.max()
    share = float((values == highest).mean())
    if highest > DENSE_HU or share < SMALLEST_CUT_SHARE:
        return ""
    return f"its values end at {highest:g} HU, which {_percent(share)} of its voxels have: what is denser was cut off"


def _remark_on_tissue(shares: Shares) -> str:
    """Return what to say of a CT that shows air, but not what lies in nearly every part of a body."""
    if shares.have_a_bodys_tissue and shares.lung <= MOST_LUNG_RATIO:
        return ""
    return (
        f"of what is denser than {TISSUE_HU[0]:g} HU {_percent(shares.fat)} is like fat, {_percent(shares.soft)} like "
        f"soft tissue and {_percent(shares.bright)} denser than {TISSUE_HU[1]:g}, beside {shares.lung:.2g} times as "
        "much like lung, other than in most bodies in HU; it shows a small part of one or another thing, or its values "
        "are no HU"
    )


def told_offset(array: NDArray, *, offset_hu: float) -> Offset:
    """Return an offset that a user gives.

    Raises
    ------
    UserError
        if the values are HU without it.
    """
    measured = without_padding(sample_values(array))
    doubt = "" if shares_of(measured + offset_hu).are_of_a_ct else ", though they do not look so"
    if offset_hu == 0.0:
        return Offset(0.0, f"its values were taken as HU (--hu-offset 0){doubt}")
    if shares_of(measured).are_of_a_ct and not _needs_offset(measured, offset_hu):
        raise UserError(
            f"is in HU as it stands, so adding {offset_hu:g} would be wrong; leave out --hu-offset, or embed the scan "
            "that needs it on its own"
        )
    return Offset(offset_hu, f"{offset_hu:g} was added to get HU (--hu-offset){doubt}")


def remark_on_stated_mr(array: NDArray) -> str:
    """Return what to say of a scan that is called an MR but looks like a CT or a label map; empty where it does not."""
    if is_label_map(array):
        return f"{LIKE_LABELS}; taken as MR (--modality)"
    shares = shares_of(without_padding(sample_values(array)))
    if not shares.are_surely_of_a_ct:
        return ""
    return (
        f"looks like a CT in HU ({_percent(shares.air)} of its voxels are like air); taken as MR (--modality)"
    )


def remark_on_body(body_share: float) -> str:
    """Return what to say of a scan whose body mask fills this share of it; empty where there is air round the body."""
    if body_share < FULL_BODY_SHARE:
        return ""
    filled = _percent(body_share)
    return f"its body mask fills {filled} of it: there is no air around the body, or it was not recognised"


def add_offset(array: NDArray, offset_hu: float) -> NDArray:
    """Return values with an offset added: integers by a whole offset stay integers, int16 where they fit.

    Examples
    --------
    >>> add_offset(np.array([0, 65535], np.uint16), -32768.0)
    array([-32768,  32767], dtype=int16)
    """
    if array.dtype.kind == "f" or not float(offset_hu).is_integer():
        return (array + np.float64(offset_hu)).astype(np.float32)
    wide = np.int64 if array.dtype.itemsize > np.dtype(np.int16).itemsize else np.int32
    moved: NDArray = np.add(array, int(offset_hu), dtype=wide)
    limits = np.iinfo(np.int16)
    fits = limits.min <= moved.min() and moved.max() <= limits.max
    return moved.astype(np.int16) if fits else moved


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"
