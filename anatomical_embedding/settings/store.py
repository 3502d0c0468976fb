"""Settings of the embedding store: how the heads are written."""

from typing import Literal

from anatomical_embedding.settings.base import Settings


class StoreSettings(Settings):
    """How the embedding of a volume is stored (anatomical_embedding/matching/embedding_store.py)."""

    format: Literal["fp16", "int8"]
    """`fp16` is practically lossless; `int8` with a scale per voxel halves the file (same match in about 98 %)."""
