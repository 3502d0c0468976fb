"""The library for a user of a trained model: embed scans, find points, carry labels, register scans.

docs/api.md shows it in use. Points are (N, 3) world mm RAS+; scans are NIfTI, NRRD or MetaImage files, DICOM folders or
multi-frame DICOM files; a model is the file `model.safetensors` of a run, which holds all settings that its use needs.
The command line `anatomical-embedding` is a thin layer over these functions, which `usage/` holds by topic.

What a function needs is loaded when it is asked for: `match` of two stores needs none of the libraries of `register`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anatomical_embedding.matching.answers import Answers
    from anatomical_embedding.points.named_points import NamedPoints
    from anatomical_embedding.points.points_file import read_points
    from anatomical_embedding.usage.answers import map_similarity, match_points
    from anatomical_embedding.usage.carried_points import CarriedPoints, carry_registered_points
    from anatomical_embedding.usage.labels import propagate_labels, read_labels_of
    from anatomical_embedding.usage.model import Model, describe_model, load_model
    from anatomical_embedding.usage.registration import ScanRegistration, register_scans, write_transforms
    from anatomical_embedding.usage.scans import (
        EmbeddedScan,
        covered_mm,
        embed_scan,
        open_embedding,
        open_or_embed,
        read_scan,
        read_scans,
    )
    from anatomical_embedding.usage.stores import embed_scans, save_embedding
    from anatomical_embedding.versions import __version__
    from anatomical_embedding.volumes.nifti import write_volume

__all__ = [
    "Answers",
    "CarriedPoints",
    "EmbeddedScan",
    "Model",
    "NamedPoints",
    "ScanRegistration",
    "__version__",
    "carry_registered_points",
    "covered_mm",
    "describe_model",
    "embed_scan",
    "embed_scans",
    "load_model",
    "map_similarity",
    "match_points",
    "open_embedding",
    "open_or_embed",
    "propagate_labels",
    "read_labels_of",
    "read_points",
    "read_scan",
    "read_scans",
    "register_scans",
    "save_embedding",
    "write_transforms",
    "write_volume",
]

HOMES = {
    "Answers": "matching.answers",
    "NamedPoints": "points.named_points",
    "read_points": "points.points_file",
    "map_similarity": "usage.answers",
    "match_points": "usage.answers",
    "CarriedPoints": "usage.carried_points",
    "carry_registered_points": "usage.carried_points",
    "propagate_labels": "usage.labels",
    "read_labels_of": "usage.labels",
    "Model": "usage.model",
    "describe_model": "usage.model",
    "load_model": "usage.model",
    "ScanRegistration": "usage.registration",
    "register_scans": "usage.registration",
    "write_transforms": "usage.registration",
    "EmbeddedScan": "usage.scans",
    "covered_mm": "usage.scans",
    "embed_scan": "usage.scans",
    "open_embedding": "usage.scans",
    "open_or_embed": "usage.scans",
    "read_scan": "usage.scans",
    "read_scans": "usage.scans",
    "embed_scans": "usage.stores",
    "save_embedding": "usage.stores",
    "__version__": "versions",
    "write_volume": "volumes.nifti",
}
"""Public name -> module of the package that has it."""


def __getattr__(name: str) -> Any:
    """Return a public name, whose module is loaded now."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"anatomical_embedding.{HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
