"""Small made-up lesion annotations and the public files, for the tests of lesion tracking."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anatomical_embedding.datasets.lesion_annotations import LesionPairs

DATA = Path(__file__).parents[2] / "shared" / "data" / "dlt"


def public_file(name: str) -> Path:
    """Return a public Deep Lesion Tracking file, or skip the test, saying why."""
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"the public lesion annotation {path} is not at hand")
    return path


def annotation_row(**changes: Any) -> dict[str, Any]:
    """Return one pair in the public format: a lesion of 20 px in a target of 0.5 x 0.5 x 2 mm."""
    row = {
        "source": "000007_01_01_000-019.nii.gz",
        "target": "000007_02_01_000-029.nii.gz",
        "source center": [100.5, 90.2, 8.0],
        "target center": [110.0, 95.0, 12.0],
        "target box": [100.0, 85.0, 10.0, 20.0, 20.0, 4.0],
        "predict target center": [114.0, 95.0, 12.0],
        "source spacing": [0.75, 0.75, 5.0],
        "target spacing": [0.5, 0.5, 2.0],
        "target recist diameter": [20.0, 16.0],
    }
    return {key: value for key, value in (row | changes).items() if value is not ...}


def annotation_rows(num_patients: int = 3) -> dict[str, dict[str, Any]]:
    """Return two pairs for each patient, their lesions at different places."""
    rows = {}
    for number in range(2 * num_patients):
        patient = f"{number // 2 + 1:06d}"
        rows[f"{number + 1:04d}"] = annotation_row(
            **{
                "source": f"{patient}_01_01_000-019.nii.gz",
                "target": f"{patient}_02_01_000-029.nii.gz",
                "source center": [100.5 + number, 90.2, 8.0],
            }
        )
    return rows


def write(path: Path, content: Any) -> Path:
    """Write JSON and return its path."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def random_pairs(num_pairs: int, *, num_patients: int, seed: int) -> tuple[LesionPairs, np.ndarray]:
    """Return random pairs, boxes around their lesions, and (N, 3) predictions of which some are far and some failed."""
    generator = np.random.default_rng(seed)
    spacing = np.column_stack(
        [
            np.repeat(generator.uniform(0.5, 1.0, (num_pairs, 1)), 2, axis=1),
            generator.choice([1.0, 2.0, 5.0], num_pairs),
        ]
    )
    center = generator.uniform(100.0, 300.0, (num_pairs, 3))
    size = generator.integers(4, 40, (num_pairs, 3)).astype(float)
    low = np.floor(center - size / 2)
    patient = generator.integers(0, num_patients, num_pairs)
    pairs = LesionPairs(
        pair_ids=tuple(f"{number:04d}" for number in range(num_pairs)),
        source_files=tuple(f"{p:06d}_01_{n}.nii.gz" for n, p in enumerate(patient)),
        target_files=tuple(f"{p:06d}_02_{n}.nii.gz" for n, p in enumerate(patient)),
        source_center_vox=center + 3.0,
        target_center_vox=center,
        target_box_vox=np.column_stack([low, size]),
        source_spacing_mm=spacing,
        target_spacing_mm=spacing,
        target_diameter_vox=size[:, :2],
    )
    points = center + generator.normal(0.0, 8.0, (num_pairs, 3)) / spacing
    points[generator.random(num_pairs) < 0.1] = np.nan
    return pairs, points
