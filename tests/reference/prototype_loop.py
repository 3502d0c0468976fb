"""The prototype loss as its formula stands: float64, one label and one cell at a time."""

import math

import numpy as np
from numpy.typing import NDArray


def prototype_loss_by_loops(vectors: NDArray, labels: NDArray, *, temperature: float) -> float:
    """Return the mean over labels of the mean over their cells of -log softmax among all cells."""
    vectors = vectors.astype(np.float64)
    losses = []
    for label in sorted(set(labels.tolist()) - {0}):
        members = [cell for cell in range(len(labels)) if labels[cell] == label]
        prototype = sum(vectors[cell] for cell in members) / len(members)
        logits = [float(prototype @ vector) / temperature for vector in vectors]
        total = math.log(sum(math.exp(logit) for logit in logits))
        losses.append(sum(total - logits[cell] for cell in members) / len(members))
    return sum(losses) / len(losses)
