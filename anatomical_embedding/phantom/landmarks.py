"""Named points of the atlas, and the places where lesions may grow."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.phantom import places, skeleton
from anatomical_embedding.phantom.shapes import mirrored
from anatomical_embedding.phantom.spine import LEVELS, vertebra_centre_mm
from anatomical_embedding.phantom.tissues import SIDES, Tissue
from anatomical_embedding.phantom.trunk import dome_top_mm


@cache
def atlas_landmarks() -> dict[str, NDArray[np.float64]]:
    """Return the (3,) atlas point in mm of each landmark, by name."""
    landmarks = {f"vertebra_{level}": vertebra_centre_mm(level) for level in LEVELS}
    landmarks |= _chest_landmarks() | _abdomen_landmarks()
    for side, sign in SIDES.items():
        landmarks |= _paired_landmarks(side, sign)
    return landmarks


def _chest_landmarks() -> dict[str, NDArray[np.float64]]:
    """Return the unpaired landmarks above the diaphragm."""
    return {
        "carina": places.CARINA_MM,
        "aortic_arch_top": places.ARCH_TOP_MM,
        "heart_apex": places.HEART_APEX_MM,
        "left_ventricle": places.LEFT_VENTRICLE.centre_mm,
        "left_atrium": places.LEFT_ATRIUM.centre_mm,
        "sternum_top": skeleton.STERNUM_TOP_MM,
        "sternum_bottom": skeleton.STERNUM_BOTTOM_MM,
    }


def _abdomen_landmarks() -> dict[str, NDArray[np.float64]]:
    """Return the unpaired landmarks below the diaphragm."""
    pole = places.pole_mm
    return {
        "liver_centre": places.LIVER.centre_mm,
        "liver_lower_pole": pole(places.LIVER, axis=2, sign=-1),
        "liver_left_tip": pole(places.LIVER_LEFT_LOBE, axis=0, sign=-1),
        "gallbladder": places.GALLBLADDER.centre_mm,
        "spleen_centre": places.SPLEEN.centre_mm,
        "spleen_lower_pole": pole(places.SPLEEN, axis=2, sign=-1),
        "stomach_fundus": places.STOMACH_FUNDUS.centre_mm,
        "pylorus": places.PYLORUS_MM,
        "pancreas_head": places.PANCREAS_HEAD_MM,
        "pancreas_tail": places.PANCREAS_TAIL_MM,
        "hepatic_flexure": places.HEPATIC_FLEXURE_MM,
        "splenic_flexure": places.SPLENIC_FLEXURE_MM,
        "cecum": places.CECUM_MM,
        "coeliac_origin": places.COELIAC_ORIGIN_MM,
        "aortic_bifurcation": places.AORTIC_BIFURCATION_MM,
        "navel": places.NAVEL_MM,
        "bladder": places.BLADDER.centre_mm,
        "prostate": places.PROSTATE.centre_mm,
        "sacrum_tip": skeleton.SACRUM_TIP_MM,
    }


def _paired_landmarks(side: str, sign: int) -> dict[str, NDArray[np.float64]]:
    """Return the landmarks that both sides of the body have."""
    kidney = places.KIDNEYS[side]
    points = {
        "dome": dome_top_mm(side),
        "lung_root": mirrored(places.LUNG_ROOT_MM, side=sign),
        "kidney_centre": kidney.centre_mm,
        "kidney_upper_pole": places.pole_mm(kidney, axis=2, sign=1),
        "kidney_lower_pole": places.pole_mm(kidney, axis=2, sign=-1),
        "kidney_hilum": places.KIDNEY_HILA_MM[side],
        "iliac_fork": mirrored(places.ILIAC_FORK_MM, side=sign),
        "femoral_head": mirrored(skeleton.FEMORAL_HEAD_MM, side=sign),
        "greater_trochanter": mirrored(skeleton.GREATER_TROCHANTER_MM, side=sign),
        "iliac_crest": mirrored(skeleton.ILIAC_CREST_MM, side=sign),
        "iliac_spine": mirrored(skeleton.ILIAC_SPINE_MM, side=sign),
        "clavicle_medial_end": mirrored(skeleton.CLAVICLE_MEDIAL_MM, side=sign),
        "humeral_head": mirrored(skeleton.HUMERAL_HEAD_MM, side=sign),
        "rib_6_end": skeleton.rib_path_mm(6, side)[-1],
        "rib_9_end": skeleton.rib_path_mm(9, side)[-1],
        "rib_11_end": skeleton.rib_path_mm(11, side)[-1],
        "rib_12_end": skeleton.rib_path_mm(12, side)[-1],
    }
    return {f"{name}_{side}": point for name, point in points.items()}


@dataclass(frozen=True)
class LesionSite:
    """A ball of the atlas in which lesions of one kind may have their centre.

    Attributes
    ----------
    organ : name for the table of lesions.
    tissue : look of the lesion.
    centre_mm : (3,) atlas point.
    reach_mm : radius of the ball.
    """

    organ: str
    tissue: Tissue
    centre_mm: tuple[float, float, float]
    reach_mm: float


LESION_SITES: dict[str, tuple[LesionSite, ...]] = {
    "lung": (
        LesionSite("lung_right", Tissue.LUNG_NODULE, (82, -20, 118), 30),
        LesionSite("lung_left", Tissue.LUNG_NODULE, (-84, -24, 118), 28),
        LesionSite("lung_right", Tissue.LUNG_NODULE, (52, -34, 166), 14),
        LesionSite("lung_left", Tissue.LUNG_NODULE, (-52, -34, 166), 14),
    ),
    "liver": (
        LesionSite("liver", Tissue.LIVER_LESION, (78, 4, 12), 30),
        LesionSite("liver", Tissue.LIVER_LESION, (6, 44, 26), 12),
    ),
    "spine": tuple(
        LesionSite(f"vertebra_{level}", Tissue.BONE_LESION, tuple(vertebra_centre_mm(level)), 3)
        for level in ("T4", "T6", "T8", "T10", "T12", "L1", "L2", "L3", "L4", "L5")
    ),
    "lymph_node": (
        LesionSite("lymph_node_axillary_right", Tissue.LYMPH_NODE, (128, -18, 158), 10),
        LesionSite("lymph_node_axillary_left", Tissue.LYMPH_NODE, (-128, -18, 158), 10),
        LesionSite("lymph_node_mediastinal", Tissue.LYMPH_NODE, (14, -4, 172), 6),
        LesionSite("lymph_node_retroperitoneal", Tissue.LYMPH_NODE, (-24, -8, -56), 7),
        LesionSite("lymph_node_inguinal_right", Tissue.LYMPH_NODE, (62, 66, -205), 8),
        LesionSite("lymph_node_inguinal_left", Tissue.LYMPH_NODE, (-62, 66, -205), 8),
    ),
}
"""Places of lesions by kind."""
