"""A trained model, opened by its card; its weights are read when they are needed."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from anatomical_embedding.embedding.export import StoreEmbedder
from anatomical_embedding.model_card import ModelCard, read_model_card
from anatomical_embedding.settings.network import NetworkSettings


@dataclass(frozen=True)
class Model:
    """A trained model; its weights are read when a scan is embedded for the first time.

    Attributes
    ----------
    path : its file.
    card : what it is.
    network : shape of the network.
    """

    path: Path
    card: ModelCard
    network: NetworkSettings

    @cached_property
    def embedder(self) -> StoreEmbedder:
        """The network, ready to embed prepared volumes.

        Raises
        ------
        InputFileError
            if the checkpoint cannot be used, or its weights are damaged.
        """
        return StoreEmbedder(self.path, settings=self.card.usage.export())


def describe_model(checkpoint: Path | str) -> ModelCard:
    """Return what a model is: data, settings, accuracy and limits; the weights are not read.

    Raises
    ------
    InputFileError
        if the file is not a checkpoint or holds no model card.
    """
    return read_model_card(checkpoint)[0]


def load_model(checkpoint: Path | str) -> Model:
    """Return a model for the other functions.

    Raises
    ------
    InputFileError
        if the file is not a checkpoint or holds no model card.
    """
    card, network = read_model_card(checkpoint)
    return Model(Path(checkpoint), card, network)
