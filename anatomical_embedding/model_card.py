"""What a model is: its data, the settings it is used with, its measured accuracy and its limits.

A packaged model (`workflow_scripts.package_model`) carries its card in the header, so that one file is all that a user
needs. Reading a card needs no torch.
"""

from pathlib import Path
from typing import Any

import pydantic

from anatomical_embedding.checkpoint_header import CARD_KEY, read_checkpoint_header
from anatomical_embedding.confidence import Confidence
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.usage import UsageSettings
from anatomical_embedding.settings.validation_message import describe_validation_error
from anatomical_embedding.settings.volumes import Modality


class TrainingData(Settings):
    """The volumes of one data set that a model learned from."""

    dataset: str
    """Name of the data set."""
    modality: Modality
    """Kind of scan."""
    num_train: int
    """Volumes that it was trained on."""
    num_validation: int
    """Volumes that its training was watched with."""


class PublishedOrigin(Settings):
    """Where weights come from that others trained (`networks/import_published.py`)."""

    title: str
    """Name of the model in its papers."""
    file: str
    """Name of the file that was imported."""
    sha256: str
    """Its checksum."""
    trained_on: str
    """What its authors say that it learned from."""
    papers: tuple[str, ...]
    """To cite."""
    license: str
    """Of code and weights, as far as it is stated."""
    sources: dict[str, str]
    """What is set -> where the value comes from."""


class ModelCard(Settings):
    """The description of a model that travels in its file."""

    name: str
    """Name of the model in the configuration."""
    checkpoint_sha256: str
    """Checksum of the checkpoint that the package was made of; stores name their model by it."""
    usage: UsageSettings
    """How scans are prepared and points matched."""
    modalities: tuple[Modality, ...]
    """Kinds of scan that it knows."""
    training_data: tuple[TrainingData, ...]
    """What it learned from; empty where that is not recorded."""
    validation: dict[str, float]
    """Last row of the validation log without its time: points matched between two views of held-out volumes."""
    evaluations: tuple[dict[str, Any], ...]
    """Scores on held-out volumes, as in summary.json."""
    confidence: dict[str, Confidence]
    """Way of matching -> how far its answers can be trusted; none where no patients were set aside to tell."""
    confidence_scores: tuple[dict[str, Any], ...] = ()
    """How good that is on held-out patients: `method`, `source` and the scores of `confidence_scores.json`."""
    limits: tuple[str, ...]
    """What it should not be used for."""
    origin: PublishedOrigin | None = None
    """Where it comes from, if others trained it."""


def read_model_card(path: Path | str) -> tuple[ModelCard, NetworkSettings]:
    """Return the card and the network of a packaged model, without its weights.

    Raises
    ------
    InputFileError
        if the file is not a checkpoint, or holds weights only.
    """
    header = read_checkpoint_header(path)
    card = header.get("metadata", {}).get(CARD_KEY)
    if card is None:
        raise InputFileError(
            path,
            "holds weights but no model card, so it does not say how scans are prepared for it; use the "
            "model.safetensors beside it, or import the published file again (`anatomical-embedding import`)",
        )
    try:
        # Tuples are lists in JSON, and only JSON mode takes them.
        return ModelCard.model_validate(card, strict=False), NetworkSettings.model_validate(header["network"])
    except pydantic.ValidationError as error:
        raise InputFileError(
            path,
            f"has a model card of another version ({describe_validation_error(error, content=card)}); pack it again "
            "in the folder of its run, `snakemake --cores all --configfile RUN_FILE -- "
            "results/models/NAME/model.safetensors`, or with `anatomical-embedding import` for published weights",
        ) from error


def card_lines(card: ModelCard, network: NetworkSettings) -> list[str]:
    """Return a card as lines to read."""
    usage = card.usage
    spacing = " x ".join(f"{spacing:g}" for spacing in usage.volumes.spacing_mm)
    stride_mm = [
        f"{stride * spacing:g}"
        for stride, spacing in zip(network.fine_stride_zyx[::-1], usage.volumes.spacing_mm, strict=True)
    ]
    lines = [
        f"model          {card.name} ({card.checkpoint_sha256[:12]})",
        f"scans          {', '.join(card.modalities)}, prepared at {spacing} mm",
        f"vectors        {network.embedding_channels} fine and {network.coarse_channels} coarse channels, "
        f"one fine cell every {' x '.join(stride_mm)} mm",
        f"intensity      CT {usage.intensity.ct_low_hu:g} to {usage.intensity.ct_high_hu:g} HU",
        f"decision       found if {100 * usage.confidence.decision.found_probability:g} % sure, else for review",
    ]
    lines += [
        f"trained on     {data.dataset}: {data.num_train} {data.modality} volumes, {data.num_validation} for validation"
        for data in card.training_data
    ]
    if card.origin is not None:
        lines += _origin_lines(card.origin)
    if card.validation:
        lines.append(
            "validation     " + ", ".join(f"{name} {value:.4g}" for name, value in card.validation.items())
        )
    if not card.evaluations:
        lines.append("measured       nothing: how accurate it is, is not known")
    lines += [
        f"measured       {scores['protocol']}, {scores['method']}: median {scores['median_mm']:.1f} mm, "
        f"{100 * scores['hit_10mm']:.0f} % within 10 mm of {scores['num_queries']} points"
        for scores in card.evaluations
    ]
    if not card.confidence:
        lines.append("confidence     none fitted: answers are `unknown`")
    for method, fitted in sorted(card.confidence.items()):
        lines.append(
            f"confidence     {method}: that an answer lies within {fitted.within_mm:g} mm, fitted to "
            f"{fitted.num_answers} answers of {fitted.num_patients} patients ({', '.join(fitted.sources)}), "
            f"{fitted.num_out_of_view} of them out of view"
        )
    lines += [line for scores in card.confidence_scores for line in confidence_lines(scores)]
    return lines + [f"limit          {limit}" for limit in card.limits]


def _origin_lines(origin: PublishedOrigin) -> list[str]:
    return [
        f"imported       {origin.title} from {origin.file} ({origin.sha256[:12]})",
        f"trained on     {origin.trained_on}",
        *(f"source         {what}: {source}" for what, source in origin.sources.items()),
        *(f"paper          {paper}" for paper in origin.papers),
        f"license        {origin.license}",
    ]


def confidence_lines(scores: dict[str, Any]) -> list[str]:
    """Return what was measured of a confidence: ranking, calibration, and radii over all."""
    lines = [
        f"reliability    {scores['method']}, {scores['source']}: AUROC {two_digits(scores['auroc'])}, "
        f"calibration error {two_digits(scores['calibration_error'])} over {scores['num_queries']} answers"
    ]
    if scores["risk"]:
        half, whole = scores["risk"][len(scores["risk"]) // 2 - 1], scores["risk"][-1]
        lines.append(
            f"               9 of 10 answers lie within {whole['p90_mm']:.1f} mm, of the surest half within "
            f"{half['p90_mm']:.1f} mm"
        )
    covered = [
        f"{level} % radius {radius['median_mm']:.1f} mm holds {100 * radius['covered']:.0f} %"
        for level, radius in scores["groups"]["all"]["radius"].items()
        if radius["covered"] is not None
    ]
    if covered:
        lines.append(f"               {', '.join(covered)}; of each landmark or organ: --json")
    return lines


def two_digits(value: float | None) -> str:
    """Return a score as text, also one that could not be worked out."""
    return "not defined" if value is None else f"{value:.2f}"
