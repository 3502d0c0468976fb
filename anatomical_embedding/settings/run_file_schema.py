"""The JSON schema of run files, by which editors complete and check them.

It is the schema of the whole configuration (`PipelineSettings`) with what recipes do: nothing is required but the kind
of a data set, and `recipe` and `preparation` are known where they stand.
"""

from typing import Any

from anatomical_embedding.settings.pipeline import PipelineSettings
from anatomical_embedding.settings.run_file import known_recipes

DATASET_KIND = "kind"
RECIPES_OF_SECTIONS = {
    "SamModelSettings": "models",
    "SamppModelSettings": "models",
    "CrossSamModelSettings": "models",
    "GuideSettings": "guides",
    "ScanRegistrationSettings": "guides",
    "DeedsSettings": "deeds",
}
"""Section -> folder of its recipes."""


def run_file_schema() -> dict[str, Any]:
    """Return the JSON schema of run files."""
    schema = _without_requirements(PipelineSettings.model_json_schema())
    for section, folder in RECIPES_OF_SECTIONS.items():
        schema["$defs"][section]["properties"]["recipe"] = {
            "description": f"What the file recipes/{folder}/NAME.yaml says holds where this section does not.",
            "enum": known_recipes(folder),
        }
    schema["properties"]["preparation"] = {
        "description": "Recipe of volumes, intensity and embedding; by default the one that the models' recipes want.",
        "enum": known_recipes("preparations"),
    }
    schema["description"] = "A run file: data, models by recipe and what differs, what is scored."
    return schema


def _without_requirements(part: Any) -> Any:
    """Return a schema that takes parts of sections; data sets are told by their kind, others by what they allow."""
    if isinstance(part, list):
        return [_without_requirements(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    kept = {key: _without_requirements(value) for key, value in part.items() if key != "required"}
    if "const" in part.get("properties", {}).get(DATASET_KIND, {}):
        kept["required"] = [DATASET_KIND]
    if "discriminator" in part and part["discriminator"]["propertyName"] != DATASET_KIND:
        del kept["discriminator"]
        kept["anyOf"] = kept.pop("oneOf")
    return kept
