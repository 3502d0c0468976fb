"""Pairs of CTs whose correspondence is known everywhere, cut and turned: what `benchmarks.starts` is scored on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from anatomical_embedding.datasets.known_warp import draw_pair
from anatomical_embedding.phantom.synthetic_body import make_subject
from anatomical_embedding.settings.known_warps import Half, KnownWarpsSettings
from anatomical_embedding.settings.phantom import PhantomSettings
from anatomical_embedding.volumes.affine import Points, transform_points
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.volume import Volume
from benchmarks.known_warps import body_of

AIR_HU = -1000
NUM_POINTS = 400
PIECE = 0.35
"""Share of the field of view along the body that a piece keeps."""
TURNED_DEGREES, PRONE_DEGREES = 30.0, 180.0
KINDS = ("whole", "flipped", "piece", "third", "turned", "prone", "apart")
"""What happened to the second scan: nothing; its header states a flipped and oblique array, places as before; a short
piece of it is left; each scan lost a third, at opposite ends; it is turned about the long axis by 30 degrees, or by
180; the scans show opposite ends of the body and share nothing."""


@dataclass(frozen=True)
class KnownPair:
    """Two CTs and points that correspond.

    Attributes
    ----------
    fixed, moving : CTs in HU.
    fixed_mm, moving_mm : (N, 3) corresponding points, each in the world of its scan and inside it; none where the
        scans share nothing.
    """

    fixed: Volume
    moving: Volume
    fixed_mm: Points
    moving_mm: Points


def phantom_pairs(settings: PhantomSettings) -> Iterator[tuple[str, KnownPair]]:
    """Yield the name and the scans of bodies 0 and 1, 2 and 3, ..., all different."""
    for number in range(0, settings.num_subjects - 1, 2):
        fixed, moving = (
            make_subject(settings.subject_settings(), subject_index=number + other).ct for other in (0, 1)
        )
        if fixed is None or moving is None:
            raise ValueError("the phantoms need CTs")
        inside = np.argwhere(body_of(fixed.volume))
        drawn = np.random.default_rng([settings.seed, number]).choice(inside, NUM_POINTS, replace=False)
        fixed_mm = fixed.volume.world_from_voxel(drawn)
        moving_mm = moving.world_from_atlas(fixed.atlas_from_world(fixed_mm))
        yield (
            f"phantom_{number:03d}",
            _where_both_show(KnownPair(fixed.volume, moving.volume, fixed_mm, moving_mm)),
        )


def warped_pairs(
    settings: KnownWarpsSettings, *, half: Half, warp_name: str, folder: str
) -> Iterator[tuple[str, KnownPair]]:
    """Yield the name and the scans of each patient of one half and folder, before and after a warp of the yardstick."""
    for path in settings.scans[half]:
        if path.parts[0] == folder:
            scan = read_volume(Path(settings.root) / path)
            name = path.parent.name if path.name == "ct.nii.gz" else path.name.split(".")[0]
            many = settings.model_copy(update={"num_points": NUM_POINTS})
            pair = draw_pair(scan, name, warp_name=warp_name, body_of=body_of, settings=many)
            yield name, KnownPair(pair.template, pair.target, pair.template_mm, pair.target_mm)


def patient_pairs(results: Path, *, dataset: str, split: str) -> Iterator[tuple[str, KnownPair]]:
    """Yield the name and the scans of each patient of a split and the next one, and their landmarks."""
    index = pd.read_csv(results / "volumes" / f"{dataset}.csv")
    index = index[index["split"] == split]
    landmarks = pd.read_csv(results / "landmarks" / f"{dataset}.csv").set_index(["volume_id", "landmark"])
    scans = dict(zip(index["volume_id"], index["image_path"], strict=True))
    for fixed, moving in zip(scans, [*list(scans)[1:], *list(scans)[:1]], strict=True):
        volumes = [read_volume(results / "volumes" / scans[name]) for name in (fixed, moving)]
        shared = landmarks.loc[fixed].join(landmarks.loc[moving], how="inner", rsuffix="_moving")
        points = shared[["x_mm", "y_mm", "z_mm"]].to_numpy(), shared.filter(like="_moving").to_numpy()
        yield f"{fixed}__{moving}", KnownPair(volumes[0], volumes[1], *points)


def changed(pair: KnownPair, kind: str) -> KnownPair:
    """Return a pair after what one of `KINDS` stands for."""
    nowhere = np.empty((0, 3))
    match kind:
        case "flipped":
            after = replace(pair, moving=_flipped(pair.moving))
        case "piece":
            after = replace(pair, moving=_cut(pair.moving, 0.0, PIECE))
        case "third":
            after = replace(pair, fixed=_cut(pair.fixed, 1 / 3, 1.0), moving=_cut(pair.moving, 0.0, 2 / 3))
        case "turned":
            after = _turned(pair, TURNED_DEGREES)
        case "prone":
            after = _turned(pair, PRONE_DEGREES)
        case "apart":
            after = KnownPair(
                _cut(pair.fixed, 1 - PIECE, 1.0), _cut(pair.moving, 0.0, PIECE), nowhere, nowhere
            )
        case _:
            after = pair
    return _where_both_show(after)


def _cut(volume: Volume, low: float, high: float) -> Volume:
    """Return the part of a volume between two shares of its extent from feet to head."""
    axis = int(np.abs(volume.affine[2, :3]).argmax())
    size = volume.shape[axis]
    ends = (round(low * size), round(high * size))
    if volume.affine[2, axis] < 0:
        ends = (size - ends[1], size - ends[0])
    first = np.zeros(3)
    first[axis] = ends[0]
    affine = volume.affine.copy()
    affine[:3, 3] = volume.world_from_voxel(first[None])[0]
    array = np.take(volume.array, np.arange(*ends), axis=axis)
    return Volume(np.ascontiguousarray(array), affine)


def _flipped(volume: Volume) -> Volume:
    """Return the volume with its first and last axis stored the other way round; every voxel keeps its place."""
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])
    flip[[0, 2], 3] = volume.shape[0] - 1, volume.shape[2] - 1
    return Volume(np.ascontiguousarray(volume.array[::-1, :, ::-1]), volume.affine @ flip)


def _turned(pair: KnownPair, degrees: float) -> KnownPair:
    """Return the pair with the second patient turned about the long axis, scanned on the grid of before."""
    volume = pair.moving
    centre = volume.world_from_voxel((np.array(volume.shape) - 1)[None] / 2.0)[0]
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    turn[:3, 3] = centre - turn[:3, :3] @ centre
    seen = np.linalg.inv(volume.affine) @ np.linalg.inv(turn) @ volume.affine
    array: NDArray[np.float32] = affine_transform(
        volume.array.astype(np.float32), seen[:3, :3], seen[:3, 3], order=1, cval=AIR_HU
    )
    moving = Volume(np.rint(array).astype(np.int16), volume.affine)
    return _where_both_show(replace(pair, moving=moving, moving_mm=transform_points(turn, pair.moving_mm)))


def _where_both_show(pair: KnownPair) -> KnownPair:
    """Return the pair with the points alone that lie in both fields of view."""
    kept = np.ones(len(pair.fixed_mm), dtype=bool)
    for volume, points_mm in ((pair.fixed, pair.fixed_mm), (pair.moving, pair.moving_mm)):
        vox = volume.voxel_from_world(points_mm)
        kept &= ((vox >= 0) & (vox <= np.array(volume.shape) - 1)).all(axis=1)
    return replace(pair, fixed_mm=pair.fixed_mm[kept], moving_mm=pair.moving_mm[kept])
