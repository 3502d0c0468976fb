"""What `pip install .` gives: a source archive, its wheel, and an environment outside the checkout that uses it."""

import csv
import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import urllib.request
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.integration.warm_servers import warm_python
from tests.lesion_examples import annotation_rows, write
from tests.packaged_model import points_in, write_model, write_two_scans

pytest.importorskip("setuptools", reason="builds a wheel with setuptools")

pytestmark = pytest.mark.slow

SOURCES = (
    "pyproject.toml",
    "setup.py",
    "README.md",
    "LICENSE",
    "anatomical_embedding",
    "workflow_scripts",
    "deeds",
)
SHARED = REPOSITORY.parent / "shared" / "data"
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
OFFLINE = ("--no-index", "--no-deps")
VERBS = {
    *("describe", "import", "new", "settings", "score"),
    *("embed", "match", "view", "propagate", "register", "apply", "transform-points"),
    *("follow", "follow-report"),
}

needs_compiler = pytest.mark.skipif(
    shutil.which("cmake") is None or not any(map(shutil.which, ("c++", "g++", "clang++"))),
    reason="the registration program needs CMake and a C++ compiler",
)


def run(program, *arguments, folder, **environment):
    done = subprocess.run(
        [program, *map(str, arguments)],
        cwd=folder,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wheel_of(sources, folder, **environment):
    """Build a wheel as pip does, without the network, and return it."""
    build = (*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", folder, sources)
    run(sys.executable, *build, folder=folder.parent, **environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Return the folder that a source archive of the checkout unpacks to."""
    folder = tmp_path_factory.mktemp("archive")
    sources = folder / "sources"
    sources.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy2
        copy(REPOSITORY / name, sources / name)
    build = f"from setuptools.build_meta import build_sdist; build_sdist({str(folder)!r})"
    run(sys.executable, "-W", "ignore", "-c", build, folder=sources)
    (path,) = folder.glob("*.tar.gz")
    with tarfile.open(path) as opened:
        opened.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


@pytest.fixture(scope="module")
def wheel(archive, tmp_path_factory):
    """Return the wheel that is built from the source archive."""
    return wheel_of(archive, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """Return the programs of a fresh environment: the wheel, and the libraries that the tests run with."""
    return installed(wheel, tmp_path_factory.mktemp("environment") / "fresh")


def installed(wheel, folder):
    venv.create(folder, with_pip=False, symlinks=True)
    # A path file inside one that is named by a path file is not read: an editable install of the checkout stays out.
    libraries = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    scheme = sysconfig.get_path("purelib", "venv", vars={"base": str(folder), "platbase": str(folder)})
    (Path(scheme) / "libraries_of_the_tests.pth").write_text("\n".join(libraries), encoding="utf-8")
    into = (*PIP, "--python", folder / "bin" / "python", "install", *OFFLINE, "--ignore-installed", wheel)
    run(sys.executable, *into, folder=folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def use(environment, tmp_path_factory):
    """Return a folder with a model and two scans, and what runs a verb of the installed package there."""
    folder = tmp_path_factory.mktemp("use")
    write_model(folder)
    write_two_scans(folder)

    def verb(*arguments):
        words = ("-m", "anatomical_embedding.cli.main", *arguments)
        return run(warm_python(str(environment / "python")), *words, folder=folder, PYTHONPATH="")

    return folder, verb


def test_every_file_of_the_package_is_in_the_wheel_and_no_stage_of_the_workflow(wheel):
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    for path in (REPOSITORY / "anatomical_embedding").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".sh":
            assert path.relative_to(REPOSITORY).as_posix() in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"anatomical_embedding"}


def test_one_version_is_said_everywhere(environment, tmp_path):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    code = (
        "from anatomical_embedding import api, versions; print(api.__version__, versions.library_versions())"
    )
    said = run(environment / "python", "-c", code, folder=tmp_path, PYTHONPATH="")
    assert said.startswith(f"{project['version']} {{'anatomical-embedding': '{project['version']}'")
    command = run(environment / "anatomical-embedding", "--version", folder=tmp_path, PYTHONPATH="")
    assert command.split()[-1] == project["version"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]


def test_the_package_is_imported_from_the_environment(environment, tmp_path):
    code = "import anatomical_embedding.viewer.server as server; print(server.__file__)"
    said = run(environment / "python", "-c", code, folder=tmp_path, PYTHONPATH="")
    assert Path(said).is_relative_to(environment.parent)


def test_all_verbs_are_there(environment, tmp_path):
    said = run(environment / "anatomical-embedding", "--help", folder=tmp_path, PYTHONPATH="")
    listed = said.partition("Commands:")[2]
    assert {line.split()[0] for line in listed.splitlines() if line.strip()} == VERBS


def test_a_model_is_described_and_scans_are_stored_and_matched(use):
    folder, verb = use
    assert "tiny" in verb("describe", "tiny.safetensors")
    stored = json.loads(
        verb("embed", "first.nii.gz", "--checkpoint", "tiny.safetensors", "--output", "stores", "--json")
    )
    point = ",".join(map(str, points_in(folder / "first.nii.gz", count=1)[0]))
    asked = (
        "match",
        "--checkpoint",
        "tiny.safetensors",
        "--to",
        "second.nii.gz",
        f"--point={point}",
        "--json",
    )
    by_store, by_scan = (
        json.loads(verb(*asked, "--from", source))["answers"][0]
        for source in (stored[0]["store"], "first.nii.gz")
    )
    assert by_scan["decision"] == "unknown"  # random weights, of which nothing was measured
    assert by_store["similarity"] == pytest.approx(by_scan["similarity"], abs=2e-3)


@pytest.mark.real_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not at hand")
def test_the_lines_of_the_readme_match_two_scans_with_published_weights(environment, tmp_path):
    """The two chests are cut out of one scan, so the answer is the point itself: within one cell of 4 mm."""
    make = (
        SHARED / "published_checkpoint" / "make_checkpoint.py",
        SHARED / "published_checkpoint" / "uae_s" / "keys.csv",
    )
    run(sys.executable, *make, tmp_path / "SAM.pth", folder=tmp_path)
    for name, scan in (("a", "chest_contrast_CT"), ("b", "aorta_contrast_CT")):
        (tmp_path / f"{name}.nii.gz").symlink_to(SHARED / "torso_ct" / f"{scan}.nii.gz")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    lines = readme.partition("pip install .")[2].partition("```")[0].splitlines()
    imported, matched, viewed = (shlex.split(line) for line in lines[1:])
    assert (imported[:2], viewed[:2]) == (
        ["anatomical-embedding", "import"],
        ["anatomical-embedding", "view"],
    )
    for command in (imported, [*matched, "--json"]):
        said = run(environment / command[0], *command[1:], folder=tmp_path, PYTHONPATH="")
    (answer,) = json.loads(said)["answers"]
    places = [[answer[f"{side}{axis}_mm"] for axis in "xyz"] for side in ("query_", "")]
    assert np.linalg.norm(np.subtract(*places)) < 4.0
    assert answer["confidence"] == "unknown"


def test_a_mask_is_carried(use):
    folder, verb = use
    scan = read_volume(folder / "first.nii.gz")
    mask = np.zeros(scan.shape, np.uint8)
    mask[12:30, 12:30, 12:30] = 3
    write_volume(Volume(mask, scan.affine), folder / "mask.nii.gz")
    said = verb(
        *(
            "propagate",
            "--checkpoint",
            "tiny.safetensors",
            "--labels",
            "mask.nii.gz",
            "--from",
            "first.nii.gz",
        ),
        *("--to", "second.nii.gz", "--output", "carried.nii.gz", "--json"),
    )
    assert [label["label"] for label in json.loads(said)["labels"]] == [3]
    assert read_volume(folder / "carried.nii.gz").shape == scan.shape


@needs_compiler
def test_scans_are_registered_by_the_program_in_the_wheel(use, wheel):
    """Points of the first scan reach the second by the known shift of their worlds, within two voxels.

    The checkout holds no program at that place, so `verb` runs what is installed.
    """
    folder, verb = use
    assert wheel.name.endswith("_x86_64.whl") or "-none-any" not in wheel.name
    points = points_in(folder / "first.nii.gz", count=8)
    lines = ["x_mm,y_mm,z_mm", *(",".join(map(str, point)) for point in points)]
    (folder / "points.csv").write_text("\n".join(lines), encoding="utf-8")
    pair = ("register", "first.nii.gz", "second.nii.gz", "--checkpoint", "tiny.safetensors")
    verb(*pair, "--output", "registered", "--points", "points.csv")
    with (folder / "registered" / "points.csv").open(encoding="utf-8", newline="") as stream:
        carried = [[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in csv.DictReader(stream)]
    moved = np.array([-10.0, 120.0, 300.0]) - (90.0, 70.0, -60.0) + 4.0 * np.array([2.0, 0.0, -4.0])
    assert np.median(np.linalg.norm(np.array(carried) - points - moved, axis=1)) < 8.0


def test_a_page_is_served(use, environment):
    folder, _ = use
    command = ["view", "first.nii.gz", "second.nii.gz", "--checkpoint", "tiny.safetensors", "--no-open"]
    page = subprocess.Popen(
        [environment / "anatomical-embedding", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": "", "PYTHONUNBUFFERED": "1"},
    )
    with page:
        address = page.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=60) as reply:  # noqa: S310, it is http
            assert b"<html" in reply.read()
        page.send_signal(signal.SIGINT)
    assert page.returncode == 0


def test_a_folder_becomes_a_run_file_whose_settings_are_printed(use):
    folder, verb = use
    (folder / "scans").mkdir()
    for number in range(6):
        shutil.copy(folder / "first.nii.gz", folder / "scans" / f"scan_{number}.nii.gz")
    verb("new", "scans", "--output", "scans.yaml", "--modality", "ct")
    assert "sam" in yaml.safe_load(verb("settings", "scans.yaml"))["models"]


def test_lesions_are_scored(use):
    folder, verb = use
    annotations = write(folder / "annotations.json", annotation_rows(num_patients=2))
    rows = json.loads(annotations.read_text(encoding="utf-8"))
    (folder / "predictions.json").write_text(json.dumps(rows), encoding="utf-8")
    scored = verb(
        *("score", "--annotations", annotations, "--predictions", "predictions.json"),
        *("--output", "scores.json", "--json"),
    )
    assert json.loads(scored) == json.loads((folder / "scores.json").read_text(encoding="utf-8"))


def test_without_cmake_the_wheel_is_pure_python_and_register_says_what_is_missing(archive, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tmp_path / "wheels").mkdir()
    pure = wheel_of(archive, tmp_path / "wheels", PATH=str(tools))
    assert pure.name.endswith("-py3-none-any.whl")
    programs = installed(pure, tmp_path / "fresh")
    code = "from anatomical_embedding.registration.installed_program import installed_program; installed_program()"
    done = subprocess.run(
        [programs / "python", "-c", code],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": "", "PATH": str(tools)},
    )
    assert "not in this installation: there was no CMake when it was built; install CMake" in done.stderr


@needs_compiler
def test_the_program_in_the_wheel_can_be_run_by_everybody(environment):
    (program,) = environment.parent.glob("lib/*/site-packages/anatomical_embedding/bin/deeds")
    assert program.stat().st_mode & stat.S_IXOTH
