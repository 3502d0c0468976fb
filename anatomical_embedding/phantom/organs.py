"""Muscles and organs of the atlas, as parts in their order of painting."""

import numpy as np

from anatomical_embedding.phantom.parts import ABDOMEN, CHEST, organ_parts
from anatomical_embedding.phantom.places import (
    BLADDER,
    CARINA_MM,
    CECUM_MM,
    GALLBLADDER,
    HEART,
    HEART_APEX_MM,
    HEPATIC_FLEXURE_MM,
    KIDNEY_HILA_MM,
    KIDNEYS,
    LEFT_ATRIUM,
    LEFT_VENTRICLE,
    LIVER,
    LIVER_LEFT_LOBE,
    LUNG_ROOT_MM,
    NAVEL_MM,
    PANCREAS_HEAD_MM,
    PANCREAS_TAIL_MM,
    PROSTATE,
    PYLORUS_MM,
    SPLEEN,
    SPLENIC_FLEXURE_MM,
    STOMACH_FUNDUS,
)
from anatomical_embedding.phantom.shapes import Part, Point, ellipsoid, mirrored, shrunk, tube
from anatomical_embedding.phantom.spine import spine_y_mm
from anatomical_embedding.phantom.tissues import SIDES, Tissue


def muscle_parts() -> list[Part]:
    """Return the muscles along the spine, each in a thin coat of fat, the psoas muscles and the navel."""
    parts = organ_parts(
        ellipsoid(NAVEL_MM, (9, 14, 9)), "unlabelled", Tissue.SKIN, over=(Tissue.SKIN, Tissue.FAT)
    )
    parts += organ_parts(ellipsoid(NAVEL_MM, (5, 10, 5)), "unlabelled", Tissue.AIR)
    heights = np.arange(-170.0, 235.0, 25.0)
    for side, sign in SIDES.items():
        column = [mirrored((27, spine_y_mm(z) - 34, z), side=sign) for z in heights]
        radii = np.interp(heights, [-170, -100, -40, 60, 200, 235], [9, 19, 21, 17, 12, 10])
        psoas = mirrored([(26, -34, -8), (38, -24, -80), (56, 0, -150), (86, 18, -205)], side=sign)
        parts += organ_parts(
            tube(column, radii + 3, step_mm=25), "unlabelled", Tissue.FAT, over=(Tissue.MUSCLE,)
        )
        parts += organ_parts(
            tube(column, radii, step_mm=25),
            f"erector_spinae_{side}",
            Tissue.LEAN_MUSCLE,
            over=(Tissue.FAT, Tissue.MUSCLE),
        )
        parts += organ_parts(tube(psoas, [6, 17, 18, 12], step_mm=25), f"psoas_{side}", Tissue.LEAN_MUSCLE)
    return parts


def heart_parts() -> list[Part]:
    """Return heart muscle and chambers in a coat of fat, trachea and main airways."""
    coat = shrunk(HEART, wall_mm=-4.0)
    apex = tube([HEART.centre_mm, HEART_APEX_MM], [22, 12])
    chambers = [
        *organ_parts(ellipsoid((2, 46, 88), (26, 14, 24), turn_degrees=(0, -25, 0)), "heart", Tissue.VEIN),
        *organ_parts(ellipsoid((20, 22, 98), (17, 17, 22)), "heart", Tissue.VEIN),
        *organ_parts([shrunk(LEFT_VENTRICLE, wall_mm=-8.0)], "heart", Tissue.HEART_MUSCLE),
        *organ_parts(LEFT_VENTRICLE, "heart", Tissue.ARTERY),
        *organ_parts(LEFT_ATRIUM, "heart", Tissue.ARTERY),
    ]
    esophagus: list[Point] = [
        (0, -22, 330),
        (0, -17, 230),
        (-3, -26, 185),
        (-4, -31, 140),
        (-6, -22, 70),
        (-26, -8, 40),
    ]
    trachea: list[Point] = [(0, -2, 330), (0, -4, 240), (0, -10, 195), CARINA_MM]
    airways = [*tube(trachea, 8.5)]
    for sign in SIDES.values():
        airways += tube([CARINA_MM, mirrored(LUNG_ROOT_MM, side=sign)], [7.0, 5.5])
    walls = [
        type(part)(part.start_mm, part.end_mm, (part.radii_mm[0] + 2, part.radii_mm[1] + 2))
        for part in airways
    ]
    return [
        *organ_parts(coat, "unlabelled", Tissue.MEDIASTINAL_FAT, over=CHEST),
        *organ_parts([HEART, *apex], "heart", Tissue.HEART_MUSCLE, over=CHEST),
        *chambers,
        *organ_parts(tube(esophagus, 7.0), "esophagus", Tissue.BOWEL_WALL),
        *organ_parts(tube(esophagus[:-1], 2.2), "esophagus", Tissue.BOWEL_GAS),
        *organ_parts(walls, "trachea", Tissue.SOFT_TISSUE),
        *organ_parts(airways, "trachea", Tissue.AIRWAY),
    ]


def abdominal_organ_parts() -> list[Part]:
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
    pancreas = tube([PANCREAS_HEAD_MM, (6, 18, -10), (-34, 4, 8), PANCREAS_TAIL_MM], [14, 10, 9.5, 8])
    parts = [
        *organ_parts([LIVER, LIVER_LEFT_LOBE], "liver", Tissue.LIVER, over=ABDOMEN),
        *organ_parts(hepatic_veins, "liver", Tissue.VEIN, over=(Tissue.LIVER,)),
        *organ_parts(portal_branches, "liver", Tissue.PORTAL_VEIN, over=(Tissue.LIVER,)),
        *organ_parts(GALLBLADDER, "gallbladder", Tissue.FLUID),
        *organ_parts(SPLEEN, "spleen", Tissue.SPLEEN, over=ABDOMEN),
        *organ_parts(pancreas, "pancreas", Tissue.PANCREAS, over=ABDOMEN),
        *organ_parts(portal_trunk, "portal_vein", Tissue.PORTAL_VEIN),
    ]
    for side, kidney in KIDNEYS.items():
        inner = shrunk(kidney, wall_mm=7.0)
        sinus = ellipsoid(KIDNEY_HILA_MM[side] + mirrored((4, 0, 0), side=SIDES[side]), (11, 8, 17))
        parts += organ_parts(
            [shrunk(kidney, wall_mm=-4.0)], "unlabelled", Tissue.VISCERAL_FAT, over=(Tissue.LIVER,)
        )
        parts += organ_parts(kidney, f"kidney_{side}", Tissue.KIDNEY_CORTEX)
        parts += organ_parts(inner, f"kidney_{side}", Tissue.KIDNEY_MEDULLA)
        parts += organ_parts(
            sinus, "unlabelled", Tissue.VISCERAL_FAT, over=(Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA)
        )
    return parts


def bowel_parts() -> list[Part]:
    """Return stomach, duodenum, small bowel and colon."""
    body: list[Point] = [(-54, 0, 30), (-48, 32, 0), (-20, 46, -20), PYLORUS_MM]
    radii = np.array([28.0, 26.0, 20.0, 12.0])
    duodenum: list[Point] = [PYLORUS_MM, (42, 36, -38), (47, 14, -62), (18, 4, -74), (-22, 10, -58)]
    colon: list[Point] = [
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
    loops = [
        ellipsoid((4, 34, -100), (74, 40, 48)),
        ellipsoid((0, 26, -150), (52, 34, 34)),
        ellipsoid((-58, 22, -58), (30, 34, 30)),
    ]
    return [
        *organ_parts([STOMACH_FUNDUS, *tube(body, radii)], "stomach", Tissue.BOWEL_WALL, over=ABDOMEN),
        *organ_parts(
            [shrunk(STOMACH_FUNDUS, wall_mm=4.0), *tube(body, radii - 4.0)],
            "stomach",
            Tissue.BOWEL_CONTENT,
            over=(Tissue.BOWEL_WALL,),
        ),
        *organ_parts(
            ellipsoid((-50, 22, 30), (22, 13, 26)), "stomach", Tissue.BOWEL_GAS, over=(Tissue.BOWEL_CONTENT,)
        ),
        *organ_parts(loops, "small_bowel", Tissue.SMALL_BOWEL, over=ABDOMEN),
        *organ_parts(
            tube(course, colon_fine), "colon", Tissue.BOWEL_WALL, over=(*ABDOMEN, Tissue.SMALL_BOWEL)
        ),
        *organ_parts(
            tube(course, colon_fine - 3.5), "colon", Tissue.COLON_CONTENT, over=(Tissue.BOWEL_WALL,)
        ),
        *organ_parts(
            tube(duodenum, 12.0), "duodenum", Tissue.BOWEL_WALL, over=(*ABDOMEN, Tissue.SMALL_BOWEL)
        ),
        *organ_parts(tube(duodenum, 7.0), "duodenum", Tissue.BOWEL_CONTENT, over=(Tissue.BOWEL_WALL,)),
    ]


def pelvic_organ_parts() -> list[Part]:
    """Return bladder and prostate."""
    return [
        *organ_parts([shrunk(BLADDER, wall_mm=-4.0)], "bladder", Tissue.SOFT_TISSUE),
        *organ_parts(BLADDER, "bladder", Tissue.FLUID),
        *organ_parts(PROSTATE, "prostate", Tissue.SOFT_TISSUE),
    ]
