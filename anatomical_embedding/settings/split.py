"""Settings of the split of subjects into training, validation and test."""

from typing import Literal

from pydantic import Field

from anatomical_embedding.settings.base import Settings

Split = Literal["train", "validation", "test"]
"""What the volumes of a subject are for."""


class SplitSettings(Settings):
    """How many subjects are kept out of the training; the choice is drawn with a seed of its own."""

    num_test: int = Field(ge=0)
    """Subjects that are only scored at the end."""
    num_validation: int = Field(ge=0)
    """Subjects that are scored during the training."""
    seed: int = Field(ge=0)
    """Seed of the draw; the same seed and the same subjects give the same split."""
