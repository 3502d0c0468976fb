"""A start that another program found."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class InitialStart:
    """A start.

    Attributes
    ----------
    matrix : (4, 4) fixed to moving, world mm RAS+.
    remarks : what was chosen in reading it, a sentence each that begins with the path.
    """

    matrix: NDArray[np.float64]
    remarks: tuple[str, ...] = ()
