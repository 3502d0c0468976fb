"""Where the organs of the atlas lie: solids and points that drawing, landmarks and deformation share.

Atlas millimetres are RAS+ with the origin at the upper edge of L1 (see `spine`). Every organ keeps
its place relative to the vertebral levels, so that a level can be told from what lies around it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.phantom.shapes import Ellipsoid, ellipsoid
from anatomical_embedding.phantom.trunk import skin_front_mm

LUNG_ROOT_MM = np.array([34.0, -10.0, 134.0])
CARINA_MM = np.array([1.0, -16.0, 152.0])
ARCH_TOP_MM = np.array([-7.0, 2.0, 169.0])
AORTIC_BIFURCATION_MM = np.array([-2.0, -6.0, -88.0])
COELIAC_ORIGIN_MM = np.array([-5.0, -2.0, 8.0])
HEPATIC_FLEXURE_MM = np.array([88.0, 26.0, -42.0])
SPLENIC_FLEXURE_MM = np.array([-90.0, 14.0, 0.0])
CECUM_MM = np.array([82.0, 22.0, -122.0])
PYLORUS_MM = np.array([20.0, 42.0, -14.0])
PANCREAS_HEAD_MM = np.array([24.0, 18.0, -38.0])
PANCREAS_TAIL_MM = np.array([-70.0, -14.0, 14.0])
ILIAC_FORK_MM = np.array([44.0, -14.0, -142.0])

NAVEL_MM = skin_front_mm(-88.0)

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


def pole_mm(solid: Ellipsoid, *, axis: int, sign: int) -> NDArray[np.float64]:
    """Return the (3,) end of an ellipsoid's half axis."""
    return np.asarray(solid.centre_mm + sign * solid.axes_mm[:, axis], dtype=np.float64)
