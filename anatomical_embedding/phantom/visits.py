"""Four visits of one synthetic body whose lesions grow, shrink, vanish, appear, split, merge and leave the view.

Each lesion has a fate that is drawn once; what it looks like at a visit follows from it. The truth is known for each:
its balls in the world of the scan, and so its voxels.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.phantom.body import AtlasLesion, draw_changed_body, draw_lesions, draw_pose
from anatomical_embedding.phantom.scan import PhantomScan, scan_body
from anatomical_embedding.phantom.synthetic_body import posed_body
from anatomical_embedding.settings.phantom import PhantomSubjectSettings, with_slice_spacing
from anatomical_embedding.volumes.volume import Volume

NUM_VISITS = 4
Fate = Literal["steady", "vanish", "new", "split", "merge"]
TrueState = Literal["present", "out_of_view", "gone", "merged", "split", "new", "absent"]
"""`absent` before a new lesion is there."""

FATE_SHARES: dict[Fate, float] = {"steady": 0.5, "vanish": 0.18, "new": 0.12, "split": 0.1, "merge": 0.1}
CHANGE_FROM = 2
"""Visit from which on a lesion that vanishes, appears, splits or merges has done so."""
STEP_OF_GROWTH = (0.82, 1.2)
"""Factor of the radius from visit to visit."""
RADIUS_OF_SPLIT_MM = (12.0, 16.0)
"""Of a lesion that splits, whatever the others': its parts are to be measurable, 10 mm in diameter at least."""
PART_OF_SPLIT, APART_OF_SPLIT = 0.6, 0.85
"""Radius of the two parts of a lesion that has split, and their distance from its centre, in its radii."""
APART_BEFORE_MERGER, APART_AFTER_MERGER = 1.35, 0.75
"""Distance of two lesions from the middle between them, in their radii."""
_VISITS = 6
"""Random stream of the visits, beside those of `synthetic_body`."""


@dataclass(frozen=True)
class TrueLesion:
    """One lesion at one visit.

    Attributes
    ----------
    number : from 1, the same at all visits.
    state : what became of it.
    centre_mm : (3,) middle of it, or of where it was, mm RAS+.
    balls : (centre in mm, radius in mm) of each part that is there.
    related : numbers of the lesions that it merged with.
    """

    number: int
    state: TrueState
    centre_mm: NDArray[np.float64]
    balls: tuple[tuple[NDArray[np.float64], float], ...]
    related: tuple[int, ...]


@dataclass(frozen=True)
class PhantomVisit:
    """One scan with the truth on its lesions.

    Attributes
    ----------
    scan : the scan.
    lesions : all lesions of the body.
    """

    scan: PhantomScan
    lesions: tuple[TrueLesion, ...]

    def label_map(self) -> Volume:
        """Return the numbers of the lesions on the voxels of the scan; where two overlap the later one has them."""
        volume = self.scan.volume
        labels = np.zeros(volume.shape, dtype=np.uint8)
        for lesion in self.lesions:
            for centre_mm, radius_mm in lesion.balls:
                _paint_ball(labels, volume, centre_mm, radius_mm, lesion.number)
        return Volume(labels, volume.affine)


@dataclass(frozen=True)
class _Course:
    """A lesion with its fate: `lesions_at(visit)` are the balls that it consists of then."""

    number: int
    fate: Fate
    first: AtlasLesion
    growth: float
    direction: NDArray[np.float64]
    partner: int

    def lesions_at(self, visit: int) -> tuple[AtlasLesion, ...]:
        """Return the balls of a visit in the atlas, none where it is not there."""
        radius_mm = self.first.radius_mm * self.growth**visit
        changed = visit >= CHANGE_FROM
        if (self.fate == "vanish" and changed) or (self.fate == "new" and not changed):
            return ()
        if self.fate == "split" and changed:
            offset = self.direction * APART_OF_SPLIT * radius_mm
            return tuple(
                replace(
                    self.first,
                    name=f"{self.first.name}{part}",
                    centre_mm=self.first.centre_mm + sign * offset,
                    radius_mm=PART_OF_SPLIT * radius_mm,
                )
                for part, sign in (("a", 1), ("b", -1))
            )
        return (replace(self.first, centre_mm=self.place_at(visit), radius_mm=radius_mm),)

    def place_at(self, visit: int) -> NDArray[np.float64]:
        """Return (3,) the middle of the lesion in the atlas, or of where it was."""
        if self.fate != "merge":
            return self.first.centre_mm
        apart = APART_AFTER_MERGER if visit >= CHANGE_FROM else APART_BEFORE_MERGER
        return self.first.centre_mm + self.direction * apart * self.first.radius_mm


def make_visits(settings: PhantomSubjectSettings, *, subject_index: int) -> tuple[PhantomVisit, ...]:
    """Return the visits of one body; the same settings and index give the same voxels.

    Parameters
    ----------
    settings : the data set, with the section `follow_up`; slices are of one of its spacings at every visit.
    subject_index : from 0.
    """
    change = settings.follow_up
    if change is None:
        raise ValueError("visits need the section follow_up")
    random = np.random.default_rng([settings.seed, subject_index, _VISITS])
    body = posed_body(settings, subject_index)
    courses = _draw_courses(draw_lesions(settings.lesions, random), random)
    visits = []
    for visit in range(NUM_VISITS):
        if visit:
            changed = draw_changed_body(
                body, breath_mm=change.breath_mm, deformation_mm=change.deformation_mm, random=random
            )
            lying = draw_pose(changed, tilt_degrees=settings.ct.tilt_degrees, random=random)
        else:
            lying = body
        spacing_z_mm = float(random.choice(change.slice_spacings_mm))
        field_of_view = with_slice_spacing(settings.ct.field_of_view, spacing_z_mm)
        if not visit:  # lesions are found where the first scan looks, and leave the view of others
            field_of_view = field_of_view.model_copy(update={"shift_along_mm": 0.0})
        ct = settings.ct.model_copy(update={"field_of_view": field_of_view})
        balls = tuple(ball for course in courses for ball in course.lesions_at(visit))
        scan = scan_body(lying, balls, settings=ct, random=random)
        visits.append(PhantomVisit(scan, tuple(_truth(course, visit, scan) for course in courses)))
    return tuple(visits)


def _draw_courses(lesions: tuple[AtlasLesion, ...], random: np.random.Generator) -> list[_Course]:
    """Return the lesions with their fates; one that merges brings its partner."""
    fates = list(FATE_SHARES)
    courses: list[_Course] = []
    for lesion in lesions:
        fate = fates[random.choice(len(fates), p=list(FATE_SHARES.values()))]
        growth = 1.0
        if fate == "split":
            lesion = replace(lesion, radius_mm=float(random.uniform(*RADIUS_OF_SPLIT_MM)))  # noqa: PLW2901
        else:
            growth = float(random.uniform(*STEP_OF_GROWTH))
        direction = random.standard_normal(3)
        direction /= np.linalg.norm(direction)
        number = len(courses) + 1
        if fate == "merge":  # they stay as large as they are, so that they touch from one visit on
            courses.append(_Course(number, fate, lesion, 1.0, direction, number + 1))
            partner = replace(lesion, name=f"{lesion.name}_partner")
            courses.append(_Course(number + 1, fate, partner, 1.0, -direction, number))
        else:
            courses.append(_Course(number, fate, lesion, growth, direction, 0))
    return courses


def _truth(course: _Course, visit: int, scan: PhantomScan) -> TrueLesion:
    (centre_mm,) = scan.world_from_atlas(course.place_at(visit)[np.newaxis])
    balls = course.lesions_at(visit)
    located = [
        (place, ball.radius_mm)
        for ball, place in zip(
            balls, scan.world_from_atlas([ball.centre_mm for ball in balls]) if balls else [], strict=True
        )
    ]
    in_view = bool(scan.volume.contains(centre_mm))
    return TrueLesion(
        course.number,
        _true_state(course, visit, in_view=in_view),
        centre_mm,
        tuple(located),
        (course.partner,) if course.fate == "merge" and visit >= CHANGE_FROM else (),
    )


def _true_state(course: _Course, visit: int, *, in_view: bool) -> TrueState:
    changed = visit >= CHANGE_FROM
    if course.fate == "new" and not changed:
        return "absent"
    if not in_view:
        return "out_of_view"
    if not changed:
        return "present"
    after: dict[Fate, TrueState] = {
        "steady": "present", "vanish": "gone", "new": "new", "split": "split", "merge": "merged"
    }  # fmt: skip
    return after[course.fate]


def _paint_ball(
    labels: NDArray[np.uint8], grid: Volume, centre_mm: NDArray[np.float64], radius_mm: float, number: int
) -> None:
    middle = grid.voxel_from_world(centre_mm)
    reach = radius_mm / grid.spacing_mm + 1
    low = np.clip(np.floor(middle - reach), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(middle + reach) + 1, 0, grid.shape).astype(int)
    if np.any(high <= low):
        return
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    voxels = np.stack(
        np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1
    )
    inside = np.linalg.norm(grid.world_from_voxel(voxels) - centre_mm, axis=-1) < radius_mm
    labels[part][inside] = number
