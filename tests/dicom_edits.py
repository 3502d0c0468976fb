"""Changes of a series of DICOM slices, and the one line that refuses its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from anatomical_embedding.errors import InputFileError
from tests.dicom_slices import read_series


def always(value: Any) -> Callable[[int], Any]:
    """Return what gives every slice the same value."""
    return lambda k: value


def edited(**tags: Any) -> Callable[[Dataset, int], None]:
    """Return an edit that sets tags of every slice; None takes one out."""

    def edit(dataset: Dataset, k: int) -> None:
        for keyword, value in tags.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    return edit


def item(**tags: Any) -> Dataset:
    """Return an item of a sequence."""
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def refusal(folder: Path) -> InputFileError:
    """Return the error that refuses a folder, which is one line."""
    with pytest.raises(InputFileError) as caught:
        read_series(folder)
    assert "\n" not in str(caught.value)
    return caught.value
