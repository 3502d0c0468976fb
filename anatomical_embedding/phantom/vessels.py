"""Vessels and airways of the atlas, as parts in their order of painting."""

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.phantom.parts import CHEST, organ_parts
from anatomical_embedding.phantom.places import (
    AORTIC_BIFURCATION_MM,
    ARCH_TOP_MM,
    COELIAC_ORIGIN_MM,
    ILIAC_FORK_MM,
    KIDNEY_HILA_MM,
    LUNG_ROOT_MM,
)
from anatomical_embedding.phantom.shapes import Part, Point, mirrored, tube
from anatomical_embedding.phantom.tissues import SIDES, Tissue

VESSEL_TREE_SEED = 20
"""Seed of the branches of the lung vessels, which are the same in all bodies."""


def lung_tree_parts() -> list[Part]:
    """Return the vessels and airways of both lungs; their branches differ between the sides."""
    random = np.random.default_rng(VESSEL_TREE_SEED)
    parts = []
    for side, sign in SIDES.items():
        root = mirrored(LUNG_ROOT_MM, side=sign)
        middle = mirrored((74, -14, 110), side=sign)
        branches = []
        for direction in _spread_directions(11, random):
            fork = middle + direction * np.array([34.0, 42.0, 48.0])
            branches += tube([root, (root + fork) / 2 + random.normal(0, 5, 3), fork], [6.0, 4.8, 3.6])
            for _ in range(3):
                towards = direction + random.normal(0, 0.55, 3)
                tip = middle + towards / np.linalg.norm(towards) * np.array([58.0, 72.0, 90.0])
                branches += tube([fork, tip], [3.4, 1.8], step_mm=60.0)
        parts += organ_parts(branches, f"lung_{side}", Tissue.LUNG_VESSEL, over=(Tissue.LUNG,))
        lower = root + mirrored((26, -18, -50), side=sign)
        upper = root + mirrored((16, 2, 34), side=sign)
        for path in ([root, root + (lower - root) * 0.4, lower], [root, upper]):
            radii = np.linspace(5.5, 3.0, len(path))
            parts += organ_parts(tube(path, radii + 2), f"lung_{side}", Tissue.SOFT_TISSUE, over=CHEST)
            parts += organ_parts(tube(path, radii), f"lung_{side}", Tissue.AIRWAY, over=(Tissue.SOFT_TISSUE,))
    return parts


def _spread_directions(num_directions: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return (N, 3) unit vectors spread over the sphere, jittered."""
    index = np.arange(num_directions) + 0.5
    up = 1 - 2 * index / num_directions
    turn = np.pi * (1 + 5**0.5) * index
    ring = np.sqrt(1 - up**2)
    directions = np.column_stack([ring * np.cos(turn), ring * np.sin(turn), up])
    directions += random.normal(0, 0.15, directions.shape)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def artery_parts() -> list[Part]:
    """Return the aorta from the heart to its fork, and its branches."""
    aorta: list[Point] = [
        (-2, 18, 112),
        (8, 24, 146),
        ARCH_TOP_MM,
        (-21, -22, 150),
        (-22, -34, 110),
        (-16, -22, 45),
        (-6, -12, 5),
        (-5, -4, -50),
        AORTIC_BIFURCATION_MM,
    ]
    radii = [15, 14.5, 13, 12.5, 12, 11, 10.5, 9, 8.5]
    kidney_arteries = [tube([(-5, -8, -14), hilum], [4.5, 4]) for hilum in KIDNEY_HILA_MM.values()]
    branches = [
        *tube([(2, 8, 168), (12, 8, 196), (28, -4, 228), (24, 4, 330)], [7, 6.5, 5, 4.5]),
        *tube([(-6, 2, 170), (-18, 2, 200), (-24, 4, 330)], [5.5, 5, 4.5]),
        *tube([(-14, -8, 168), (-26, -14, 204), (-66, -6, 208), (-118, -20, 190)], [6, 6, 5.5, 5]),
        *tube([(12, 8, 198), (60, -6, 207), (118, -20, 190)], [6, 5.5, 5]),
        *tube([COELIAC_ORIGIN_MM, (-4, 14, 6), (24, 16, 8)], [5.5, 5, 3.5]),
        *tube([(-4, 14, 6), (-40, 8, 16), (-78, -26, 20)], [5, 4, 3.5]),
        *tube([(-5, -3, -8), (-3, 16, -24), (6, 30, -90)], [5.5, 5, 3.5]),
        *(capsule for artery in kidney_arteries for capsule in artery),
    ]
    iliacs = []
    for sign in SIDES.values():
        iliacs += tube(
            [AORTIC_BIFURCATION_MM, mirrored(ILIAC_FORK_MM, side=sign), mirrored((56, 40, -205), side=sign)],
            [7, 6.5, 6],
        )
        iliacs += tube([mirrored((56, 40, -205), side=sign), mirrored((62, 44, -300), side=sign)], 5.5)
    left_root = mirrored(LUNG_ROOT_MM, side=-1) + np.array([0.0, 0.0, 8.0])
    lungs = [
        *tube([(-16, 34, 110), (-16, 20, 136)], 12.0),
        *tube([(-16, 20, 136), (10, 2, 138), LUNG_ROOT_MM], [11, 10, 8]),
        *tube([(-16, 20, 136), left_root], [10, 8]),
    ]
    return [
        *organ_parts(
            lungs, "pulmonary_artery", Tissue.VEIN, over=(*CHEST, Tissue.HEART_MUSCLE, Tissue.SOFT_TISSUE)
        ),
        *organ_parts(tube(aorta, radii), "aorta", Tissue.ARTERY),
        *organ_parts(branches, "arterial_branches", Tissue.ARTERY),
        *organ_parts(iliacs, "iliac_vessels", Tissue.ARTERY),
    ]


def vein_parts() -> list[Part]:
    """Return the two great veins and their branches."""
    lower: list[Point] = [(20, 16, 82), (20, -8, 48), (19, -14, 5), (17, -6, -50), (12, -10, -94)]
    upper: list[Point] = [(22, 18, 112), (22, 14, 150), (18, 14, 186)]
    kidney_veins = [
        *tube([(17, -8, -28), KIDNEY_HILA_MM["right"] - [0, 0, 4]], [6, 5]),
        *tube([(17, -4, -16), (-8, 10, -14), KIDNEY_HILA_MM["left"] + [0, 0, 4]], [6, 5.5, 5]),
    ]
    arms = [
        *tube([(20, 14, 182), (34, 10, 206), (112, -10, 198)], [8, 6.5, 6]),
        *tube([(18, 14, 180), (-20, 22, 188), (-40, 12, 204), (-112, -10, 198)], [7.5, 6.5, 6, 6]),
    ]
    iliacs = []
    for sign in SIDES.values():
        path: list[Point] = [
            (12, -10, -94),
            mirrored((36, -24, -140), side=sign),
            mirrored((46, 30, -206), side=sign),
        ]
        iliacs += tube([*path, mirrored((52, 34, -300), side=sign)], [8, 7.5, 7, 6.5])
    return [
        *organ_parts([*tube(lower, 11.0), *kidney_veins], "inferior_vena_cava", Tissue.VEIN),
        *organ_parts([*tube(upper, 9.5), *arms], "superior_vena_cava", Tissue.VEIN),
        *organ_parts(iliacs, "iliac_vessels", Tissue.VEIN),
    ]
