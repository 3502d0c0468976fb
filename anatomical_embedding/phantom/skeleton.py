"""The bones of the atlas: vertebrae, ribs, sternum, shoulders, pelvis and femora."""

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.phantom.parts import organ_parts
from anatomical_embedding.phantom.shapes import (
    Capsule,
    Drum,
    Part,
    Point,
    Points,
    Solid,
    ellipsoid,
    mirrored,
    tube,
)
from anatomical_embedding.phantom.spine import (
    LEVELS,
    canal_centre_mm,
    disc_centre_mm,
    vertebra_centre_mm,
    vertebra_pitch_mm,
    vertebra_radii_mm,
)
from anatomical_embedding.phantom.tissues import NUM_RIBS, ORGAN_IDS, SIDES, Tissue
from anatomical_embedding.phantom.trunk import SQUARENESS, cavity_outline_mm

STERNUM_TOP_MM = np.array([0.0, 34.0, 190.0])
STERNUM_BOTTOM_MM = np.array([0.0, 93.0, 58.0])
_STERNUM_PATH_MM = np.array([STERNUM_TOP_MM, (0, 52, 168), (0, 76, 128), (0, 89, 88), STERNUM_BOTTOM_MM])

FEMORAL_HEAD_MM = np.array([80.0, -4.0, -205.0])
GREATER_TROCHANTER_MM = np.array([130.0, -22.0, -212.0])
ILIAC_CREST_MM = np.array([92.0, -24.0, -78.0])
ILIAC_SPINE_MM = np.array([104.0, 38.0, -128.0])
SACRUM_TIP_MM = np.array([0.0, -84.0, -218.0])
CLAVICLE_MEDIAL_MM = np.array([13.0, 38.0, 193.0])
HUMERAL_HEAD_MM = np.array([138.0, -10.0, 196.0])

# ribs 1 to 12: how far the bone goes round from the back (180 is the middle in front), and how far it falls
_RIB_END_DEGREES = (150, 150, 152, 152, 152, 150, 146, 136, 124, 110, 86, 60)
_RIB_DROP_MM = (34, 44, 54, 62, 70, 78, 84, 86, 82, 74, 58, 40)


def skeleton_parts() -> list[Part]:
    """Return all bones in the order of painting."""
    parts: list[Part] = []
    for number in range(1, NUM_RIBS + 1):
        for side in SIDES:
            parts += _rib_parts(number, side)
    parts += _sternum_parts()
    for level in LEVELS:
        parts += _vertebra_parts(level)
    parts += _canal_parts()
    parts += _sacrum_parts()
    for side, sign in SIDES.items():
        parts += _shoulder_parts(side, sign)
        parts += _pelvis_parts(side, sign)
    return parts


def rib_path_mm(number: int, side: str) -> NDArray[np.float64]:
    """Return (N, 3) points along the middle of a rib, from the vertebra to the front end of the bone."""
    centre = vertebra_centre_mm(f"T{number}")
    last = _RIB_END_DEGREES[number - 1]
    points = []
    for degrees in np.linspace(14.0, last, max(5, int(last / 14))):
        angle = np.deg2rad(degrees)
        z_mm = centre[2] - _RIB_DROP_MM[number - 1] * (1 - np.cos(angle)) / 2
        points.append(_point_on_chest_wall(angle, z_mm))
    head = [vertebra_radii_mm(f"T{number}")[0] + 2.0, centre[1] - 6.0, centre[2] + 4.0]
    return mirrored(np.vstack([head, points]), side=SIDES[side])


def _point_on_chest_wall(angle: float, z_mm: float) -> list[float]:
    """Return the point 5 mm outside of the body cavity, at an angle from the back towards the right."""
    middle, width, depth, _ = cavity_outline_mm(z_mm)
    crossed = SQUARENESS * (np.sin(angle) * np.cos(angle)) ** 2
    radius = 1.0 if crossed < 1e-9 else np.sqrt((1 - np.sqrt(1 - 4 * crossed)) / (2 * crossed))  # noqa: PLR2004
    return [(width + 5) * radius * np.sin(angle), middle - (depth + 5) * radius * np.cos(angle), z_mm]


def _rib_parts(number: int, side: str) -> list[Part]:
    """Return a rib, and its cartilage to the sternum for the upper ten."""
    path = rib_path_mm(number, side)
    radius_mm = 4.2 if number == 1 else 4.8
    rib = organ_parts(tube(path, radius_mm, step_mm=20.0), f"rib_{side}_{number}", Tissue.RIB)
    if number > 10:  # noqa: PLR2004
        return rib
    share = min(number, 7) / 7.2
    joint = np.array([SIDES[side] * 12.0, *(_on_sternum(share)[1:])])
    middle = (path[-1] + joint) / 2 + np.array([0.0, 5.0, -5.0])
    cartilage = tube(np.vstack([path[-1], middle, joint]), 4.5, step_mm=20.0)
    return organ_parts(cartilage, "costal_cartilages", Tissue.CARTILAGE) + rib


def _on_sternum(share: float) -> NDArray[np.float64]:
    """Return the point of the sternum's middle line at a share of its height from the top."""
    z_mm = STERNUM_TOP_MM[2] + share * (STERNUM_BOTTOM_MM[2] - STERNUM_TOP_MM[2])
    y_mm = np.interp(z_mm, _STERNUM_PATH_MM[::-1, 2], _STERNUM_PATH_MM[::-1, 1])
    return np.array([0.0, y_mm, z_mm])


def _sternum_parts() -> list[Part]:
    """Return the sternum, a broad manubrium above a narrower body."""
    solids: list[Solid] = []
    for share_across in (-1.0, 0.0, 1.0):
        path = _STERNUM_PATH_MM.copy()
        path[:, 0] = share_across * np.array([17.0, 12.0, 9.0, 9.0, 2.0])
        solids += tube(path, 5.5)
    core = tube(_STERNUM_PATH_MM[:-1], 3.0)
    return organ_parts(solids, "sternum", Tissue.RIB) + organ_parts(core, "sternum", Tissue.BONE_SPONGY)


def _vertebra_parts(level: str) -> list[Part]:
    """Return one vertebra with the disc below it.

    Levels differ in size, in the slant of the spinous process and in the length of the transverse processes.
    """
    name, pitch_mm = f"vertebra_{level}", vertebra_pitch_mm(level)
    centre, (radius_x, radius_y) = vertebra_centre_mm(level), vertebra_radii_mm(level)
    canal = canal_centre_mm(float(centre[2]))
    thoracic = np.clip(1.0 - abs(LEVELS.index(level) - LEVELS.index("T7")) / 7.0, 0.0, 1.0)
    spinous_end = canal + np.array([0.0, -27.0 + 4.0 * thoracic, -6.0 - 16.0 * thoracic])
    reach_mm = np.interp(LEVELS.index(level), [0, 3, 14, 17, 19], [20, 29, 19, 37, 31])
    lumbar = level.startswith("L")
    solids: list[Solid] = [Drum(canal, (15.0, 13.0), 0.3 * pitch_mm)]
    solids.append(Capsule(canal - [0, 8, 0], spinous_end, (5.5, 6.5 if lumbar else 4.0)))
    for sign in SIDES.values():
        start = canal + np.array([sign * 9.0, 2.0, 1.0])
        end = canal + np.array([sign * reach_mm, 4.0 if lumbar else -7.0, 3.0])
        solids.append(Capsule(start, end, (5.5, 3.8)))
    solids.append(Drum(centre, (radius_x, radius_y), 0.4 * pitch_mm))
    core = Drum(centre, (radius_x - 2.5, radius_y - 2.5), 0.4 * pitch_mm - 2.0)
    disc = Drum(disc_centre_mm(level), (radius_x, radius_y), 0.1 * pitch_mm)
    return [
        Part(disc, ORGAN_IDS["unlabelled"], Tissue.DISC),
        *organ_parts(solids, name, Tissue.BONE_CORTICAL),
        *organ_parts([core], name, Tissue.BONE_SPONGY),
    ]


def _canal_parts() -> list[Part]:
    """Return the fluid of the spinal canal and the cord, which ends at L1."""
    heights = np.arange(-150.0, 331.0, 20.0)
    canal = [canal_centre_mm(float(z)) for z in heights]
    cord = [canal_centre_mm(float(z)) for z in heights if z > -20.0]  # noqa: PLR2004
    return organ_parts(tube(canal, 8.0, step_mm=20.0), "spinal_cord", Tissue.FLUID) + organ_parts(
        tube(cord, 4.6, step_mm=20.0), "spinal_cord", Tissue.CORD
    )


def _sacrum_parts() -> list[Part]:
    """Return the sacrum with its wings and the coccyx."""
    top = np.array([0.0, -44.0, -136.0])
    path: list[Point] = [top, (0, -60, -165), (0, -80, -195), SACRUM_TIP_MM]
    shell: list[Solid] = [*tube(path, [21.0, 18.0, 11.0, 4.0])]
    core: list[Solid] = [*tube(path[:-1], [18.0, 15.0, 8.0])]
    for sign in SIDES.values():
        wing = mirrored([(10, -50, -142), (40, -54, -150), (34, -64, -172)], side=sign)
        shell += tube(wing, [18.0, 14.0, 8.0])
        core += tube(wing, [15.0, 11.0, 5.0])
    return organ_parts(shell, "sacrum", Tissue.BONE_CORTICAL) + organ_parts(
        core, "sacrum", Tissue.BONE_SPONGY
    )


def _shoulder_parts(side: str, sign: int) -> list[Part]:
    """Return clavicle, scapula and humeral head of one side."""
    clavicle = tube(mirrored([CLAVICLE_MEDIAL_MM, (60, 38, 205), (116, 2, 212)], side=sign), [6.5, 5, 5.5])
    blade: list[Solid] = [
        ellipsoid(mirrored((96, -80, 150), side=sign), (26, 4.5, 44), turn_degrees=(0, -14 * sign, 30 * sign))
    ]
    spine = tube(mirrored([(76, -92, 170), (128, -58, 200)], side=sign), 5.0)
    head = mirrored(HUMERAL_HEAD_MM, side=sign)
    return [
        *organ_parts(clavicle, f"clavicle_{side}", Tissue.BONE_CORTICAL),
        *organ_parts([*blade, *spine], f"scapula_{side}", Tissue.BONE_CORTICAL),
        *organ_parts([ellipsoid(head, (19, 19, 19))], f"humerus_{side}", Tissue.BONE_CORTICAL),
        *organ_parts([ellipsoid(head, (16, 16, 16))], f"humerus_{side}", Tissue.BONE_SPONGY),
    ]


def _pelvis_parts(side: str, sign: int) -> list[Part]:
    """Return hip bone and femur of one side."""

    def at(points: Point | Points) -> NDArray[np.float64]:
        return mirrored(points, side=sign)

    socket = ellipsoid(at(FEMORAL_HEAD_MM), (27, 27, 27))
    rami = [
        *tube(at([(70, 22, -198), (32, 40, -206), (5, 42, -218)]), [10, 8, 9]),
        *tube(at([(76, -28, -215), (58, -36, -250), (30, 8, -240), (7, 36, -224)]), [12, 11, 6, 6]),
    ]
    wing = [capsule for path in _wing_paths_mm() for capsule in tube(at(path), [8, 7, 7, 9], step_mm=20)]
    core = [capsule for path in _wing_paths_mm() for capsule in tube(at(path), [5, 4, 4, 6], step_mm=20)]
    head, neck_end = at(FEMORAL_HEAD_MM), at(GREATER_TROCHANTER_MM)
    shaft = at([GREATER_TROCHANTER_MM - [6, 0, 6], (112, -12, -260), (100, -8, -350)])
    femur: list[Solid] = [
        ellipsoid(head, (22, 22, 22)),
        Capsule(head, neck_end, (15, 13)),
        *tube(shaft, [15, 14, 13]),
    ]
    marrow: list[Solid] = [
        ellipsoid(head, (19, 19, 19)),
        Capsule(head, neck_end, (11, 10)),
        *tube(shaft, [11, 7, 7]),
    ]
    return [
        *organ_parts([*wing, socket, *rami], f"hip_{side}", Tissue.BONE_CORTICAL),
        *organ_parts(core, f"hip_{side}", Tissue.BONE_SPONGY),
        *organ_parts([ellipsoid(head, (24, 24, 24))], f"hip_{side}", Tissue.CARTILAGE),
        *organ_parts(femur, f"femur_{side}", Tissue.BONE_CORTICAL),
        *organ_parts(marrow, f"femur_{side}", Tissue.BONE_SPONGY),
    ]


def _wing_paths_mm() -> list[NDArray[np.float64]]:
    """Return (4, 3) points of close paths from back to front that cover the right iliac wing."""
    upper = np.array([(46, -66, -120), ILIAC_CREST_MM, (112, 12, -96), ILIAC_SPINE_MM])
    middle = np.array([(48, -62, -142), (80, -34, -112), (100, 8, -118), (98, 22, -150)])
    lower = np.array([(50, -58, -160), (78, -30, -142), (92, 0, -148), (90, 10, -178)])
    between = [(1 - share) * upper + share * middle for share in (0.0, 0.34, 0.67)]
    return between + [(1 - share) * middle + share * lower for share in (0.0, 0.34, 0.67, 1.0)]
