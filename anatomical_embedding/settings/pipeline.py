"""The whole configuration: every section, checked together, and what each stage may see of it."""

from collections.abc import Mapping
from typing import Any

import pydantic
from pydantic import Field, model_validator

from anatomical_embedding.errors import SettingsError
from anatomical_embedding.files import canonical_json
from anatomical_embedding.identifiers import Identifier
from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.dataset import DatasetSettings
from anatomical_embedding.settings.embedding import EmbeddingSettings
from anatomical_embedding.settings.evaluation import LandmarkEvaluationSettings
from anatomical_embedding.settings.matching import MatchingSettings, StoreSettings
from anatomical_embedding.settings.model import CrossSamModelSettings, ModelSettings
from anatomical_embedding.settings.registration import RegistrationSettings
from anatomical_embedding.settings.validation_message import describe_validation_error
from anatomical_embedding.settings.volumes import IntensitySettings, VolumeSettings


class PipelineSettings(Settings):
    """The configuration of a run."""

    title: str
    """Heading of the report."""
    results: str = Field(pattern=r"^[A-Za-z0-9_./-]+$")
    """Folder of everything that the run writes."""
    datasets: dict[Identifier, DatasetSettings]
    """Name -> data set. Only those that a model or an evaluation uses are prepared."""
    volumes: VolumeSettings
    """How raw volumes become prepared volumes."""
    intensity: IntensitySettings
    """The network's input range."""
    models: dict[Identifier, ModelSettings]
    """Name -> model. All are trained."""
    embedding: EmbeddingSettings
    """How a trained network is run over whole volumes."""
    store: StoreSettings
    """How embeddings are stored."""
    matching: MatchingSettings
    """How points are found in other volumes."""
    evaluations: dict[Identifier, LandmarkEvaluationSettings]
    """Name -> evaluation."""
    registrations: dict[Identifier, RegistrationSettings]
    """Name -> pairs of volumes to register; may be empty."""

    @model_validator(mode="after")
    def _check_references(self) -> "PipelineSettings":
        for name, model in self.models.items():
            for dataset in model.training.mix:
                _require(dataset, self.datasets, where=f"models.{name}.training.mix", section="datasets")
        for name, evaluation in self.evaluations.items():
            where = f"evaluations.{name}"
            _require(evaluation.dataset, self.datasets, where=f"{where}.dataset", section="datasets")
            for answering in evaluation.models:
                _require(answering, self.models, where=f"{where}.models", section="models")
        for name, registration in self.registrations.items():
            where = f"registrations.{name}.dataset"
            _require(registration.dataset, self.datasets, where=where, section="datasets")
            if registration.guide is not None:
                guide = f"registrations.{name}.guide.model"
                _require(registration.guide.model, self.models, where=guide, section="models")
        self._check_rounds()
        return self

    def _check_rounds(self) -> None:
        """Refuse models across modalities that start from or are registered by what does not come before them."""
        for name, model in self.models.items():
            if not isinstance(model, CrossSamModelSettings):
                continue
            where = f"models.{name}"
            used = model.registered.registration
            _require(
                used, self.registrations, where=f"{where}.registered.registration", section="registrations"
            )
            if self.registrations[used].guide is None:
                raise ValueError(
                    f"{where}.registered.registration names {used!r}, which has no guide; give it one"
                )
            if model.initial_model is not None:
                _require(model.initial_model, self.models, where=f"{where}.initial_model", section="models")
                if self.models[model.initial_model].network != model.network:
                    raise ValueError(
                        f"{where}.network differs from that of {model.initial_model!r}, from which it starts; "
                        "copy it"
                    )
            if name in self._models_before(name):
                raise ValueError(
                    f"{where} depends on itself; let each round name the model of the round before"
                )

    def _models_before(self, name: str) -> set[str]:
        """Return the models that a model depends on, over any number of rounds."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            model = self.models[waiting.pop()]
            if isinstance(model, CrossSamModelSettings):
                guide = self.registrations[model.registered.registration].guide
                before = {model.initial_model, guide.model if guide else None} - {None} - found
                found |= {each for each in before if each is not None}
                waiting += [each for each in before if each is not None]
        return found


def read_pipeline_settings(configuration: Mapping[str, Any]) -> PipelineSettings:
    """Return the checked settings of a configuration as Snakemake gives it.

    An entry that an overlay sets to null is removed first, the rule of JSON merge patches (RFC 7396), so that an
    overlay can take the demo's data sets and models away. A null that the settings know as a value stays.

    Raises
    ------
    SettingsError
        naming every key at fault.
    """
    named_sections = ("datasets", "models", "evaluations", "registrations")
    kept = {
        section: _without_nulls(content) if section in named_sections else content
        for section, content in configuration.items()
    }
    for model in (kept.get("models") or {}).values():
        training = model.get("training") if isinstance(model, Mapping) else None
        if isinstance(training, dict) and isinstance(training.get("mix"), Mapping):
            training["mix"] = _without_nulls(training["mix"])
    try:
        # Snakemake hands over YAML's lists; JSON mode takes them for tuples.
        return PipelineSettings.model_validate_json(canonical_json(kept))
    except pydantic.ValidationError as error:
        raise SettingsError(f"configuration: {describe_validation_error(error)}") from error


def section_json(**parts: Settings | Mapping | str | int | None) -> str:
    """Return the settings that a stage may see as one line of JSON, equal for equal settings."""
    return canonical_json(
        {
            name: part.model_dump(mode="json") if isinstance(part, Settings) else part
            for name, part in parts.items()
        }
    )


def _without_nulls(section: Any) -> Any:
    if not isinstance(section, Mapping):
        return section
    return {name: content for name, content in section.items() if content is not None}


def _require(name: str, known: Mapping[str, Any], *, where: str, section: str) -> None:
    if name not in known:
        raise ValueError(
            f"{where} names {name!r}, which is not in {section}; known: {', '.join(sorted(known))}"
        )
