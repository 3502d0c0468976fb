"""Settings of the yardstick of known warps (anatomical_embedding/datasets/known_warp.py, configs/known_warps.yaml)."""

from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.input_path import InputPath

Half = Literal["development", "test"]
"""Patients to choose by, and patients that are scored once."""


class WarpSettings(Settings):
    """What happened to a patient between template and target, and how the target was scanned."""

    mean_mm: float = Field(ge=0.0)
    """Mean length of the smooth displacement."""
    smooth_mm: float = Field(gt=0.0)
    """Standard deviation of the Gaussian that made it smooth."""
    slide_mm: float = 0.0
    """By how far the middle of the body slid along its axis; 0 for no sliding."""
    noise_hu: float = Field(default=0.0, ge=0.0)
    """Standard deviation of the noise added to the target."""
    enhanced_hu: float = 0.0
    """By how much soft tissue of 60 HU is brighter in the target, fat and bone less."""
    slice_mm: float | None = Field(default=None, gt=0.0)
    """Slice thickness of the target; null for that of the scan."""
    kept_share: float = Field(default=1.0, gt=0.0, le=1.0)
    """Share of the target's slices that are left of its field of view."""
    growth: tuple[float, ...] = ()
    """Radius of each inserted lesion in the target, in units of its radius in the template; 0 for one that vanished.
    The points of such a pair are the middles of its lesions."""


class KnownWarpsSettings(Settings):
    """Scans, warps and points of the yardstick."""

    root: InputPath
    """Folder of the scans."""
    seed: int = Field(ge=0)
    """Of everything that is drawn."""
    num_points: int = Field(ge=1)
    """Points of a pair."""
    edge_mm: float = Field(ge=0.0)
    """Points lie at least so deep inside both scans."""
    largest_mm: float = Field(gt=0.0)
    """No smooth displacement is longer; the field shrinks where one would be."""
    smallest_volume: float = Field(gt=0.0, lt=1.0)
    """No piece of tissue shrinks to a smaller share of its volume; the field shrinks where one would."""
    lesion_radius_mm: tuple[float, float]
    """Smallest and largest radius of an inserted lesion in the template."""
    lesion_hu: float
    """Its intensity."""
    lesion_distance_mm: float = Field(gt=0.0)
    """Middles of lesions lie at least so far apart."""
    scans: dict[Half, tuple[PurePosixPath, ...]]
    """CTs of each half, under the root; a patient belongs to one half."""
    warps: dict[str, WarpSettings]
    """Name -> what happened; every scan undergoes every one."""
