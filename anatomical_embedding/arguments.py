"""What a user of the library gives to its functions: words of a choice and points, refused where they mean nothing."""

from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.errors import UserError

NUM_AXES = 3


def require_choice(name: str, value: str | None, choices: Any) -> None:
    """Refuse a word that is none of a `Literal`; None leaves the choice open.

    Raises
    ------
    UserError
        naming the argument and the words that it may be.
    """
    known = get_args(choices)
    if value is not None and value not in known:
        raise UserError(f"{name} is {value!r}, expected one of {', '.join(map(repr, known))}")


def point_array(points: ArrayLike) -> NDArray[np.float64]:
    """Return points as (N, 3) float64; one point alone, (3,), and none at all are taken as well.

    Raises
    ------
    UserError
        if they are no numbers, or of another shape, such as (3, N): read row by row its numbers would be other points.

    Examples
    --------
    >>> point_array([-12.5, 40, 310]).shape, point_array([]).shape
    ((1, 3), (0, 3))
    """
    try:
        array = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"points are no numbers ({error}), expected (N, 3) of them") from None
    if array.size and array.shape != (NUM_AXES,) and array.shape[1:] != (NUM_AXES,):
        raise UserError(f"points are an array of shape {array.shape}, expected (N, 3): a point in each row")
    return array.reshape(-1, NUM_AXES)
