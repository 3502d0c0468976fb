"""Settings of embedding whole volumes."""

from typing import Annotated, Literal

from pydantic import Field

from anatomical_embedding.settings.base import Settings


class EmbeddingSettings(Settings):
    """How a trained network is run over whole volumes."""

    precision: Literal["fp32", "bf16", "fp16"]
    """Number format of the network: fp32 is exact; bf16 is about three times as fast on processors that have
    it (mean 1 - cosine below 0.001), and others compute in fp32 instead; fp16 is for GPUs only."""

    device: Literal["auto", "cpu", "cuda"]
    """Where the network runs: auto takes a GPU where there is one."""

    memory_limit_mb: Annotated[int, Field(ge=1)]
    """Working memory for one volume in MB, besides the program (to within 100 MB), the volume and its
    embedding. A volume that needs more is embedded in overlapping tiles, with the same result. The published
    network needs about 850 for 256 x 192 x 192 voxels in bf16 and 1550 in fp32."""

    with_semantic_map: bool
    """Whether the semantic map is made where the network has that head; it costs a quarter of the time and
    doubles the size of the embedding. Cross-SAM does not use it."""
