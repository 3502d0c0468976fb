"""Fixed-point matching the direct way: every anchor against every cell, all four half-steps, in float64 loops."""

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.embedding.store import EmbeddedVolume
from anatomical_embedding.matching.query_vectors import nearest_cells
from anatomical_embedding.volumes.affine import transform_points
from tests.reference.direct_matching import upsample_by_cell_centres


def fixed_points_everywhere(
    template: EmbeddedVolume,
    target: EmbeddedVolume,
    points_mm: NDArray,
    *,
    radius_steps: int,
    step_cells: int,
    largest_shift_mm: float,
    stiffness_mm: float,
) -> NDArray[np.float64]:
    """Return (N, 3) mm in the target: the robust affine map through the anchors' fixed points, at each query."""
    maps = [_joint_map(volume) for volume in (template, target)]
    flat = [each.reshape(-1, each.shape[-1]) for each in maps]
    size_xyz = np.array(maps[0].shape[2::-1])
    answers = []
    for point_mm in points_mm:
        centre = nearest_cells(template.fine, point_mm[None])[0]
        span = step_cells * np.arange(-radius_steps, radius_steps + 1)
        anchors = {
            tuple(np.clip(centre + np.array((i, j, k)), 0, size_xyz - 1))
            for i in span
            for j in span
            for k in span
        }
        pairs = {}
        for x, y, z in sorted(anchors):
            position = np.ravel_multi_index((z, y, x), maps[0].shape[:3])
            for _ in range(2):
                there = int((flat[1] @ flat[0][position]).argmax())
                position = int((flat[0] @ flat[1][there]).argmax())
            pairs[there] = position
        source = _world(template, maps[0], pairs.values()) - point_mm
        partner = _world(target, maps[1], pairs.keys())
        near = np.linalg.norm(source, axis=1) < largest_shift_mm
        cell_mm = np.linalg.norm(target.fine.cell_affine[:3, :3], axis=0).min()
        answers.append(_robust_answer(source[near], partner[near], stiffness_mm, 0.25 * cell_mm))
    return np.array(answers)


def _joint_map(volume: EmbeddedVolume) -> NDArray[np.float64]:
    coarse = upsample_by_cell_centres(
        volume.coarse.values,
        volume.fine.shape_zyx,
        stride_fine=volume.fine.stride_zyx,
        stride_coarse=volume.coarse.stride_zyx,
    )
    coarse /= np.linalg.norm(coarse, axis=-1, keepdims=True)
    return np.concatenate([volume.fine.values.astype(np.float64), coarse], axis=-1)


def _world(volume: EmbeddedVolume, cells: NDArray, flat) -> NDArray[np.float64]:
    z, y, x = np.unravel_index(np.array(list(flat)), cells.shape[:3])
    return transform_points(volume.fine.cell_affine, np.stack([x, y, z], axis=-1))


def _robust_answer(source: NDArray, partner: NDArray, stiffness_mm: float, scale_mm: float) -> NDArray:
    """Return the intercept by biweight reweighting, one 4-parameter ridge regression an axis."""
    predicted = source + np.median(partner - source, axis=0)
    for _ in range(20):
        distance = np.linalg.norm(partner - predicted, axis=1)
        scale = max(np.median(distance) / 1.5382, scale_mm)
        weight = np.clip(1.0 - (distance / (4.685 * scale)) ** 2, 0.0, None) ** 2
        design = np.column_stack([source, np.ones(len(source))])
        penalty = np.diag([stiffness_mm**2 * weight.sum()] * 3 + [0.0])
        bend = np.linalg.solve(
            design.T @ (weight[:, None] * design) + penalty, design.T @ (weight[:, None] * (partner - source))
        )
        predicted = source + design @ bend
    return bend[3]
