"""The whole configuration: every section, checked together, and what each stage may see of it."""

from collections.abc import Mapping
from typing import Any, get_args

import pydantic
from pydantic import Field, model_validator

from anatomical_embedding.canonical_text import canonical_json
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.identifiers import Identifier
from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.confidence import ConfidenceSettings
from anatomical_embedding.settings.dataset import DatasetSettings, DeepLesionTrackingSettings
from anatomical_embedding.settings.embedding import EmbeddingSettings
from anatomical_embedding.settings.evaluation import BaselineMethod, LandmarkEvaluationSettings
from anatomical_embedding.settings.follow import FollowingSettings
from anatomical_embedding.settings.match_points import RefineTableSettings
from anatomical_embedding.settings.matching import MatchingMethod, MatchingSettings, MethodName, StoreSettings
from anatomical_embedding.settings.model import CrossSamModelSettings, ModelSettings, SamppModelSettings
from anatomical_embedding.settings.phantom import PhantomTrackingSettings
from anatomical_embedding.settings.registration import RegistrationSettings
from anatomical_embedding.settings.run_file import completed_run_file
from anatomical_embedding.settings.tracking import TrackingSettings
from anatomical_embedding.settings.usage import (
    AnswerSettings,
    PropagationSettings,
    ScanRegistrationSettings,
    UsageSettings,
)
from anatomical_embedding.settings.validation_message import describe_validation_error
from anatomical_embedding.settings.volumes import IntensitySettings, VolumeSettings

FEWEST_ORGANS = 2
"""A single organ has nothing labelled to be told from."""


class PipelineSettings(Settings):
    """The configuration of a run, with every value that its run file leaves to recipes."""

    title: str
    """Heading of the report."""
    results: str = Field(pattern=r"^[A-Za-z0-9_./][A-Za-z0-9_./-]*$")
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
    """How the vectors of points are compared."""
    methods: dict[MethodName, MatchingMethod]
    """Name -> way of matching, for evaluations, trackings and users' points."""
    confidence: ConfidenceSettings
    """How far answers are trusted, those of evaluations and trackings as those to users' points."""
    answers: AnswerSettings
    """How a user's points are answered."""
    propagation: PropagationSettings
    """How the command `propagate` carries labels to another scan; nothing in the workflow depends on it."""
    scan_registration: ScanRegistrationSettings
    """How the command `register` registers two scans of a user and, on a coarser grid, those that move answers to the
    voxel are registered before; nothing else in the workflow depends on it."""
    evaluations: dict[Identifier, LandmarkEvaluationSettings]
    """Name -> evaluation."""
    registrations: dict[Identifier, RegistrationSettings]
    """Name -> pairs of volumes to register; may be empty."""
    trackings: dict[Identifier, TrackingSettings]
    """Name -> lesion tracking; may be empty."""
    followings: dict[Identifier, FollowingSettings]
    """Name -> patients whose lesions are followed over visits; may be empty."""

    def usage(self) -> UsageSettings:
        """Return the part that using a trained model needs."""
        return UsageSettings(**{name: getattr(self, name) for name in UsageSettings.model_fields})

    def refine_table(self, dataset: str) -> RefineTableSettings:
        """Return what it takes to move the matches between scans of a data set to the voxel."""
        return RefineTableSettings(
            dataset=self.datasets[dataset],
            largest_gap_mm=self.volumes.largest_gap_mm,
            registration=self.usage().coarse_registration(),
            refinement=self.answers.refinement,
        )

    @model_validator(mode="after")
    def _check_references(self) -> "PipelineSettings":
        for name, model in self.models.items():
            for dataset in model.training.mix:
                _require(dataset, self.datasets, where=f"models.{name}.training.mix", section="datasets")
            if isinstance(model, SamppModelSettings):
                self._check_organs_learned(model, where=f"models.{name}")
        for name, evaluation in self.evaluations.items():
            where = f"evaluations.{name}"
            _require(evaluation.dataset, self.datasets, where=f"{where}.dataset", section="datasets")
            self._check_answering(evaluation, where=where)
        for name, registration in self.registrations.items():
            where = f"registrations.{name}.dataset"
            _require(registration.dataset, self.datasets, where=where, section="datasets")
            if registration.guide is not None:
                guide = f"registrations.{name}.guide.model"
                _require(registration.guide.model, self.models, where=guide, section="models")
            elif not self.datasets[registration.dataset].organs:
                raise ValueError(
                    f"{where} names {registration.dataset!r}, which has no organs, expected a data set with organs: "
                    "registrations are judged by their overlap"
                )
        for name, tracking in self.trackings.items():
            self._check_tracking(tracking, where=f"trackings.{name}")
        self._check_rounds()
        self._check_followings()
        _require(self.answers.method, self.methods, where="answers.method", section="methods")
        taken = sorted(set(self.methods) & set(get_args(BaselineMethod)))
        if taken:
            raise ValueError(f"methods names {taken[0]!r}, which is a baseline; choose another name")
        return self

    def _check_answering(self, asked: LandmarkEvaluationSettings | TrackingSettings, *, where: str) -> None:
        for model in asked.models:
            _require(model, self.models, where=f"{where}.models", section="models")
        for method in asked.methods:
            _require(method, self.methods, where=f"{where}.methods", section="methods")

    def _check_organs_learned(self, model: SamppModelSettings, *, where: str) -> None:
        labelled = model.semantic.dataset
        _require(labelled, self.datasets, where=f"{where}.semantic.dataset", section="datasets")
        if len(self.datasets[labelled].organs) < FEWEST_ORGANS:
            raise ValueError(
                f"{where}.semantic.dataset names {labelled!r}, expected a data set with at least {FEWEST_ORGANS} organs"
            )
        if model.initial_model is not None:
            _require(model.initial_model, self.models, where=f"{where}.initial_model", section="models")
            before = self.models[model.initial_model].confidence_folds
            if model.confidence_folds not in (None, before):
                raise ValueError(
                    f"{where}.confidence_folds is {model.confidence_folds}, but {model.initial_model!r}, from which it "
                    f"starts, has {before or 'none'}; give both the same, or it starts from patients set aside"
                )
            if self.models[model.initial_model].method != "sam":
                raise ValueError(
                    f"{where}.initial_model names {model.initial_model!r}, expected a model of method sam"
                )

    def _check_tracking(self, tracking: TrackingSettings, *, where: str) -> None:
        _require(tracking.dataset, self.datasets, where=f"{where}.dataset", section="datasets")
        self._check_answering(tracking, where=where)
        dataset = self.datasets[tracking.dataset]
        if not isinstance(dataset, DeepLesionTrackingSettings | PhantomTrackingSettings):
            raise ValueError(  # noqa: TRY004 - pydantic takes value errors
                f"{where}.dataset names {tracking.dataset!r} of kind {dataset.kind}, expected deeplesion_tracking "
                "or phantom_tracking"
            )
        if isinstance(dataset, DeepLesionTrackingSettings) and tracking.split not in dataset.annotations:
            raise ValueError(
                f"{where} needs annotations of {tracking.split}, which the data set {tracking.dataset!r} does not name"
            )

    def _check_followings(self) -> None:
        for name, following in self.followings.items():
            _require(following.model, self.models, where=f"followings.{name}.model", section="models")

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
    """Return the checked settings of a run file; recipes fill in what it leaves out.

    Parameters
    ----------
    configuration : the run file, or several that Snakemake has merged.

    Raises
    ------
    SettingsError
        naming every key at fault.
    """
    content = completed_run_file(configuration)
    try:
        # Snakemake hands over YAML's lists; JSON mode takes them for tuples.
        return PipelineSettings.model_validate_json(canonical_json(content))
    except pydantic.ValidationError as error:
        raise SettingsError(describe_validation_error(error, content=content)) from error


def section_json(**parts: Settings | Mapping | str | int | None) -> str:
    """Return the settings that a stage may see as one line of JSON, equal for equal settings."""
    return canonical_json(
        {
            name: part.model_dump(mode="json") if isinstance(part, Settings) else part
            for name, part in parts.items()
        }
    )


def _require(name: str, known: Mapping[str, Any], *, where: str, section: str) -> None:
    if name not in known:
        raise ValueError(
            f"{where} names {name!r}, which is not in {section}; known: {', '.join(sorted(known))}"
        )
