"""Settings of lesion tracking: who follows which lesions."""

from typing import Literal

from pydantic import Field

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.evaluation import ResamplingSettings
from anatomical_embedding.settings.matching import MethodName

AnnotatedSplit = Literal["validation", "test"]
"""A split that lesion annotations exist for."""


class TrackingSettings(Settings):
    """One evaluation of lesion tracking; every published definition is scored, always side by side."""

    dataset: str = Field(min_length=1)
    """Name of the data set in the section `datasets`, of kind `deeplesion_tracking` or `phantom_tracking`."""
    models: tuple[str, ...]
    """Names of the models that answer, in the section `models`."""
    methods: tuple[MethodName, ...] = Field(min_length=1)
    """Names of the ways of matching, in the section `methods`, each with every model."""
    refined: bool
    """Whether matches are moved to the voxel by the raw scans, as `answers.refinement` says, or stay in their cells."""
    split: AnnotatedSplit
    """Split of the data set that is scored."""
    bootstrap: ResamplingSettings
    """Intervals and paired tests, clustered by patient."""
