"""Starts of patients who lie otherwise: the moving scan turned about the long axis, embedded and matched again.

The vectors of a network say where a place lies in a body that lies as those of the training did. Of a patient who is
prone, or turned to one side, few matches are true, until the scan is turned back.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from anatomical_embedding.embedding.store import EmbeddedVolume, Origin
from anatomical_embedding.matching.grid_points import match_grid
from anatomical_embedding.registration.correspondences import Correspondences
from anatomical_embedding.registration.guided_start import GuidedStart, find_start
from anatomical_embedding.registration.shared_view import seen_from
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
    """

    matches: Correspondences
    moving: PreparedVolume
    turn: NDArray[np.float64]

    def start(self, fixed: PreparedVolume, *, settings: AffineFitSettings) -> GuidedStart:
        """Return the start from the fixed world to the moving one that the matches agree on, or a failed one."""
        start = find_start(
            self.matches,
            fixed_body=fixed.body_mask,
            moving_body=self.moving.body_mask,
            settings=settings,
            images=(fixed.image, self.moving.image),
        )
        return replace(start, matrix=invert_affine(self.turn) @ start.matrix)


def match_ways(
    model: Model,
    fixed: tuple[PreparedVolume, EmbeddedScan],
    moving: tuple[PreparedVolume, EmbeddedScan],
) -> Iterator[MatchedScans]:
    """Yield the matches of a fixed scan and a moving one as it lies, then after each turn about its long axis.

    Parameters
    ----------
    model : its settings have the lattice and the turns.
    fixed, moving : scans as `embed_raw_scan` returns them.
    """
    settings = model.card.usage.scan_registration

    def matched(
        embedded: EmbeddedVolume, prepared: PreparedVolume, turn: NDArray[np.float64]
    ) -> MatchedScans:
        matches = match_grid(
            fixed[1].embedded,
            embedded,
            fixed_body=fixed[0].body_mask,
            moving_body=prepared.body_mask,
            settings=MatchGridSettings(grid=settings.grid, matching=model.card.usage.matching),
        )
        return MatchedScans(matches, prepared, turn)

    yield matched(moving[1].embedded, moving[0], np.eye(4))
    for degrees in settings.fit.turns_degrees:
        turn = turn_about_long_axis(moving[0].image, degrees)
        turned = turned_scan(moving[0], turn)
        none = Origin(model.card.checkpoint_sha256, "", "")  # no file holds this scan
        embedded = embed_prepared(model, moving[1].raw, turned, origin=none, within_body=True).embedded
        yield matched(embedded, turned, turn)


def choose_start(
    tried: Iterable[MatchedScans], fixed: PreparedVolume, *, settings: AffineFitSettings
) -> tuple[GuidedStart, int]:
    """Return the start of two scans, and the number of the way that gave it.

    The scan as it lies counts where it gives a start, and then no other way is asked for. Of the turns that give one,
    that with most agreement counts. Where none does, the start is the failed one of the scan as it lies.

    Parameters
    ----------
    tried : what `match_ways` yields.
    """
    numbered = enumerate(tried)
    first = next(numbered)[1].start(fixed, settings=settings)
    if first.status == "found":
        return first, 0
    turned = [(matched.start(fixed, settings=settings), number) for number, matched in numbered]
    found = [(start, number) for start, number in turned if start.status == "found"]
    return max(found, key=lambda way: way[0].confidence, default=(first, 0))


def turn_about_long_axis(volume: Volume, degrees: float) -> NDArray[np.float64]:
    """Return the (4, 4) turn of the world about the last axis of an array through its middle."""
    axis = volume.affine[:3, 2] / np.linalg.norm(volume.affine[:3, 2])
    middle = volume.world_from_voxel((np.array(volume.shape)[None] - 1) / 2)[0]
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(degrees * axis, degrees=True).as_matrix()
    turn[:3, 3] = middle - turn[:3, :3] @ middle
    return turn


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
