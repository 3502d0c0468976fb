"""Where the vertebrae lie: the ruler along which all other organs of the atlas are placed.

Atlas millimetres are RAS+: x to the right of the patient, y to the front, z to the head. The origin is the
upper edge of L1. Vertebrae grow towards the feet, as in people, so that a level can be told from its size.
"""

import numpy as np
from numpy.typing import NDArray

LEVELS: tuple[str, ...] = (
    *("C5", "C6", "C7"),
    *(f"T{number}" for number in range(1, 13)),
    *(f"L{number}" for number in range(1, 6)),
)
"""Names of the vertebrae from head to feet."""

_PITCH_MM = np.concatenate([[14.0, 14.0, 14.5], np.linspace(15.5, 21.0, 12), np.linspace(23.5, 27.0, 5)])
_FIRST_LUMBAR = LEVELS.index("L1")
_BOTTOM_MM = -np.cumsum(_PITCH_MM) + _PITCH_MM[:_FIRST_LUMBAR].sum()

# foot to head: height and front-back place of the middle of the vertebral bodies
_CURVE_Z_MM = (-190.0, -150.0, -126.0, -60.0, 0.0, 80.0, 150.0, 219.0, 262.0, 330.0)
_CURVE_Y_MM = (-66.0, -44.0, -34.0, -30.0, -38.0, -50.0, -48.0, -32.0, -22.0, -14.0)


def vertebra_pitch_mm(level: str) -> float:
    """Return the height of a vertebra with the disc below it."""
    return float(_PITCH_MM[LEVELS.index(level)])


def vertebra_centre_mm(level: str) -> NDArray[np.float64]:
    """Return the (3,) centre of a vertebral body in the atlas."""
    index = LEVELS.index(level)
    z_mm = _BOTTOM_MM[index] + 0.6 * _PITCH_MM[index]
    return np.array([0.0, spine_y_mm(z_mm), z_mm])


def disc_centre_mm(level: str) -> NDArray[np.float64]:
    """Return the (3,) centre of the disc below a vertebra in the atlas."""
    index = LEVELS.index(level)
    z_mm = _BOTTOM_MM[index] + 0.1 * _PITCH_MM[index]
    return np.array([0.0, spine_y_mm(z_mm), z_mm])


def vertebra_radii_mm(level: str) -> tuple[float, float]:
    """Return the half axes of a vertebral body left-right and front-back."""
    index = LEVELS.index(level)
    share = index / (len(LEVELS) - 1)
    return 11.0 + 12.0 * share, 8.5 + 8.0 * share


def canal_centre_mm(z_mm: float) -> NDArray[np.float64]:
    """Return the (3,) centre of the spinal canal at a height of the atlas."""
    share = np.interp(z_mm, [-126.0, 262.0], [1.0, 0.0])
    return np.array([0.0, spine_y_mm(z_mm) - (8.5 + 8.0 * share) - 7.5, z_mm])


def spine_y_mm(z_mm: float) -> float:
    """Return the front-back place of the spine's curve at a height of the atlas."""
    return float(np.interp(z_mm, _CURVE_Z_MM, _CURVE_Y_MM))
