"""Small volumes, files and settings that several tests share."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import strategies
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from anatomical_embedding.settings.volumes import PrepareVolumeSettings

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
LPS_AFFINE = np.diag([-2.0, -2.0, 2.0, 1.0])


def real_data(relative: str) -> Path:
    """Return a file or folder of the real scans, or skip the test and say why."""
    path = REAL_DATA / relative
    if not path.exists():
        pytest.skip(f"needs the real scan ../shared/data/{relative}, which is not at hand")
    return path


def oblique_affine(
    angles_deg: tuple[float, float, float], spacing_mm: tuple[float, float, float], origin_mm=(0.0, 0.0, 0.0)
) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix() @ np.diag(spacing_mm)
    affine[:3, 3] = origin_mm
    return affine


def affines(*, largest_angle_deg: float) -> strategies.SearchStrategy:
    """Rotated, flipped and anisotropic affines without shear."""
    angles = strategies.tuples(*[strategies.floats(-largest_angle_deg, largest_angle_deg)] * 3)
    spacings = strategies.tuples(*[strategies.floats(0.3, 6.0)] * 3)
    origins = strategies.tuples(*[strategies.floats(-400.0, 400.0)] * 3)
    signs = strategies.tuples(*[strategies.sampled_from((-1.0, 1.0))] * 3)
    return strategies.builds(
        lambda angles, spacings, origins, signs: (
            oblique_affine(angles, spacings, origins) @ np.diag([*signs, 1.0])
        ),
        angles,
        spacings,
        origins,
        signs,
    )


def save_nifti(path: Path, array: NDArray, affine: NDArray | None = None) -> Path:
    """Write a file with nibabel alone, without the checks of the code under test."""
    nibabel.save(
        nibabel.Nifti1Image(array, LPS_AFFINE if affine is None else affine, dtype=array.dtype), path
    )
    return path


def body_array(shape: tuple[int, int, int] = (30, 28, 12)) -> NDArray[np.int16]:
    """Return a CT of a box of soft tissue in air, with a bright block in one corner of it."""
    array = np.full(shape, -1000, dtype=np.int16)
    array[6:-6, 6:-6, :] = 40
    array[8:14, 8:12, 3:7] = 900
    return array


def prepare_settings(**changes) -> PrepareVolumeSettings:
    """Return settings of the preparation for small volumes; keywords replace the outermost entries."""
    cleaning = {"closing_radius_mm": 2.4, "smallest_part_share": 0.05, "largest_hole_mm2": 25600.0}
    mr = {"low_percentile": 0.2, "high_percentile": 99.8, "threshold_fraction": 0.03}
    volumes = {
        "spacing_mm": [2.0, 2.0, 2.0],
        "crop_margin_mm": 4.0,
        "largest_gap_mm": 10.0,
        "body_mask": {"ct": {"threshold_hu": -900.0} | cleaning, "mr": mr | cleaning},
    }
    return PrepareVolumeSettings.model_validate(
        {"volumes": volumes, "modality": "ct", "organs": [], "bad_labels": "refuse"} | changes
    )
