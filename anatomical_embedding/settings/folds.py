"""Models of folds: trained without a part of the patients, so that a confidence can be fitted to answers in these."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import PositiveInt, model_validator

from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.model import ModelSettings, SamppModelSettings


class FoldSettings(Settings):
    """What the stage set_fold_aside may see."""

    number: PositiveInt
    """Which fold is set aside, from 1."""
    count: PositiveInt
    """Folds that the training patients are divided into."""

    @model_validator(mode="after")
    def _is_one_of_them(self) -> "FoldSettings":
        if self.number > self.count:
            raise ValueError(f"number is {self.number}, expected one of the {self.count} folds")
        return self

    @property
    def name(self) -> str:
        """Its name in paths."""
        return f"fold_{self.number}_of_{self.count}"


@dataclass(frozen=True)
class FoldModel:
    """A model that is trained as another one is, without the patients of a fold.

    Attributes
    ----------
    fold : whom it is trained without.
    settings : how it is trained; it starts from the model of the same fold where the other starts from a model.
    """

    fold: FoldSettings
    settings: ModelSettings


def fold_models(models: Mapping[str, ModelSettings]) -> dict[str, FoldModel]:
    """Return name -> model for every fold of the models that ask for folds, `MODEL/fold_1_of_3` and so on."""
    found: dict[str, FoldModel] = {}
    for name, model in models.items():
        for fold in folds_of(model):
            settings = model
            if isinstance(model, SamppModelSettings) and model.initial_model is not None:
                settings = model.model_copy(update={"initial_model": f"{model.initial_model}/{fold.name}"})
            found[f"{name}/{fold.name}"] = FoldModel(fold, settings)
    return found


def folds_of(model: ModelSettings) -> list[FoldSettings]:
    """Return the folds that a model asks for, none where it asks for none."""
    count = model.confidence_folds or 0
    return [FoldSettings(number=number, count=count) for number in range(1, count + 1)]
