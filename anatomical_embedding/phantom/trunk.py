"""The trunk of the atlas: skin, fat, muscle, the body cavity, lungs and diaphragm, as curves over height."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from anatomical_embedding.phantom.shapes import Canvas, Field
from anatomical_embedding.phantom.tissues import ORGAN_IDS, Tissue

LOWEST_MM, HIGHEST_MM = -360.0, 360.0
"""Heights of the atlas between which the curves are tabulated, in steps of 1 mm."""

CAVITY_LOWEST_MM, CAVITY_HIGHEST_MM = -238.0, 209.0
LEG_TOP_MM = -262.0
LEG_MIDDLE_MM, LEG_RADIUS_MM = 78.0, 75.0
SQUARENESS = 0.5
"""0 makes cross-sections ellipses; towards 1 they become boxes."""

# height, half width, front, back of each outline
_SKIN = np.array(
    [
        (-340, 150, 82, -98),
        (-250, 162, 92, -108),
        (-205, 166, 96, -112),
        (-150, 156, 100, -112),
        (-90, 142, 98, -106),
        (-30, 144, 104, -108),
        (40, 150, 108, -112),
        (110, 154, 108, -112),
        (160, 158, 100, -108),
        (195, 160, 84, -102),
        (225, 118, 62, -88),
        (248, 70, 48, -74),
        (270, 58, 46, -66),
        (340, 56, 48, -64),
    ]
)
_FAT_THICKNESS = np.array(  # height, side, front, back
    [
        (-340, 12, 12, 12),
        (-250, 20, 14, 20),
        (-150, 18, 19, 14),
        (-60, 14, 18, 9),
        (40, 8, 9, 8),
        (150, 9, 8, 8),
        (195, 10, 8, 8),
        (260, 6, 5, 6),
        (340, 6, 5, 6),
    ]
)
_CAVITY = np.array(  # height, half width, front, back
    [
        (-240, 26, 36, -46),
        (-200, 62, 55, -70),
        (-160, 95, 66, -58),
        (-120, 110, 70, -50),
        (-80, 113, 74, -54),
        (-30, 119, 80, -68),
        (20, 126, 87, -84),
        (60, 128, 88, -86),
        (100, 124, 80, -86),
        (140, 112, 62, -84),
        (170, 88, 42, -78),
        (195, 58, 16, -68),
        (208, 32, -6, -55),
    ]
)
_MEDIASTINUM = np.array(  # height, half width
    [(0, 34), (60, 32), (90, 26), (120, 24), (150, 27), (180, 28), (208, 26)]
)

# centre x, y, top z, and how fast the dome falls left-right and front-back
_DOMES = {
    "right": (62.0, 15.0, 74.0, 70.0, 85.0),
    "left": (-60.0, 12.0, 60.0, 72.0, 88.0),
    "under_heart": (-4.0, 36.0, 50.0, 80.0, 72.0),
}
DOME_DROP_MM = 60.0


def dome_top_mm(side: str) -> NDArray[np.float64]:
    """Return the (3,) highest point of the diaphragm on one side."""
    return np.array(_DOMES[side][:3])


def cavity_outline_mm(z_mm: float) -> tuple[float, float, float, float]:
    """Return centre y, half width, half depth and height of the cross-section of the body cavity."""
    _, width, front, back = (np.interp(z_mm, _CAVITY[:, 0], column) for column in _CAVITY.T)
    return float(front + back) / 2, float(width), float(front - back) / 2, z_mm


def skin_front_mm(z_mm: float) -> NDArray[np.float64]:
    """Return the (3,) point of the skin in the midline in front."""
    return np.array([0.0, np.interp(z_mm, _SKIN[:, 0], _SKIN[:, 2]), z_mm])


def paint_trunk(canvas: Canvas) -> None:
    """Paint skin, fat, muscle, abdominal fat, mediastinum and lungs; organs and bones come on top."""
    level = np.clip(canvas.z - LOWEST_MM, 0, HIGHEST_MM - LOWEST_MM).astype(np.intp)
    curves = _tabulated_curves()
    is_leg = canvas.z < LEG_TOP_MM
    x = np.where(is_leg, np.abs(canvas.x) - LEG_MIDDLE_MM, canvas.x) if is_leg.any() else canvas.x
    for name, tissue in (("skin", Tissue.SKIN), ("fat", Tissue.FAT), ("muscle", Tissue.MUSCLE)):
        width, middle, depth = curves[name][:, level]
        if is_leg.any():
            width = np.where(is_leg, width * np.float32(LEG_RADIUS_MM / 150.0), width)
        canvas.tissue[_is_within(x / width, (canvas.y - middle) / depth)] = tissue
    width, middle, depth = curves["cavity"][:, level]
    is_cavity = _is_within(canvas.x / width, (canvas.y - middle) / depth)
    is_cavity &= (canvas.z > CAVITY_LOWEST_MM) & (canvas.z < CAVITY_HIGHEST_MM)
    _paint_cavity(canvas, is_cavity, curves["mediastinum"][0][level])


def is_below_diaphragm(x: Field, y: Field, z: Field) -> NDArray[np.bool_]:
    """Tell which points of the body cavity belong to the abdomen."""
    is_below = np.zeros(z.shape, np.bool_)
    for centre_x, centre_y, top, reach_x, reach_y in _DOMES.values():
        drop = ((x - centre_x) / reach_x) ** 2 + ((y - centre_y) / reach_y) ** 2
        is_below |= z < top - DOME_DROP_MM * drop
    return is_below


def _paint_cavity(canvas: Canvas, is_cavity: NDArray[np.bool_], mediastinum_mm: Field) -> None:
    """Paint the fat of abdomen and mediastinum, and the lungs beside the mediastinum."""
    narrowing = np.clip((60.0 - canvas.y) / 45.0, 0.2, 1.0)
    is_chest = is_cavity & ~is_below_diaphragm(canvas.x, canvas.y, canvas.z)
    canvas.tissue[is_cavity] = Tissue.VISCERAL_FAT
    canvas.tissue[is_chest] = Tissue.MEDIASTINAL_FAT
    is_lung = is_chest & (np.abs(canvas.x) > mediastinum_mm * narrowing)
    canvas.tissue[is_lung] = Tissue.LUNG
    canvas.organ[is_lung & (canvas.x > 0)] = ORGAN_IDS["lung_right"]
    canvas.organ[is_lung & (canvas.x < 0)] = ORGAN_IDS["lung_left"]


def _is_within(u: Field, v: Field) -> NDArray[np.bool_]:
    """Tell which points (u, v) lie within the unit cross-section, a circle blown up towards its box."""
    # beyond 1.5 the term of the corners would turn the inequality around
    u_squared, v_squared = np.minimum(u * u, 1.5), np.minimum(v * v, 1.5)
    return u_squared + v_squared - np.float32(SQUARENESS) * u_squared * v_squared < 1.0


@cache
def _tabulated_curves() -> dict[str, NDArray[np.float32]]:
    """Return for each outline (3, heights) half width, middle and half depth in steps of 1 mm."""
    heights = np.arange(LOWEST_MM, HIGHEST_MM + 1.0)
    skin = _smooth_table(heights, _SKIN)
    fat_side, fat_front, fat_back = _smooth_table(heights, _FAT_THICKNESS)
    under_skin = skin - np.array([3.0, 3.0, -3.0])[:, None]
    muscle = skin - np.stack([fat_side, fat_front, -fat_back])
    outlines = {
        "skin": skin,
        "fat": under_skin,
        "muscle": muscle,
        "cavity": _smooth_table(heights, _CAVITY),
    }
    curves = {
        name: np.stack([width, (front + back) / 2, (front - back) / 2]).astype(np.float32)
        for name, (width, front, back) in outlines.items()
    }
    curves["mediastinum"] = _smooth_table(heights, _MEDIASTINUM).astype(np.float32)
    return curves


def _smooth_table(heights: NDArray[np.float64], nodes: NDArray) -> NDArray[np.float64]:
    """Return (columns, heights) values interpolated from nodes and rounded off over 8 mm."""
    columns = [np.interp(heights, nodes[:, 0], column) for column in nodes[:, 1:].T]
    return gaussian_filter1d(np.stack(columns), 8.0, axis=1, mode="nearest")
