"""Starts of patients who lie otherwise: the moving scan turned about the long axis, embedded and matched again.

The vectors of a network say where a place lies in a body that lies as those of the training did. Of a patient who is
prone, or turned to one side, few matches are true, until the scan is turned back. A turn that matches agree on all the
same is seen too small, until it is taken back and the scan matched once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.embedding.store import EmbeddedVolume, Origin
from anatomical_embedding.matching.grid_points import match_grid
from anatomical_embedding.registration.correspondences import Correspondences
from anatomical_embedding.registration.guided_start import GuidedStart, agreed_map, find_start
from anatomical_embedding.registration.shared_view import body_both_show, seen_from
from anatomical_embedding.settings.registration import AffineFitSettings, MatchGridSettings
from anatomical_embedding.usage.model import Model
from anatomical_embedding.usage.scans import EmbeddedScan, embed_prepared
from anatomical_embedding.volumes.affine import invert_affine
from anatomical_embedding.volumes.prepare import PreparedVolume
from anatomical_embedding.volumes.resample import resample_onto
from anatomical_embedding.volumes.volume import Volume


@dataclass(frozen=True)
class MatchedScans:
    """A fixed scan matched to a moving one that was turned first.

    Attributes
    ----------
    matches : from the fixed world to the turned one.
    moving : the prepared moving scan, turned.
    turn : (4, 4) moving world to the turned one.
    is_retried : whether this is not the first try; each is one more chance for a wrong start to pass, so that more must
        speak for what it gives.
    """

    matches: Correspondences
    moving: PreparedVolume
    turn: NDArray[np.float64]
    is_retried: bool

    def start(self, fixed: PreparedVolume, *, settings: AffineFitSettings) -> GuidedStart:
        """Return the start from the fixed world to the moving one that the matches agree on, or a failed one."""
        start = find_start(
            self.matches,
            fixed_body=fixed.body_mask,
            moving_body=self.moving.body_mask,
            settings=settings.for_retried_scans() if self.is_retried else settings,
            images=(fixed.image, self.moving.image),
        )
        return replace(start, matrix=invert_affine(self.turn) @ start.matrix)


def try_ways(
    model: Model,
    fixed: tuple[PreparedVolume, EmbeddedScan],
    moving: tuple[PreparedVolume, EmbeddedScan],
    *,
    fit: AffineFitSettings,
) -> list[tuple[MatchedScans, GuidedStart]]:
    """Return the matches and starts of a moving scan as it lies, and turned where that may give a better one.

    Where the scan as it lies gives no start, or one with little evidence, it is matched once more within what both
    scans show as far as its matches tell, and turned as the settings of the fit say. Where the best start is itself a
    turn, that is taken back and the scan matched anew, once more within what both show as well.

    Parameters
    ----------
    model : its settings have the lattice.
    fixed, moving : scans as `embed_raw_scan` returns them.
    fit : what a start is, and the turns.
    """
    tried: list[tuple[float, MatchedScans, GuidedStart]] = []

    def attempt(degrees: float, *, margin_mm: float | None) -> bool:
        """Tell whether the first start of a turn is sure; else try the shared part as well, if there is a margin."""
        matched, embedded = _match_turned(model, fixed, moving, degrees=degrees)
        start = matched.start(fixed[0], settings=fit)
        tried.append((degrees, matched, start))
        is_sure = start.status == "found" and start.evidence >= fit.sure_evidence
        if margin_mm is not None and not is_sure:
            again = _match_shared(model, fixed, embedded, matched, fit=fit, margin_mm=margin_mm)
            if again is not None:
                tried.append((degrees, again, again.start(fixed[0], settings=fit)))
        return is_sure

    if not attempt(0.0, margin_mm=fit.shared_margin_mm):
        for degrees in fit.turns_degrees:
            # Most turns are wrong, and a second match would speak for them too.
            attempt(degrees, margin_mm=None)
    best, matched, start = tried[number_of_best([start for _, _, start in tried])]
    if start.status == "found" and fit.straight_degrees is not None:
        left = turn_degrees(matched.turn @ start.matrix, moving[0].image)
        if abs(left) > fit.straight_degrees:
            attempt(best - left, margin_mm=fit.shared_margin_mm)
    return [(matched, start) for _, matched, start in tried]


def number_of_best(starts: Sequence[GuidedStart]) -> int:
    """Return which start counts: of those that were found the one with most evidence, else the first."""
    found = [number for number, start in enumerate(starts) if start.status == "found"]
    return max(found, key=lambda number: starts[number].evidence, default=0)


def _match_turned(
    model: Model,
    fixed: tuple[PreparedVolume, EmbeddedScan],
    moving: tuple[PreparedVolume, EmbeddedScan],
    *,
    degrees: float,
) -> tuple[MatchedScans, EmbeddedVolume]:
    """Return the matches and vectors of a moving scan that is turned first; at 0 it was embedded already."""
    turn = turn_about_long_axis(moving[0].image, degrees)
    turned, embedded = moving[0], moving[1].embedded
    if degrees:
        if moving[1].raw is None:
            raise ValueError("the scan of a store cannot be turned")
        turned = turned_scan(moving[0], turn)
        none = Origin(model.card.checkpoint_sha256, "", "")  # no file holds this scan
        embedded = embed_prepared(model, moving[1].raw, turned, origin=none, within_body=True).embedded
    bodies = (fixed[0].body_mask, turned.body_mask)
    matches = _match_bodies(model, (fixed[1].embedded, embedded), bodies)
    return MatchedScans(matches, turned, turn, is_retried=degrees != 0.0), embedded


def _match_shared(
    model: Model,
    fixed: tuple[PreparedVolume, EmbeddedScan],
    embedded: EmbeddedVolume,
    matched: MatchedScans,
    *,
    fit: AffineFitSettings,
    margin_mm: float,
) -> MatchedScans | None:
    """Return the matches of the parts of the bodies that both show as matches tell; None where these tell nothing.

    Where scans share little, most places are asked for in vain, and their partners outvote the true ones.

    Parameters
    ----------
    embedded : vectors of the moving scan that was matched.
    """
    matrix = agreed_map(matched.matches, settings=fit)
    if matrix is None:
        return None
    fixed_body, moving_body = fixed[0].body_mask, matched.moving.body_mask
    bodies = (
        body_both_show(fixed_body, moving_body, matrix, margin_mm=margin_mm),
        body_both_show(moving_body, fixed_body, invert_affine(matrix), margin_mm=margin_mm),
    )
    if not all(body.array.any() for body in bodies):
        return None
    matches = _match_bodies(model, (fixed[1].embedded, embedded), bodies)
    return replace(matched, matches=matches, is_retried=True)


def _match_bodies(
    model: Model, embedded: tuple[EmbeddedVolume, EmbeddedVolume], bodies: tuple[Volume, Volume]
) -> Correspondences:
    """Return the matches of the model's lattice between two bodies."""
    settings = MatchGridSettings(
        grid=model.card.usage.scan_registration.grid, matching=model.card.usage.matching
    )
    return match_grid(*embedded, fixed_body=bodies[0], moving_body=bodies[1], settings=settings)


def turn_about_long_axis(volume: Volume, degrees: float) -> NDArray[np.float64]:
    """Return the (4, 4) turn of the world about the last axis of an array through its middle."""
    axis = volume.affine[:3, 2] / np.linalg.norm(volume.affine[:3, 2])
    middle = volume.centre_mm
    turn = np.eye(4)
    turn[:3, :3] = _rotation(axis, np.deg2rad(degrees))
    turn[:3, 3] = middle - turn[:3, :3] @ middle
    return turn


def turn_degrees(matrix: NDArray[np.float64], volume: Volume) -> float:
    """Return by how much a (4, 4) map turns about the last axis of an array."""
    axis = volume.affine[:3, 2] / np.linalg.norm(volume.affine[:3, 2])
    left, _, right = np.linalg.svd(matrix[:3, :3])
    *vector, scalar = _quaternion(left @ right)
    degrees = np.rad2deg(2.0 * np.arctan2(np.dot(vector, axis), scalar))
    return float((degrees + 180.0) % 360.0 - 180.0)


def _rotation(axis: NDArray[np.float64], angle_rad: float) -> NDArray[np.float64]:
    """Return the (3, 3) rotation about an axis of length 1 (Rodrigues; scipy's takes 0.15 s to load)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross


def _quaternion(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit quaternion x, y, z, w of a (3, 3) rotation, either sign.

    Source: Bar-Itzhack, New method for extracting the quaternion from a rotation matrix (2000).
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx - yy - zz, xy + yx, xz + zx, zy - yz],
            [xy + yx, yy - xx - zz, yz + zy, xz - zx],
            [xz + zx, yz + zy, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    return np.linalg.eigh(symmetric)[1][:, -1]


def turned_scan(prepared: PreparedVolume, turn: NDArray[np.float64]) -> PreparedVolume:
    """Return a prepared scan after a (4, 4) turn about its middle, on a grid of the same axes that holds all of it."""
    image = prepared.image
    in_voxels = invert_affine(image.affine) @ turn @ image.affine
    shape = np.ceil(np.abs(in_voxels[:3, :3]) @ image.shape - 1e-6).astype(int)
    affine = image.affine.copy()
    affine[:3, 3] -= image.affine[:3, :3] @ ((shape - image.shape) / 2)
    array, body = (
        resample_onto(
            seen_from(volume, invert_affine(turn)),
            shape=shape.tolist(),
            affine=affine,
            is_label=is_label,
            fill_value=float(volume.array.min()),
        )
        for volume, is_label in ((image, False), (prepared.body_mask, True))
    )
    return replace(prepared, image=array, body_mask=body, labels=None)
