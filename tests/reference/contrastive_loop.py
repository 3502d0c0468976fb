"""Slow float64 loops of SAM's losses, written from the paper's text, one query and one cell at a time."""

import numpy as np


def position_mm(flat, *, size, cells_mm):
    """Return (3,) mm of one cell counted through view 1 and then view 2."""
    size_x, size_y, size_z = size
    view, within = divmod(int(flat), size_x * size_y * size_z)
    z, rest = divmod(within, size_x * size_y)
    y, x = divmod(rest, size_x)
    matrix = np.asarray(cells_mm[view], dtype=np.float64)
    return matrix[:3, :3] @ np.array([x, y, z], dtype=np.float64) + matrix[:3, 3]


def cell_vector(maps, flat, *, size):
    """Return (C,) the vector of one cell; maps (2, C, z, y, x)."""
    size_x, size_y, size_z = size
    view, within = divmod(int(flat), size_x * size_y * size_z)
    z, rest = divmod(within, size_x * size_y)
    y, x = divmod(rest, size_x)
    return np.asarray(maps[view, :, z, y, x], dtype=np.float64)


def trilinear_unit_vector(maps, flat, *, size):
    """Return (C',) the coarse vector at one fine cell, corner-aligned trilinear interpolation, made unit."""
    size_x, size_y, size_z = size
    view, within = divmod(int(flat), size_x * size_y * size_z)
    z, rest = divmod(within, size_x * size_y)
    y, x = divmod(rest, size_x)
    vector = np.zeros(maps.shape[1])
    axes = []
    for index, fine, coarse in (
        (z, size_z, maps.shape[2]),
        (y, size_y, maps.shape[3]),
        (x, size_x, maps.shape[4]),
    ):
        place = min(max((index + 0.5) * coarse / fine - 0.5, 0.0), coarse - 1.0)
        low = int(np.floor(place))
        high = min(low + 1, coarse - 1)
        axes.append(((low, 1.0 - (place - low)), (high, place - low)))
    for k, weight_z in axes[0]:
        for j, weight_y in axes[1]:
            for i, weight_x in axes[2]:
                vector += (
                    weight_z * weight_y * weight_x * np.asarray(maps[view, :, k, j, i], dtype=np.float64)
                )
    return vector / np.linalg.norm(vector)


def contrastive_loss_of_pair(
    maps, pair, *, mining_maps, ignore_distance_mm, num_negatives, temperature, others
):
    """Return the loss of one view pair whose negatives are the `num_negatives` hardest cells.

    `others` are (M, C) vectors of other pairs that are negatives of every query; `mining_maps` are coarse maps whose
    similarity is added when negatives are chosen, or None.
    """
    size = pair.size
    num_cells = 2 * size[0] * size[1] * size[2]
    losses = []
    for query, partner in zip(pair.query.tolist(), pair.partner.tolist(), strict=True):
        vector = cell_vector(maps, query, size=size)
        place = position_mm(query, size=size, cells_mm=pair.cells_mm)
        found = []
        for cell in range(num_cells):
            distance = np.linalg.norm(position_mm(cell, size=size, cells_mm=pair.cells_mm) - place)
            if distance < ignore_distance_mm or cell in (query, partner):
                continue
            similarity = vector @ cell_vector(maps, cell, size=size)
            score = similarity
            if mining_maps is not None:
                score += trilinear_unit_vector(mining_maps, query, size=size) @ trilinear_unit_vector(
                    mining_maps, cell, size=size
                )
            found.append((score, similarity))
        found.sort(reverse=True)
        negatives = [similarity for _, similarity in found[:num_negatives]]
        negatives += [vector @ np.asarray(other, dtype=np.float64) for other in others]
        positive = vector @ cell_vector(maps, partner, size=size)
        logits = np.array([positive, *negatives]) / temperature
        losses.append(np.log(np.exp(logits).sum()) - logits[0])
    return float(np.mean(losses))
