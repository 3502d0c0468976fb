"""Settings of the stage that embeds the volumes of a data set and stores the result."""

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.embedding import EmbeddingSettings
from anatomical_embedding.settings.matching import StoreSettings
from anatomical_embedding.settings.volumes import IntensitySettings


class ExportSettings(Settings):
    """All that the export of embeddings may see."""

    embedding: EmbeddingSettings
    """How the network is run over whole volumes."""
    store: StoreSettings
    """How embeddings are stored."""
    intensity: IntensitySettings
    """The network's input range."""
