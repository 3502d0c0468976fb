"""Versions of what a run was made with."""

import platform
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("torch", "monai", "numpy", "scipy", "pandas", "nibabel", "SimpleITK", "safetensors", "snakemake")


def library_versions() -> dict[str, str]:
    """Return the versions of this project, the interpreter and the libraries that decide results."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    versions = {"anatomical-embedding": project["project"]["version"], "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            versions[library] = "not installed"
    return versions
