"""A run file, completed: what it leaves out is filled in from recipes, and what it says has the last word.

A run file holds what is a user's own: data, which models are trained on them, what is scored. The numbers of the method
stand in `recipes/`, readable files that come with the package:

* `models/NAME.yaml` is a model: its method, network and training. An entry of `models` names it as `recipe`. What the
  entry says of its network also holds for entries that name it as `initial_model`.
* `preparations/NAME.yaml` holds the sections `volumes`, `intensity` and `embedding`. The recipe of a model names the
  one that it is made for; a run file names one with `preparation` where they disagree or no model has a recipe.
* `guides/NAME.yaml` and `deeds/NAME.yaml` are the two steps of a registration; `guide` and `deeds` name them as
  `recipe`, and the section `scan_registration` names its guide alike.
* `usage.yaml` holds the sections of a trained model's use.
* `entries/KIND.yaml` holds what an evaluation, a tracking or a synthetic data set need not say.
* `published_weights/KIND.yaml` names the recipes that fit weights which the papers' authors published.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from anatomical_embedding.errors import InputFileError, SettingsError
from anatomical_embedding.settings.plain_yaml import read_plain_yaml

RECIPES = Path(__file__).parent / "recipes"
SECTIONS_OF_ENTRIES = ("datasets", "models", "evaluations", "registrations", "trackings", "followings")
KINDS_OF_ENTRIES = {"evaluations": "evaluation", "trackings": "tracking", "followings": "following"}
"""Section -> recipe of what its entries need not say."""
SECTIONS_OF_PREPARATIONS = {"volumes", "intensity", "embedding"}
REGISTRATION_RECIPE = "small"
"""Of the section `scan_registration`."""
RENAMED_SECTIONS = {"stable_points": "methods.stable_points"}
"""What a section was called before -> where its keys stand now."""

Section = dict[str, Any]


def read_run_files(paths: Iterable[Path]) -> Section:
    """Return what run files say together; where two disagree the later one is right, as in `snakemake --configfile`.

    Raises
    ------
    InputFileError
        if a file is not there, is no YAML, holds something other than sections, or what YAML takes for something else
        than it looks like (`plain_yaml`).
    """
    content: Section = {}
    for path in paths:
        read = read_plain_yaml(path)
        if not isinstance(read, Mapping):
            raise InputFileError(path, "holds no sections; expected `title: ...`, `datasets: ...` and so on")
        content = _merged(content, read)
    return content


def completed_run_file(content: Mapping[str, Any]) -> Section:
    """Return a run file with every section and every value written out, ready to be checked.

    Parameters
    ----------
    content : a run file, or several that were merged.

    Raises
    ------
    SettingsError
        if an entry is null, a section has a former name, or a recipe is not known, or recipes of models want different
        preparations.
    """
    _refuse_renamed(content)
    _refuse_nulls(content)
    run = _unshared(content)
    preparations = _complete_models(run.get("models"))
    named = run.pop("preparation", None)
    is_prepared = named is not None or preparations or SECTIONS_OF_PREPARATIONS & run.keys()
    if not is_prepared and isinstance(run.get("models", {}), Mapping):
        raise SettingsError(
            f"preparation: is missing, expected one of {', '.join(known_recipes('preparations'))}, as no model has a "
            "recipe that names one"
        )
    chosen = _preparation(named, preparations)
    if isinstance(run.get("scan_registration"), dict):
        recipe = _named_recipe(run["scan_registration"], folder="guides", where="scan_registration")
        run["scan_registration"] = _merged(recipe, run["scan_registration"])
        _complete_registration(run["scan_registration"], where="scan_registration")
    run = _merged(_recipe("usage") | {"scan_registration": _registration_recipe()} | chosen, run)
    for section in SECTIONS_OF_ENTRIES:
        run.setdefault(section, {})
    for name, registration in _mappings(run["registrations"]):
        _complete_registration(registration, where=f"registrations.{name}")
    for name, dataset in _mappings(run["datasets"]):
        run["datasets"][name] = _completed_dataset(dataset)
    for section, kind in KINDS_OF_ENTRIES.items():
        for name, entry in _mappings(run[section]):
            run[section][name] = _merged(_recipe(f"entries/{kind}"), entry)
    return run


def known_recipes(folder: str) -> list[str]:
    """Return the names of the recipes in a folder of `recipes`, sorted.

    Examples
    --------
    >>> known_recipes("preparations")
    ['published', 'small']
    """
    return sorted(path.stem for path in (RECIPES / folder).glob("*.yaml"))


def recipe_path(name: str) -> Path:
    """Return the file of a recipe, such as `preparations/published`."""
    return RECIPES / f"{name}.yaml"


def _complete_models(models: Any) -> dict[str, str]:
    """Fill in the recipes of models, in place; return model -> name of the preparation that its recipe is made for."""
    preparations = {}
    networks = {name: _said_of_network(models, name) for name, _ in _mappings(models)}
    for name, model in _mappings(models):
        if "recipe" not in model and "method" not in model:
            raise SettingsError(
                f"models.{name}.recipe: is missing, expected one of {', '.join(known_recipes('models'))} (without one, "
                "a model states its method and all other settings)"
            )
        recipe = _named_recipe(model, folder="models", where=f"models.{name}")
        if "preparation" in recipe:
            preparations[name] = recipe.pop("preparation")
        stated = model | ({"network": networks[name]} if networks[name] else {})
        models[name] = _merged(recipe, stated)
    return preparations


def _said_of_network(models: Mapping[str, Any], name: Any, *, after: tuple[str, ...] = ()) -> Section:
    """Return what a run file says of a network: a model that starts from another has the network of that one."""
    model = models.get(name) if isinstance(name, str) and name not in after else None
    if not isinstance(model, Mapping):
        return {}
    network = model.get("network", {})
    if not isinstance(network, Mapping):
        return {}
    return _merged(_said_of_network(models, model.get("initial_model"), after=(*after, name)), network)


def _preparation(named: Any, wanted: Mapping[str, str]) -> Section:
    """Return the sections of the preparation that the run file names, or that the recipes of its models want."""
    if named is None and len(set(wanted.values())) > 1:
        pairs = ", ".join(f"{model} {preparation}" for model, preparation in sorted(wanted.items()))
        raise SettingsError(
            f"preparation: recipes of the models are made for different ones ({pairs}), but all "
            "models of a run see the same volumes; name the one to use"
        )
    if named is None and not wanted:
        return {}
    name = named if named is not None else next(iter(wanted.values()))
    return _chosen_recipe(name, folder="preparations", where="preparation")


def _complete_registration(registration: Section, *, where: str) -> None:
    """Fill in the recipes of the two steps of a registration, in place."""
    for step, folder in (("guide", "guides"), ("deeds", "deeds")):
        if isinstance(registration.get(step), dict):
            recipe = _named_recipe(registration[step], folder=folder, where=f"{where}.{step}")
            registration[step] = _merged(recipe, registration[step])


def _completed_dataset(dataset: Section) -> Section:
    """Return a data set; a synthetic one has a description of an MR only where one is made."""
    kind = dataset.get("kind")
    if not isinstance(kind, str) or kind not in known_recipes("entries"):
        return dataset
    recipe = _recipe(f"entries/{kind}")
    modalities = dataset.get("modalities", recipe["modalities"])
    if isinstance(modalities, list) and "mr" not in modalities:
        recipe.pop("mr", None)
    return _merged(recipe, dataset)


def _registration_recipe() -> Section:
    deeds = _recipe(f"deeds/{REGISTRATION_RECIPE}")
    return _recipe(f"guides/{REGISTRATION_RECIPE}") | {"deeds": deeds}


def _named_recipe(entry: Section, *, folder: str, where: str) -> Section:
    """Take the name of its recipe out of an entry and return the recipe; nothing where it names none."""
    if "recipe" not in entry:
        return {}
    return _chosen_recipe(entry.pop("recipe"), folder=folder, where=f"{where}.recipe")


def _chosen_recipe(name: Any, *, folder: str, where: str) -> Section:
    known = known_recipes(folder)
    if name not in known:
        raise SettingsError(f"{where}: expected one of {', '.join(known)}, got {name!r}")
    return _recipe(f"{folder}/{name}")


def _recipe(name: str) -> Section:
    return dict(_unshared(_read_recipe(name)))


@cache
def _read_recipe(name: str) -> Section:
    return dict(yaml.safe_load(recipe_path(name).read_text(encoding="utf-8")))


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Section:
    """Return a section with the values of another put over it, section by section.

    An optimizer of another name replaces the one of the base as a whole: what belongs to one is unknown to the other.
    """
    merged = _unshared(base)
    for key, value in changes.items():
        old = merged.get(key)
        are_sections = isinstance(old, Mapping) and isinstance(value, Mapping)
        if are_sections and value.get("name", old.get("name")) == old.get("name"):
            merged[key] = _merged(old, value)
        else:
            merged[key] = _unshared(value)
    return merged


def _unshared(value: Any) -> Any:
    """Return a copy in which sections that a YAML anchor made one are apart: filling in one leaves the others."""
    if isinstance(value, Mapping):
        return {key: _unshared(inner) for key, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


def _mappings(section: Any) -> list[tuple[str, Section]]:
    """Return the entries of a section that are mappings; what else stands there is refused when it is checked."""
    if not isinstance(section, Mapping):
        return []
    return [(name, entry) for name, entry in section.items() if isinstance(entry, dict)]


def _refuse_renamed(content: Mapping[str, Any]) -> None:
    for former in RENAMED_SECTIONS.keys() & content.keys():
        raise SettingsError(
            f"{former}: has a new place; move its keys to {RENAMED_SECTIONS[former]}, each as it is"
        )


def _refuse_nulls(content: Mapping[str, Any]) -> None:
    for section in SECTIONS_OF_ENTRIES:
        entries = content.get(section)
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            if entry is None:
                raise SettingsError(
                    f"{section}.{name}: is null; a run file contains only what it names, so leave it out"
                )
