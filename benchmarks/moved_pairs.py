"""What the benchmarks of moved CT/MR pairs share: their command line and the landmarks of a volume."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def parse_options(description: str | None) -> argparse.Namespace:
    """Return results, data set, registration and folder of the scans from the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--registration", default="round_1")
    parser.add_argument("--root", type=Path, required=True, help="folder of the scans")
    return parser.parse_args()


def points_of(landmarks: pd.DataFrame, volume_id: str) -> NDArray[np.float64]:
    """Return (N, 3) landmarks of a volume, sorted by name."""
    rows = landmarks[landmarks["volume_id"] == volume_id].sort_values("landmark")
    return rows[["x_mm", "y_mm", "z_mm"]].to_numpy()
