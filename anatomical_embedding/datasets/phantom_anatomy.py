"""The atlas body: organs and vessels placed along the spine, and the whole atlas in its order of painting.

Atlas millimetres are RAS+ with the origin at the upper edge of L1 (see `phantom_spine`). Every organ keeps its
place relative to the vertebral levels, so that a level can be told from what lies around it.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.datasets.phantom_shapes import (
    Canvas,
    Ellipsoid,
    Field,
    Part,
    Solid,
    ellipsoid,
    mirrored,
    tube,
)
from anatomical_embedding.datasets.phantom_skeleton import skeleton_parts
from anatomical_embedding.datasets.phantom_spine import spine_y_mm
from anatomical_embedding.datasets.phantom_tissues import ORGAN_IDS, SIDES, Tissue
from anatomical_embedding.datasets.phantom_trunk import paint_trunk

VESSEL_TREE_SEED = 20
"""Seed of the branches of the lung vessels, which are the same in all bodies."""

LUNG_ROOT_MM = np.array([34.0, -10.0, 134.0])
CARINA_MM = np.array([1.0, -16.0, 152.0])
ARCH_TOP_MM = np.array([-7.0, 2.0, 169.0])
AORTIC_BIFURCATION_MM = np.array([-2.0, -6.0, -88.0])
COELIAC_ORIGIN_MM = np.array([-5.0, -2.0, 8.0])
HEPATIC_FLEXURE_MM = np.array([88.0, 26.0, -42.0])
SPLENIC_FLEXURE_MM = np.array([-90.0, 14.0, 0.0])
CECUM_MM = np.array([82.0, 22.0, -122.0])
PYLORUS_MM = np.array([20.0, 42.0, -14.0])
PANCREAS_HEAD_MM = np.array([30.0, 14.0, -18.0])
PANCREAS_TAIL_MM = np.array([-70.0, -14.0, 14.0])
ILIAC_FORK_MM = np.array([44.0, -14.0, -142.0])

LIVER = ellipsoid((66, 6, 16), (56, 68, 58))
LIVER_LEFT_LOBE = ellipsoid((8, 42, 26), (54, 32, 24), turn_degrees=(0, 12, 0))
SPLEEN = ellipsoid((-96, -36, 26), (21, 38, 37), turn_degrees=(-20, 0, 0))
STOMACH_FUNDUS = ellipsoid((-54, -6, 38), (34, 36, 30))
GALLBLADDER = ellipsoid((46, 54, -26), (11, 20, 14))
HEART = ellipsoid((-18, 30, 92), (48, 36, 38), turn_degrees=(0, 18, 0))
HEART_APEX_MM = np.array([-62.0, 40.0, 72.0])
LEFT_VENTRICLE = ellipsoid((-36, 26, 84), (24, 19, 22), turn_degrees=(0, -20, 0))
LEFT_ATRIUM = ellipsoid((-8, -2, 114), (24, 13, 16))
BLADDER = ellipsoid((0, 18, -202), (36, 28, 25))
PROSTATE = ellipsoid((0, 0, -232), (21, 16, 13))
KIDNEYS = {
    "right": ellipsoid((64, -38, -42), (23, 20, 47), turn_degrees=(-8, 12, 0)),
    "left": ellipsoid((-66, -40, -26), (23, 20, 48), turn_degrees=(-8, -12, 0)),
}
KIDNEY_HILA_MM = {"right": np.array([44.0, -28.0, -44.0]), "left": np.array([-46.0, -30.0, -28.0])}


@dataclass(frozen=True)
class Mover:
    """A region of the atlas that moves and grows as one between bodies.

    Attributes
    ----------
    centre_mm : (3,).
    width_mm : standard deviation of the Gaussian that fades the motion out.
    """

    centre_mm: tuple[float, float, float]
    width_mm: float


ORGAN_MOVERS: tuple[Mover, ...] = (
    Mover((66, 6, 16), 55),  # liver
    Mover((-90, -30, 26), 38),  # spleen
    Mover((-45, 15, 15), 42),  # stomach
    Mover((64, -38, -42), 36),  # right kidney
    Mover((-66, -40, -26), 36),  # left kidney
    Mover((-18, 30, 92), 48),  # heart
    Mover((0, 0, 155), 40),  # great vessels
    Mover((75, -20, 130), 50),  # right lung
    Mover((-75, -20, 130), 50),  # left lung
    Mover((0, 35, -95), 50),  # bowel
    Mover((0, 15, -205), 38),  # bladder
    Mover((85, -10, -190), 45),  # right hip
    Mover((-85, -10, -190), 45),  # left hip
    Mover((0, -20, 235), 45),  # neck
)
"""What is shifted and resized at random between bodies."""

BREATHING_MOVERS: tuple[Mover, ...] = (Mover((62, 12, 40), 52), Mover((-60, 10, 36), 52))
"""What moves towards feet and head with the breath: the two domes of the diaphragm."""


def paint_atlas(x: Field, y: Field, z: Field) -> Canvas:
    """Return organ and tissue of a grid of atlas points.

    Parameters
    ----------
    x, y, z : (X, Y, Z) float32 atlas coordinates in mm.
    """
    canvas = Canvas(x, y, z)
    paint_trunk(canvas)
    canvas.paint(atlas_parts())
    return canvas


@cache
def atlas_parts() -> tuple[Part, ...]:
    """Return all solids of the atlas in the order of painting."""
    return (
        *_muscle_parts(),
        *_lung_tree_parts(),
        *_heart_parts(),
        *_abdominal_organ_parts(),
        *_bowel_parts(),
        *_pelvic_organ_parts(),
        *_artery_parts(),
        *_vein_parts(),
        *skeleton_parts(),
    )


_ABDOMEN = (Tissue.VISCERAL_FAT,)
_CHEST = (Tissue.LUNG, Tissue.MEDIASTINAL_FAT, Tissue.LUNG_VESSEL)


def _parts(
    solids: Solid | list, organ: str, tissue: Tissue, *, over: tuple[Tissue, ...] | None = None
) -> list[Part]:
    """Return solids as parts of one organ."""
    return [
        Part(solid, ORGAN_IDS[organ], tissue, over)
        for solid in (solids if isinstance(solids, list) else [solids])
    ]


def _shrunk(solid: Ellipsoid, *, wall_mm: float) -> Ellipsoid:
    """Return an ellipsoid with a wall taken off."""
    lengths = np.linalg.norm(solid.axes_mm, axis=0)
    return Ellipsoid(solid.centre_mm, solid.axes_mm * (1 - wall_mm / lengths))


def _muscle_parts() -> list[Part]:
    """Return the muscles along the spine, each in a thin coat of fat, and the psoas muscles."""
    parts = []
    heights = np.arange(-170.0, 235.0, 25.0)
    for side, sign in SIDES.items():
        column = [mirrored((27, spine_y_mm(z) - 34, z), side=sign) for z in heights]
        radii = np.interp(heights, [-170, -100, -40, 60, 200, 235], [9, 19, 21, 17, 12, 10])
        psoas = mirrored([(26, -34, -8), (38, -24, -80), (56, 0, -150), (86, 18, -205)], side=sign)
        parts += _parts(tube(column, radii + 3, step_mm=25), "unlabelled", Tissue.FAT, over=(Tissue.MUSCLE,))
        parts += _parts(
            tube(column, radii, step_mm=25),
            f"erector_spinae_{side}",
            Tissue.LEAN_MUSCLE,
            over=(Tissue.FAT, Tissue.MUSCLE),
        )
        parts += _parts(tube(psoas, [6, 17, 18, 12], step_mm=25), f"psoas_{side}", Tissue.LEAN_MUSCLE)
    return parts


def _lung_tree_parts() -> list[Part]:
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
        parts += _parts(branches, f"lung_{side}", Tissue.LUNG_VESSEL, over=(Tissue.LUNG,))
        lower = root + mirrored((26, -18, -50), side=sign)
        upper = root + mirrored((16, 2, 34), side=sign)
        for path in ([root, root + (lower - root) * 0.4, lower], [root, upper]):
            radii = np.linspace(5.5, 3.0, len(path))
            parts += _parts(tube(path, radii + 2), f"lung_{side}", Tissue.SOFT_TISSUE, over=_CHEST)
            parts += _parts(tube(path, radii), f"lung_{side}", Tissue.AIRWAY, over=(Tissue.SOFT_TISSUE,))
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


def _heart_parts() -> list[Part]:
    """Return heart muscle and chambers in a coat of fat, trachea and main airways."""
    coat = _shrunk(HEART, wall_mm=-4.0)
    apex = tube([HEART.centre_mm, HEART_APEX_MM], [22, 12])
    chambers = [
        *_parts(ellipsoid((2, 46, 88), (26, 14, 24), turn_degrees=(0, -25, 0)), "heart", Tissue.VEIN),
        *_parts(ellipsoid((20, 22, 98), (17, 17, 22)), "heart", Tissue.VEIN),
        *_parts([_shrunk(LEFT_VENTRICLE, wall_mm=-8.0)], "heart", Tissue.HEART_MUSCLE),
        *_parts(LEFT_VENTRICLE, "heart", Tissue.ARTERY),
        *_parts(LEFT_ATRIUM, "heart", Tissue.ARTERY),
    ]
    esophagus = [(0, -22, 330), (0, -17, 230), (-3, -26, 185), (-4, -31, 140), (-6, -22, 70), (-26, -8, 40)]
    trachea = [(0, -2, 330), (0, -4, 240), (0, -10, 195), CARINA_MM]
    airways = [*tube(trachea, 8.5)]
    for sign in SIDES.values():
        airways += tube([CARINA_MM, mirrored(LUNG_ROOT_MM, side=sign)], [7.0, 5.5])
    walls = [type(part)(part.start_mm, part.end_mm, (part.radii_mm[0] + 2, part.radii_mm[1] + 2)) for part in airways]
    return [
        *_parts(coat, "unlabelled", Tissue.MEDIASTINAL_FAT, over=_CHEST),
        *_parts([HEART, *apex], "heart", Tissue.HEART_MUSCLE, over=_CHEST),
        *chambers,
        *_parts(tube(esophagus, 7.0), "esophagus", Tissue.BOWEL_WALL),
        *_parts(tube(esophagus[:-1], 2.2), "esophagus", Tissue.BOWEL_GAS),
        *_parts(walls, "trachea", Tissue.SOFT_TISSUE),
        *_parts(airways, "trachea", Tissue.AIRWAY),
    ]


def _abdominal_organ_parts() -> list[Part]:
    """Return liver, gallbladder, spleen, kidneys and pancreas with their inner structure."""
    hepatic_root, portal_fork = (20, -8, 48), (38, 6, 4)
    hepatic_veins = [
        *tube([hepatic_root, (50, 6, 44), (94, -6, 32)], [6, 5, 3]),
        *tube([hepatic_root, (40, 24, 44), (62, 50, 26)], [6, 5, 3]),
        *tube([hepatic_root, (12, 20, 42), (-8, 44, 34)], [5.5, 4.5, 3]),
    ]
    portal_branches = [
        *tube([portal_fork, (66, 16, 8), (88, 36, 18)], [6.5, 5, 3]),
        *tube([portal_fork, (70, -10, -2), (94, -22, -10)], [6, 5, 3]),
        *tube([portal_fork, (24, 28, 16), (2, 42, 22)], [6, 5, 3]),
    ]
    portal_trunk = tube([(-4, 12, -12), (18, 4, -2), portal_fork], [7, 7.5, 7])
    pancreas = tube([PANCREAS_HEAD_MM, (6, 18, -4), (-34, 4, 8), PANCREAS_TAIL_MM], [14, 10, 9.5, 8])
    parts = [
        *_parts([LIVER, LIVER_LEFT_LOBE], "liver", Tissue.LIVER, over=_ABDOMEN),
        *_parts(hepatic_veins, "liver", Tissue.VEIN, over=(Tissue.LIVER,)),
        *_parts(portal_branches, "liver", Tissue.PORTAL_VEIN, over=(Tissue.LIVER,)),
        *_parts(GALLBLADDER, "gallbladder", Tissue.FLUID),
        *_parts(SPLEEN, "spleen", Tissue.SPLEEN, over=_ABDOMEN),
        *_parts(pancreas, "pancreas", Tissue.PANCREAS, over=_ABDOMEN),
        *_parts(portal_trunk, "portal_vein", Tissue.PORTAL_VEIN),
    ]
    for side, kidney in KIDNEYS.items():
        inner = _shrunk(kidney, wall_mm=7.0)
        sinus = ellipsoid(KIDNEY_HILA_MM[side] + mirrored((4, 0, 0), side=SIDES[side]), (11, 8, 17))
        parts += _parts([_shrunk(kidney, wall_mm=-4.0)], "unlabelled", Tissue.VISCERAL_FAT, over=(Tissue.LIVER,))
        parts += _parts(kidney, f"kidney_{side}", Tissue.KIDNEY_CORTEX)
        parts += _parts(inner, f"kidney_{side}", Tissue.KIDNEY_MEDULLA)
        parts += _parts(sinus, "unlabelled", Tissue.VISCERAL_FAT, over=(Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA))
    return parts


def _bowel_parts() -> list[Part]:
    """Return stomach, duodenum, small bowel and colon."""
    body = [(-54, 0, 30), (-48, 32, 0), (-20, 46, -20), PYLORUS_MM]
    radii = np.array([28.0, 26.0, 20.0, 12.0])
    duodenum = [PYLORUS_MM, (46, 24, -18), (48, 8, -52), (20, 2, -68), (-22, 10, -56)]
    colon = [
        CECUM_MM,
        (93, 10, -80),
        HEPATIC_FLEXURE_MM,
        (42, 62, -60),
        (-8, 66, -68),
        (-54, 56, -42),
        SPLENIC_FLEXURE_MM,
        (-98, -6, -60),
        (-90, 6, -116),
        (-48, 22, -150),
        (-6, -10, -164),
        (0, -42, -188),
        (0, -42, -228),
    ]
    colon_radii = np.array([23, 20, 19, 17, 18, 17, 17, 15, 14, 13, 13, 15, 12])
    bulges = 1.0 + 0.16 * np.cos(np.arange(3 * len(colon) - 2) * np.pi)
    fine = np.linspace(0, len(colon) - 1, len(bulges))
    course = np.column_stack([np.interp(fine, np.arange(len(colon)), column) for column in np.array(colon).T])
    colon_fine = np.interp(fine, np.arange(len(colon)), colon_radii) * bulges
    loops = [ellipsoid((4, 34, -100), (74, 40, 48)), ellipsoid((0, 26, -150), (52, 34, 34))]
    return [
        *_parts([STOMACH_FUNDUS, *tube(body, radii)], "stomach", Tissue.BOWEL_WALL, over=_ABDOMEN),
        *_parts(
            [_shrunk(STOMACH_FUNDUS, wall_mm=4.0), *tube(body, radii - 4.0)],
            "stomach",
            Tissue.BOWEL_CONTENT,
            over=(Tissue.BOWEL_WALL,),
        ),
        *_parts(ellipsoid((-50, 22, 30), (22, 13, 26)), "stomach", Tissue.BOWEL_GAS, over=(Tissue.BOWEL_CONTENT,)),
        *_parts(loops, "small_bowel", Tissue.SMALL_BOWEL, over=_ABDOMEN),
        *_parts(tube(course, colon_fine), "colon", Tissue.BOWEL_WALL, over=(*_ABDOMEN, Tissue.SMALL_BOWEL)),
        *_parts(tube(course, colon_fine - 3.5), "colon", Tissue.COLON_CONTENT, over=(Tissue.BOWEL_WALL,)),
        *_parts(tube(duodenum, 12.0), "duodenum", Tissue.BOWEL_WALL, over=(*_ABDOMEN, Tissue.SMALL_BOWEL)),
        *_parts(tube(duodenum, 7.0), "duodenum", Tissue.BOWEL_CONTENT, over=(Tissue.BOWEL_WALL,)),
    ]


def _pelvic_organ_parts() -> list[Part]:
    """Return bladder and prostate."""
    return [
        *_parts([_shrunk(BLADDER, wall_mm=-4.0)], "bladder", Tissue.SOFT_TISSUE),
        *_parts(BLADDER, "bladder", Tissue.FLUID),
        *_parts(PROSTATE, "prostate", Tissue.SOFT_TISSUE),
    ]


def _artery_parts() -> list[Part]:
    """Return the aorta from the heart to its fork, and its branches."""
    aorta = [
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
    lungs = [
        *tube([(-16, 34, 110), (-16, 20, 136)], 12.0),
        *tube([(-16, 20, 136), (10, 2, 138), LUNG_ROOT_MM], [11, 10, 8]),
        *tube([(-16, 20, 136), mirrored(LUNG_ROOT_MM, side=-1) + [0, 0, 8]], [10, 8]),
    ]
    return [
        *_parts(lungs, "pulmonary_artery", Tissue.VEIN, over=(*_CHEST, Tissue.HEART_MUSCLE, Tissue.SOFT_TISSUE)),
        *_parts(tube(aorta, radii), "aorta", Tissue.ARTERY),
        *_parts(branches, "arterial_branches", Tissue.ARTERY),
        *_parts(iliacs, "iliac_vessels", Tissue.ARTERY),
    ]


def _vein_parts() -> list[Part]:
    """Return the two great veins and their branches."""
    lower = [(20, 16, 82), (20, -8, 48), (19, -14, 5), (17, -6, -50), (12, -10, -94)]
    upper = [(22, 18, 112), (22, 14, 150), (18, 14, 186)]
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
        path = [(12, -10, -94), mirrored((36, -24, -140), side=sign), mirrored((46, 30, -206), side=sign)]
        iliacs += tube([*path, mirrored((52, 34, -300), side=sign)], [8, 7.5, 7, 6.5])
    return [
        *_parts([*tube(lower, 11.0), *kidney_veins], "inferior_vena_cava", Tissue.VEIN),
        *_parts([*tube(upper, 9.5), *arms], "superior_vena_cava", Tissue.VEIN),
        *_parts(iliacs, "iliac_vessels", Tissue.VEIN),
    ]


def pole_mm(solid: Ellipsoid, *, axis: int, sign: int) -> NDArray[np.float64]:
    """Return the (3,) end of an ellipsoid's half axis."""
    return np.asarray(solid.centre_mm + sign * solid.axes_mm[:, axis], dtype=np.float64)


def grid_of_points(points_mm: ArrayLike) -> tuple[Field, Field, Field]:
    """Return (N, 3) atlas points as the three (N, 1, 1) arrays that `paint_atlas` takes."""
    x, y, z = np.asarray(points_mm, dtype=np.float32).reshape(-1, 1, 1, 3).transpose(3, 0, 1, 2)
    return x, y, z
