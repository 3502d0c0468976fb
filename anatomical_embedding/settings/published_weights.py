"""What the weights that the papers' authors published are used with: `recipes/published_weights`."""

from functools import cache
from typing import Literal

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.run_file import completed_run_file, read_run_files, recipe_path
from anatomical_embedding.settings.usage import UsageSettings
from anatomical_embedding.settings.volumes import Modality

PublishedKind = Literal["sam", "sampp", "cross_sam"]


class PublishedWeightsSettings(Settings):
    """One published model."""

    title: str
    """Its name in the papers."""
    recipe: str
    """Recipe of the model that has its network; its preparation is the one that scans need."""
    registration: str
    """Recipe of the guide, and of deeds, by which scans are registered with it."""
    modalities: tuple[Modality, ...]
    """Kinds of scan that it knows."""
    trained_on: str
    """What its authors say that it learned from."""
    papers: tuple[str, ...]
    """To cite."""
    license: str
    """Of code and weights, as far as it is stated."""
    sources: dict[str, str]
    """What is set -> where the value comes from."""


@cache
def published_weights(kind: PublishedKind) -> PublishedWeightsSettings:
    """Return what is known of a published model."""
    content = read_run_files([recipe_path(f"published_weights/{kind}")])
    return PublishedWeightsSettings.model_validate(content)


@cache
def published_network(kind: PublishedKind) -> NetworkSettings:
    """Return the shape of a published network: SAM++ has three heads, SAM and Cross-SAM have two."""
    run = completed_run_file({"models": {kind: {"recipe": published_weights(kind).recipe}}})
    return NetworkSettings.model_validate(run["models"][kind]["network"])


@cache
def published_usage(kind: PublishedKind) -> UsageSettings:
    """Return how scans are prepared, matched and registered with a published model."""
    published = published_weights(kind)
    registration = {"recipe": published.registration, "deeds": {"recipe": published.registration}}
    run = completed_run_file(
        {"models": {kind: {"recipe": published.recipe}}, "scan_registration": registration}
    )
    return UsageSettings.model_validate({name: run[name] for name in UsageSettings.model_fields})
