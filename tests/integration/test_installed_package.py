"""What `pip install .` gives: a wheel with everything that the command needs, built and run without the network."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY
from tests.packaged_model import points_in, write_model, write_two_scans

pytest.importorskip("setuptools", reason="builds a wheel with setuptools")

pytestmark = pytest.mark.slow

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "anatomical_embedding", "workflow_scripts")


def run(arguments, *, folder, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the folder into which the wheel was unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    sources.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy2
        copy(REPOSITORY / name, sources / name)
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(folder)!r})"
    run(["-W", "ignore", "-c", build], folder=sources)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_every_file_of_the_package_is_in_it_and_no_stage_of_the_workflow(installed):
    for path in (REPOSITORY / "anatomical_embedding").rglob("*"):
        relative = path.relative_to(REPOSITORY)
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".sh":
            assert (installed / relative).exists(), relative
    assert {path.name.split("-")[0] for path in installed.iterdir()} == {"anatomical_embedding"}


def test_its_version_is_that_of_its_metadata(installed, tmp_path):
    code = (
        "from anatomical_embedding import api, versions; print(api.__version__, versions.library_versions())"
    )
    said = run(["-c", code], folder=tmp_path, PYTHONPATH=str(installed))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert said.startswith(f"{project['version']} {{'anatomical-embedding': '{project['version']}'")


def test_the_command_matches_and_finds_its_page(installed, tmp_path):
    (points,) = (installed).glob("*.dist-info/entry_points.txt")
    assert "anatomical-embedding = anatomical_embedding.cli.main:main" in points.read_text(encoding="utf-8")
    model = write_model(tmp_path)
    first, second = write_two_scans(tmp_path)
    point = ",".join(map(str, points_in(first, count=1)[0]))
    command = ["-m", "anatomical_embedding.cli.main", "match", "--checkpoint", model, "--json"]
    command += ["--from", first, "--to", second, f"--point={point}"]
    (row,) = json.loads(run(command, folder=tmp_path, PYTHONPATH=str(installed)))["answers"]
    assert row["decision"] in {"found", "doubtful"}
    where = "import anatomical_embedding.viewer.server as server; print(server.__file__)"
    said = run(["-c", where], folder=tmp_path, PYTHONPATH=str(installed))
    assert said.startswith(str(installed))
