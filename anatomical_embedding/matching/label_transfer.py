"""Organ labels of one volume carried to another by the semantic head: every organ as the mean of its vectors.

An organ of the template is stood for by its prototype, the unit mean of the semantic vectors of its cells, and by the
similarity from which on cells of the template count as the organ: the one of highest Dice overlap there. A voxel of
the target gets the organ whose similarity exceeds its own threshold the most, or none.

Source of the prototypes: Bai et al., "UAE: Universal Anatomical Embedding on Multi-modality Medical Images"
(arXiv 2311.15111). The thresholds are this project's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from anatomical_embedding.embedding.store import EmbeddedVolume, HeadMap, decode
from anatomical_embedding.errors import UserError
from anatomical_embedding.volumes.affine import invert_affine, transform_points
from anatomical_embedding.volumes.volume import Volume

FEWEST_CELLS = 3
"""Organs that fill fewer cells of the template have no prototype worth the name."""


@dataclass(frozen=True)
class OrganPrototypes:
    """What stands for the organs of a template.

    Attributes
    ----------
    labels : (K,) their labels.
    vectors : (K, C) float32 unit vectors.
    thresholds : (K,) similarity from which on a cell counts as the organ.
    template_dice : (K,) overlap that this gives in the template itself, an upper bound of what to expect.
    """

    labels: NDArray[np.int64]
    vectors: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    template_dice: NDArray[np.float64]


def organ_prototypes(template: EmbeddedVolume, labels: Volume) -> OrganPrototypes:
    """Return the prototypes of the organs of a labelled volume.

    Parameters
    ----------
    template : with a semantic head.
    labels : of the template, on any grid in its world; 0 is no organ.

    Raises
    ------
    UserError
        if the embedding has no semantic head, or no organ fills three cells of it.
    """
    head = _semantic(template)
    cells = _cell_labels(head, labels)
    vectors = decode(head.values, scale=head.scale).reshape(len(cells), -1)
    counts = np.bincount(cells)
    kept = np.flatnonzero(counts >= FEWEST_CELLS)
    kept = kept[kept > 0]
    if not len(kept):
        raise UserError(
            f"the labels show no organ in the volume {template.volume_id!r}; give the label map of this very volume"
        )
    means = np.stack([vectors[cells == label].mean(axis=0) for label in kept])
    prototypes = means / np.linalg.norm(means, axis=1, keepdims=True)
    best = [
        _best_threshold(vectors @ prototype, cells == label)
        for label, prototype in zip(kept, prototypes, strict=True)
    ]
    thresholds, dice = np.array(best).T
    return OrganPrototypes(kept, prototypes, thresholds.astype(np.float32), dice)


def transfer_labels(target: EmbeddedVolume, prototypes: OrganPrototypes) -> Volume:
    """Return the label map of a volume on its prepared grid.

    Parameters
    ----------
    target : with a semantic head, of the model that the prototypes come from.
    prototypes : of a labelled volume.

    Raises
    ------
    UserError
        if the embedding has no semantic head.

    Notes
    -----
    Similarities are interpolated from cells to voxels, one organ at a time; memory is a few volumes.
    """
    head = _semantic(target)
    vectors = decode(head.values, scale=head.scale)
    cell_from_voxel = invert_affine(head.cell_affine) @ target.affine
    highest = np.zeros(target.shape, dtype=np.float32)
    labels = np.zeros(target.shape, dtype=np.uint16)
    for label, vector, threshold in zip(
        prototypes.labels, prototypes.vectors, prototypes.thresholds, strict=True
    ):
        surplus = (vectors @ vector - threshold).transpose(2, 1, 0)
        on_voxels = affine_transform(
            surplus,
            cell_from_voxel[:3, :3],
            offset=cell_from_voxel[:3, 3],
            output_shape=target.shape,
            order=1,
            mode="nearest",
        )
        is_higher = on_voxels > highest
        highest[is_higher] = on_voxels[is_higher]
        labels[is_higher] = label
    return Volume(labels, target.affine)


def _semantic(volume: EmbeddedVolume) -> HeadMap:
    if volume.semantic is None:
        raise UserError(
            f"the embedding of {volume.volume_id!r} has no semantic map; train a model of method sampp and export with "
            "with_semantic_map: true"
        )
    return volume.semantic


def _cell_labels(head: HeadMap, labels: Volume) -> NDArray[np.int64]:
    """Return (N,) the label of the voxel nearest to each cell's centre, in (z, y, x) order; 0 outside."""
    z, y, x = np.indices(head.shape_zyx).reshape(3, -1)
    points_mm = transform_points(head.cell_affine, np.stack([x, y, z], axis=1))
    return labels.nearest_values(points_mm).astype(np.int64)


def _best_threshold(similarity: NDArray[np.float32], is_organ: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the threshold with the highest Dice overlap, half way to the next cell, and that overlap."""
    order = np.argsort(-similarity, kind="stable")
    hits = np.cumsum(is_organ[order])
    dice = 2.0 * hits / (np.arange(1, len(order) + 1) + hits[-1])
    place = int(np.argmax(dice))
    following = similarity[order[min(place + 1, len(order) - 1)]]
    return float((similarity[order[place]] + following) / 2.0), float(dice[place])
