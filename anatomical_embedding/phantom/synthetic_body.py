"""Data set kind `phantom`: scans of synthetic bodies whose dense correspondence is exactly known.

A subject is the atlas of `anatomy` seen through a smooth invertible map of its own. Every scan knows
its map to and from the atlas, so the point of one scan that corresponds to a point of another is known
everywhere: `b.world_from_atlas(a.atlas_from_world(points_mm))`.
"""

from dataclasses import dataclass, replace

import numpy as np

from anatomical_embedding.errors import SettingsError
from anatomical_embedding.phantom.body import (
    draw_body,
    draw_changed_body,
    draw_lesions,
    draw_new_place,
    draw_pose,
)
from anatomical_embedding.phantom.motion import BodyMotion
from anatomical_embedding.phantom.scan import PhantomScan, scan_body
from anatomical_embedding.settings.phantom import (
    MrSettings,
    PhantomSubjectSettings,
    subject_id,
    with_slice_spacing,
)

# each of these draws from a random stream of its own, so that the settings of one do not change the others
_BODY, _POSE, _LESIONS, _CT, _MR, _FOLLOW_UP = range(6)


@dataclass(frozen=True)
class PhantomSubject:
    """The scans of one body.

    Attributes
    ----------
    subject_id : name of the subject.
    ct : its CT, None where `modalities` leaves it out.
    mr : its MR, in a world of its own, None where `modalities` leaves it out.
    """

    subject_id: str
    ct: PhantomScan | None
    mr: PhantomScan | None


def make_subject(settings: PhantomSubjectSettings, *, subject_index: int) -> PhantomSubject:
    """Return the scans of one body; the same settings and index give the same voxels.

    Parameters
    ----------
    settings : the data set.
    subject_index : from 0.

    Raises
    ------
    SettingsError
        if the index is negative.

    Notes
    -----
    A CT of 96x72x96 voxels of 4 mm takes about half a second of one core.
    """
    body = posed_body(settings, subject_index)
    lesions = draw_lesions(settings.lesions, _stream(settings, subject_index, _LESIONS))
    ct = mr = None
    if "ct" in settings.modalities:
        ct = scan_body(body, lesions, settings=settings.ct, random=_stream(settings, subject_index, _CT))
    if "mr" in settings.modalities and settings.mr is not None:
        random = _stream(settings, subject_index, _MR)
        mr = scan_body(_body_at_mr(body, settings.mr, random), lesions, settings=settings.mr, random=random)
    return PhantomSubject(subject_id(subject_index), ct, mr)


def make_follow_up(settings: PhantomSubjectSettings, *, subject_index: int) -> PhantomScan:
    """Return a second CT of the same body at a later time.

    Pose, breath, contrast agent, bowel, slices and field of view are new; lesions have grown or shrunk.

    Parameters
    ----------
    settings : the data set, with the section `follow_up`.
    subject_index : from 0.

    Raises
    ------
    SettingsError
        if there is no such subject, or no section `follow_up`.
    """
    body = posed_body(settings, subject_index)
    change = settings.follow_up
    if change is None:
        raise SettingsError("follow_up: is missing; describe the second CT in it or ask for none")
    random = _stream(settings, subject_index, _FOLLOW_UP)
    body = draw_changed_body(
        body, breath_mm=change.breath_mm, deformation_mm=change.deformation_mm, random=random
    )
    body = draw_pose(body, tilt_degrees=settings.ct.tilt_degrees, random=random)
    spacing_z_mm = float(random.choice(change.slice_spacings_mm))
    lesions = tuple(
        replace(lesion, radius_mm=lesion.radius_mm * random.uniform(*change.growth))
        for lesion in draw_lesions(settings.lesions, _stream(settings, subject_index, _LESIONS))
    )
    field_of_view = with_slice_spacing(settings.ct.field_of_view, spacing_z_mm)
    ct = settings.ct.model_copy(update={"field_of_view": field_of_view})
    return scan_body(body, lesions, settings=ct, random=random)


def _stream(settings: PhantomSubjectSettings, subject_index: int, purpose: int) -> np.random.Generator:
    """Return the random numbers of one purpose of one subject."""
    return np.random.default_rng([settings.seed, subject_index, purpose])


def posed_body(settings: PhantomSubjectSettings, subject_index: int) -> BodyMotion:
    """Return a subject's map as it lies in its first CT."""
    if subject_index < 0:
        raise SettingsError(f"subject_index: is {subject_index}, expected 0 or more")
    body = draw_body(settings.body, _stream(settings, subject_index, _BODY))
    pose = _stream(settings, subject_index, _POSE)
    return draw_pose(body, tilt_degrees=settings.ct.tilt_degrees, random=pose)


def _body_at_mr(body: BodyMotion, settings: MrSettings, random: np.random.Generator) -> BodyMotion:
    """Return a body on the day of its MR, in a world that differs from the CT's by a rigid move."""
    body = draw_changed_body(
        body, breath_mm=settings.breath_mm, deformation_mm=settings.deformation_mm, random=random
    )
    return draw_new_place(
        body,
        rotation_degrees=settings.rotation_degrees,
        translation_mm=settings.translation_mm,
        random=random,
    )
