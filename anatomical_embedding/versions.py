"""Versions of what a run was made with."""

import platform
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = "anatomical-embedding"
PROJECT_FILE = Path(__file__).parent.parent / "pyproject.toml"
"""Lies beside the package in a checkout alone; an installed package has metadata instead."""
LIBRARIES = ("torch", "monai", "numpy", "scipy", "pandas", "nibabel", "SimpleITK", "safetensors", "snakemake")


def project_version() -> str:
    """Return the version of this project: of the checkout that the code is read from, else of what is installed."""
    if PROJECT_FILE.is_file():
        project = tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == PROJECT:
            return str(project["version"])
    return _installed_version(PROJECT)


def library_versions() -> dict[str, str]:
    """Return the versions of this project, the interpreter and the libraries that decide results."""
    versions = {PROJECT: project_version(), "python": platform.python_version()}
    return versions | {library: _installed_version(library) for library in LIBRARIES}


def _installed_version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


__version__ = project_version()
