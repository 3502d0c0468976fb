"""Organs and tissues of the phantom: ids, names, and how each tissue looks in CT and MR."""

from dataclasses import dataclass
from enum import IntEnum

from anatomical_embedding.phantom.spine import LEVELS

_PAIRED = (
    "lung",
    "kidney",
    "clavicle",
    "scapula",
    "humerus",
    "hip",
    "femur",
    "erector_spinae",
    "psoas",
)
_SINGLE = (
    "spleen",
    "gallbladder",
    "liver",
    "stomach",
    "pancreas",
    "duodenum",
    "small_bowel",
    "colon",
    "bladder",
    "prostate",
    "esophagus",
    "trachea",
    "heart",
    "aorta",
    "arterial_branches",
    "inferior_vena_cava",
    "superior_vena_cava",
    "pulmonary_artery",
    "portal_vein",
    "iliac_vessels",
    "spinal_cord",
    "sacrum",
    "sternum",
    "costal_cartilages",
)

NUM_RIBS = 12
SIDES = {"right": 1, "left": -1}
"""Sign of x on each side of the body."""

ORGAN_NAMES: tuple[str, ...] = (
    "unlabelled",
    *_SINGLE,
    *(f"{organ}_{side}" for organ in _PAIRED for side in SIDES),
    *(f"vertebra_{level}" for level in LEVELS),
    *(f"rib_{side}_{number}" for side in SIDES for number in range(1, NUM_RIBS + 1)),
)
"""Name of each organ; the place in the tuple is the id in the label map."""

ORGAN_IDS: dict[str, int] = {name: index for index, name in enumerate(ORGAN_NAMES)}
"""Id in the label map of each organ; 0 is everything without a name."""


class Tissue(IntEnum):
    """What a voxel is made of."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    LUNG = 4
    LUNG_VESSEL = 5
    AIRWAY = 6
    SOFT_TISSUE = 7
    ARTERY = 8
    VEIN = 9
    PORTAL_VEIN = 10
    HEART_MUSCLE = 11
    LIVER = 12
    SPLEEN = 13
    KIDNEY_CORTEX = 14
    KIDNEY_MEDULLA = 15
    PANCREAS = 16
    BOWEL_WALL = 17
    BOWEL_CONTENT = 18
    BOWEL_GAS = 19
    SMALL_BOWEL = 20
    COLON_CONTENT = 21
    FLUID = 22
    CORD = 23
    DISC = 24
    CARTILAGE = 25
    BONE_CORTICAL = 26
    BONE_SPONGY = 27
    RIB = 28
    LUNG_NODULE = 29
    LIVER_LESION = 30
    BONE_LESION = 31
    LYMPH_NODE = 32
    VISCERAL_FAT = 33
    MEDIASTINAL_FAT = 34
    LEAN_MUSCLE = 35


@dataclass(frozen=True)
class TissueLook:
    """How a tissue looks.

    Attributes
    ----------
    plain_hu : CT value without contrast agent.
    arterial_hu, venous_hu : what strong contrast agent in the two phases adds.
    texture_hu : standard deviation of the structure that is fixed in the tissue.
    t1, t2 : brightness between 0 and 1 in a T1-like and in a T2-like MR.
    """

    plain_hu: float
    arterial_hu: float
    venous_hu: float
    texture_hu: float
    t1: float
    t2: float


LOOKS: dict[Tissue, TissueLook] = {
    Tissue.AIR: TissueLook(-1000, 0, 0, 0, 0.00, 0.00),
    Tissue.SKIN: TissueLook(20, 0, 20, 0, 0.45, 0.40),
    Tissue.FAT: TissueLook(-100, 0, 0, 10, 0.95, 0.72),
    Tissue.VISCERAL_FAT: TissueLook(-105, 0, 0, 12, 0.90, 0.68),
    Tissue.MEDIASTINAL_FAT: TissueLook(-95, 0, 5, 16, 0.86, 0.66),
    Tissue.MUSCLE: TissueLook(48, 5, 15, 24, 0.40, 0.27),
    Tissue.LEAN_MUSCLE: TissueLook(56, 5, 15, 8, 0.36, 0.23),
    Tissue.LUNG: TissueLook(-840, 0, 5, 25, 0.07, 0.09),
    Tissue.LUNG_VESSEL: TissueLook(20, 150, 90, 0, 0.24, 0.20),
    Tissue.AIRWAY: TissueLook(-990, 0, 0, 0, 0.01, 0.01),
    Tissue.SOFT_TISSUE: TissueLook(45, 10, 25, 8, 0.42, 0.42),
    Tissue.ARTERY: TissueLook(42, 270, 110, 0, 0.14, 0.10),
    Tissue.VEIN: TissueLook(42, 50, 130, 0, 0.20, 0.24),
    Tissue.PORTAL_VEIN: TissueLook(42, 40, 150, 0, 0.24, 0.20),
    Tissue.HEART_MUSCLE: TissueLook(45, 50, 60, 4, 0.40, 0.34),
    Tissue.LIVER: TissueLook(58, 12, 50, 5, 0.56, 0.27),
    Tissue.SPLEEN: TissueLook(48, 60, 65, 3, 0.36, 0.60),
    Tissue.KIDNEY_CORTEX: TissueLook(33, 130, 110, 3, 0.50, 0.58),
    Tissue.KIDNEY_MEDULLA: TissueLook(30, 40, 100, 3, 0.34, 0.72),
    Tissue.PANCREAS: TissueLook(40, 45, 45, 9, 0.60, 0.40),
    Tissue.BOWEL_WALL: TissueLook(42, 25, 45, 5, 0.42, 0.40),
    Tissue.BOWEL_CONTENT: TissueLook(22, 0, 0, 10, 0.28, 0.65),
    Tissue.BOWEL_GAS: TissueLook(-960, 0, 0, 0, 0.02, 0.02),
    Tissue.SMALL_BOWEL: TissueLook(25, 12, 30, 14, 0.45, 0.55),
    Tissue.COLON_CONTENT: TissueLook(-10, 0, 0, 60, 0.38, 0.42),
    Tissue.FLUID: TissueLook(8, 0, 0, 2, 0.15, 1.00),
    Tissue.CORD: TissueLook(38, 0, 5, 2, 0.46, 0.50),
    Tissue.DISC: TissueLook(85, 0, 0, 6, 0.34, 0.52),
    Tissue.CARTILAGE: TissueLook(115, 0, 0, 12, 0.30, 0.34),
    Tissue.BONE_CORTICAL: TissueLook(720, 0, 0, 50, 0.07, 0.05),
    Tissue.BONE_SPONGY: TissueLook(240, 0, 12, 30, 0.64, 0.46),
    Tissue.RIB: TissueLook(480, 0, 5, 40, 0.36, 0.28),
    Tissue.LUNG_NODULE: TissueLook(25, 15, 40, 6, 0.42, 0.55),
    Tissue.LIVER_LESION: TissueLook(30, 8, 5, 5, 0.28, 0.72),
    Tissue.BONE_LESION: TissueLook(60, 10, 25, 8, 0.26, 0.74),
    Tissue.LYMPH_NODE: TissueLook(45, 12, 40, 4, 0.38, 0.62),
}
"""Look of each tissue. CT values are typical of adults; MR values are only ordered plausibly."""
