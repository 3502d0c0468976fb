"""Slow float64 loops of the self-similarity descriptor, written from the paper's text, one voxel at a time."""

from itertools import product

import numpy as np

NEIGHBOURS = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
"""In (z, y, x)."""


def descriptors(volume, *, distance, radius, noise):
    """Return {neighbour: (Z, Y, X)} of a (Z, Y, X) volume that goes on beyond its border with its outermost voxels."""
    volume = np.asarray(volume, dtype=np.float64)
    result = {neighbour: np.zeros(volume.shape) for neighbour in NEIGHBOURS}
    for place in np.ndindex(volume.shape):
        distances = {}
        for neighbour in NEIGHBOURS:
            squares = []
            for offset in product(range(-radius, radius + 1), repeat=3):
                here = np.array(place) + offset
                there = here + distance * np.array(neighbour)
                squares.append((_value(volume, here) - _value(volume, there)) ** 2)
            distances[neighbour] = np.mean(squares)
        variance = np.mean(list(distances.values())) + noise**2
        for neighbour in NEIGHBOURS:
            result[neighbour][place] = np.exp(-distances[neighbour] / variance)
    return result


def _value(volume, place):
    return volume[tuple(np.clip(place, 0, np.array(volume.shape) - 1))]
