"""The conda environments and the package itself take the versions of the one constraints file."""

import re
import tomllib

import pytest
import yaml

from anatomical_embedding.code_fingerprint import REPOSITORY

ENVIRONMENTS = sorted((REPOSITORY / "envs").glob("*_stages.yaml"))


def pins():
    lines = (REPOSITORY / "envs" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower(): version for name, version in pairs}


def test_torch_is_named_exactly_everywhere():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert pins()["torch"] == "2.13.0"
    assert "torch==2.13.0" in project["dependencies"]


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_conda_environments_equal_the_constraints(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    (packages,) = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    assert packages
    for package in packages:
        name, version = package.split("==")
        assert pins()[name.lower()] == version


def test_every_dependency_is_pinned():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *[package for extra in extras for package in extra]]
    names = {re.split(r"[=<>\[;]", package)[0].lower() for package in wanted}
    assert names <= set(pins())


def test_torch_stages_have_every_dependency_of_the_package():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    content = yaml.safe_load((REPOSITORY / "envs" / "torch_stages.yaml").read_text(encoding="utf-8"))
    packages = {package.split("==")[0].lower() for package in content["dependencies"][-1]["pip"]}
    assert {re.split("[=<>]", name)[0].lower() for name in project["dependencies"]} == packages
