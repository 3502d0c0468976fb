"""What is drawn at random for a body: its shape, its lesions, and how it lies in a scanner."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.phantom.landmarks import LESION_SITES, LesionSite
from anatomical_embedding.phantom.motion import BodyMotion, BumpField, random_lattice
from anatomical_embedding.phantom.places import BREATHING_MOVERS, ORGAN_MOVERS
from anatomical_embedding.phantom.shapes import rotation_matrix
from anatomical_embedding.settings.phantom import BodySettings, LesionSettings

BODY_LOWEST_MM = np.array([-170.0, -120.0, -280.0])
BODY_HIGHEST_MM = np.array([170.0, 120.0, 280.0])
"""Box of the atlas that is deformed at random."""

CHANGE_PITCH_MM = 80.0
"""Distance over which the shape of a body changes between two scans."""

BREATH_DIRECTION = np.array([0.0, 0.15, -1.0])
"""Breathing in moves the diaphragm towards the feet and a little to the front."""

ORIGIN_REACH_MM = 300.0
"""The world of a scan has its origin anywhere, as scanners have it."""

FOLDING_CHECK_PITCH_MM = 42.0


@dataclass(frozen=True)
class AtlasLesion:
    """A lesion before it is seen in a scan.

    Attributes
    ----------
    name : unique within the subject.
    site : kind of lesion.
    centre_mm : (3,) atlas point.
    radius_mm : radius at the first time point.
    """

    name: str
    site: LesionSite
    centre_mm: NDArray[np.float64]
    radius_mm: float


def draw_body(settings: BodySettings, random: np.random.Generator) -> BodyMotion:
    """Return the map of a new body, upright at the world's origin."""
    scale = np.full(3, 1.0 + random.uniform(-1, 1) * settings.scale_fraction)
    scale *= 1.0 + random.uniform(-1, 1, 3) * settings.axis_scale_fraction
    organs = BumpField(
        centres_mm=np.array([mover.centre_mm for mover in ORGAN_MOVERS]) * scale,
        widths_mm=np.array([mover.width_mm for mover in ORGAN_MOVERS]),
        shifts_mm=random.uniform(-1, 1, (len(ORGAN_MOVERS), 3)) * settings.organ_shift_mm,
        growths=random.uniform(-1, 1, len(ORGAN_MOVERS)) * settings.organ_size_fraction,
    )
    shape = _lattice(random, scale, pitch_mm=settings.deformation_scale_mm, size_mm=settings.deformation_mm)
    return _without_folds(BodyMotion(organs.plus(shape), scale, np.eye(3), np.zeros(3)))


def draw_changed_body(
    body: BodyMotion, *, breath_mm: float, deformation_mm: float, random: np.random.Generator
) -> BodyMotion:
    """Return the map of the same body on another day: another breath and a little deformed.

    Parameters
    ----------
    body : map of the body at the first time.
    breath_mm : largest motion of the diaphragm.
    deformation_mm : standard deviation of the deformation along each axis.
    random : source of the change.
    """
    num_domes = len(BREATHING_MOVERS)
    breath = BumpField(
        centres_mm=np.array([mover.centre_mm for mover in BREATHING_MOVERS]) * body.scale,
        widths_mm=np.array([mover.width_mm for mover in BREATHING_MOVERS]),
        shifts_mm=np.tile(random.uniform(-1, 1) * breath_mm * BREATH_DIRECTION, (num_domes, 1)),
        growths=np.zeros(num_domes),
    )
    change = _lattice(random, body.scale, pitch_mm=CHANGE_PITCH_MM, size_mm=deformation_mm)
    return _without_folds(replace(body, field=body.field.plus(breath).plus(change)))


def draw_pose(body: BodyMotion, *, tilt_degrees: float, random: np.random.Generator) -> BodyMotion:
    """Return the map of a body tilted in a scanner whose world has its origin anywhere."""
    rotation = rotation_matrix(random.uniform(-1, 1, 3) * tilt_degrees)
    return replace(body, rotation=rotation, origin_mm=random.uniform(-1, 1, 3) * ORIGIN_REACH_MM)


def draw_new_place(
    body: BodyMotion, *, rotation_degrees: float, translation_mm: float, random: np.random.Generator
) -> BodyMotion:
    """Return the map of a body that is turned and shifted further in the world."""
    rotation = rotation_matrix(random.uniform(-1, 1, 3) * rotation_degrees) @ body.rotation
    return replace(
        body, rotation=rotation, origin_mm=body.origin_mm + random.uniform(-1, 1, 3) * translation_mm
    )


def draw_lesions(settings: LesionSettings, random: np.random.Generator) -> tuple[AtlasLesion, ...]:
    """Return the lesions of a new body, at most one a site."""
    lesions = []
    for kind, sites in LESION_SITES.items():
        chosen = random.choice(len(sites), size=min(settings.num_per_site, len(sites)), replace=False)
        for number, index in enumerate(chosen, start=1):
            direction = random.standard_normal(3)
            reach_mm = sites[index].reach_mm * random.uniform() ** (1 / 3)
            centre = sites[index].centre_mm + direction / np.linalg.norm(direction) * reach_mm
            radius_mm = float(random.uniform(*settings.radius_mm))
            lesions.append(AtlasLesion(f"{kind}_{number}", sites[index], centre, radius_mm))
    return tuple(lesions)


def _lattice(
    random: np.random.Generator, scale: NDArray[np.float64], *, pitch_mm: float, size_mm: float
) -> BumpField:
    """Return a random deformation of the box of a body."""
    return random_lattice(
        random,
        lowest_mm=BODY_LOWEST_MM * scale,
        highest_mm=BODY_HIGHEST_MM * scale,
        pitch_mm=pitch_mm,
        size_mm=size_mm,
    )


def _without_folds(body: BodyMotion) -> BodyMotion:
    """Return the body with its displacement scaled down where it would fold."""
    axes = [
        np.arange(low, high, FOLDING_CHECK_PITCH_MM)
        for low, high in zip(BODY_LOWEST_MM * body.scale, BODY_HIGHEST_MM * body.scale, strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return replace(body, field=body.field.limited(points))
