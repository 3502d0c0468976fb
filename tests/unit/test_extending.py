"""docs/extending.md, read as it stands: its examples, put into a copy of the sources, change few files and work."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.embedding.store import write_store
from anatomical_embedding.embedding.store_manifest import write_store_manifest
from tests.integration.snakemake_run import run_snakemake
from tests.packaged_model import usage_sections
from tests.prepared_volumes import lps_affine
from tests.reference.synthetic_embeddings import synthetic_volume
from tests.report_files import write_run

PAGE = REPOSITORY / "docs" / "extending.md"
COPIED = (
    "anatomical_embedding",
    "workflow_scripts",
    "deeds",
    "rules",
    "envs",
    "Snakefile",
    "config.yaml",
    "pyproject.toml",
)
LEFT_OUT = shutil.ignore_patterns("__pycache__", "viewer", "build")
MOST_CHANGED = 2
SHIFT_MM = np.array([12.0, -8.0, 4.0])


def sections():
    """Return title -> text of the sections of the page that add something."""
    _, *parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(part.split("\n", 1) for part in parts)


def blocks(text, language):
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def changes(text):
    """Yield (path, lines before, lines after) of every changed place."""
    for block in blocks(text, "diff"):
        head, *places = re.split(r"^@@\n", block, flags=re.MULTILINE)
        for place in places:
            lines = place.splitlines(keepends=True)
            before, after = ("".join(line[1:] for line in lines if line[0] in (sign, " ")) for sign in "-+")
            yield head.removeprefix("--- ").strip(), before, after


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """Return a copy of the sources with all examples of the page in it."""
    copy = tmp_path_factory.mktemp("extended")
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=LEFT_OUT)
        else:
            shutil.copy(source, copy / name)
    for text in sections().values():
        for block in blocks(text, "python"):
            path, code = block.split("\n", 1)
            new = copy / path.removeprefix("# ")
            assert not new.exists()
            new.write_text(code, encoding="utf-8")
        for path, before, after in changes(text):
            source = (copy / path).read_text(encoding="utf-8")
            assert source.count(before) == 1, (
                f"{path} has changed; bring docs/extending.md up to date:\n{before}"
            )
            (copy / path).write_text(source.replace(before, after), encoding="utf-8")
    return copy


def run_in(copy, *arguments):
    """Run a module of the copy and return what it says; it must succeed."""
    environment = os.environ | {"PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", *map(str, arguments)],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@pytest.mark.parametrize("title", sections())
def test_no_example_changes_more_than_two_files(title):
    paths = {path for path, _, _ in changes(sections()[title])}
    assert 1 <= len(paths) <= MOST_CHANGED
    assert all((REPOSITORY / path).is_file() for path in paths)


@pytest.mark.slow
def test_the_matching_method_answers(extended, tmp_path):
    affine = lps_affine(spacing_mm=(2.0, 2.0, 2.0))
    volumes = {
        "a": synthetic_volume(affine, (48, 40, 36), volume_id="a"),
        "b": synthetic_volume(
            affine, (48, 40, 36), volume_id="b", anatomy_of=lambda points_mm: points_mm - SHIFT_MM
        ),
    }
    stores = {name: tmp_path / f"{name}.safetensors" for name in volumes}
    for name, volume in volumes.items():
        write_store(stores[name], volume)
    write_store_manifest(stores, tmp_path / "stores.csv")
    points_mm = volumes["a"].world_from_voxel([[20.0, 20.0, 16.0], [25.5, 18.0, 20.3]])
    queries = pd.DataFrame(points_mm, columns=["query_x_mm", "query_y_mm", "query_z_mm"])
    queries = queries.assign(query_id=["p", "q"], template_id="a", target_id="b", landmark="point")
    queries.to_csv(tmp_path / "queries.csv", index=False)
    settings = {
        "matching": usage_sections()["matching"],
        "method": yaml.safe_load(blocks(sections()["A matching method"], "yaml")[0])["methods"][
            "median_8_mm"
        ],
        "evidence": usage_sections()["confidence"]["evidence"],
        "refined": None,
    }
    run_in(
        extended,
        *("-m", "workflow_scripts.match_points", "--settings", json.dumps(settings), "--threads", "1"),
        *("--queries", tmp_path / "queries.csv", "--stores", tmp_path / "stores.csv"),
        *("--method-name", "median_8_mm", "--output", tmp_path / "matches.csv"),
    )
    found = pd.read_csv(tmp_path / "matches.csv")
    assert set(found["method"]) == {"median_8_mm"}
    np.testing.assert_allclose(found[["x_mm", "y_mm", "z_mm"]], points_mm + SHIFT_MM, atol=1.0)
    assert found["cycle_error_mm"].max() < 2.0


@pytest.mark.slow
def test_the_workflow_plans_what_was_added(extended, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("p1", "p2", "p3", "other"):
        (scans / f"{name}.nii.gz").touch()
    (scans / "no volume.nii.gz").touch()  # no identifier: a folder would refuse it
    content = yaml.safe_load((extended / "config.yaml").read_text(encoding="utf-8"))
    added = yaml.safe_load(blocks(sections()["A matching method"], "yaml")[0])
    content["methods"] = added["methods"]
    content["evaluations"]["phantom_ct"] |= added["evaluations"]["phantom_ct"]
    content["evaluations"]["phantom_ct"]["baselines"] = ["from_the_top"]
    content["datasets"]["named"] = {
        "kind": "named_files",
        "modality": "ct",
        "root": str(scans),
        "names": ["p1", "p2", "p3"],
        "split": {"num_test": 1, "num_validation": 1, "seed": 1},
    }
    content["models"]["sam"]["training"]["mix"] = {"named": 2}
    content["results"] = "results"
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    done = run_snakemake(extended, "--dry-run", "--cores", "1", "--configfile", str(tmp_path / "run.yaml"))
    planned = done.stdout + done.stderr
    assert done.returncode == 0, planned
    answers = "results/evaluations/phantom_ct/"
    for output in (
        "sam.median_8_mm.matches.csv",
        "sampp.median_8_mm.scores.json",
        "from_the_top.matches.csv",
    ):
        assert answers + output in planned
    assert {name for name in ("p1", "p2", "p3", "other") if f"/named/{name}." in planned} == {
        "p1",
        "p2",
        "p3",
    }


@pytest.mark.slow
def test_the_baseline_answers(extended):
    program = """
import numpy as np
from anatomical_embedding.evaluation.baselines.answers import PreparedScan, baseline_matcher
from anatomical_embedding.settings.evaluation import BaselineSettings
from anatomical_embedding.volumes.volume import Volume

def scan(num_slices, slice_mm):
    mask = Volume(np.ones((10, 10, num_slices), np.uint8), np.diag([1.0, 1.0, slice_mm, 1.0]))
    return PreparedScan(mask, mask)

scans = {"a": scan(20, 2.0), "b": scan(10, 5.0)}
match = baseline_matcher(BaselineSettings(method="from_the_top", ncc=None), scans.__getitem__)
print(match("a", "b", np.array([[1.0, 2.0, 29.0]]))[0].point_mm.tolist())
"""
    # The upper faces lie at 39 mm and at 47.5 mm: 10 mm below is 37.5 mm; the middle of ten voxels is 4.5.
    assert json.loads(run_in(extended, "-c", program)) == [4.5, 4.5, 37.5]


@pytest.mark.slow
def test_the_section_is_in_the_report(extended, tmp_path):
    arguments = write_run(tmp_path)
    run_in(extended, "-m", "workflow_scripts.write_report", *arguments)
    text = Path(tmp_path / "report.html").read_text(encoding="utf-8")
    section = text[text.index('<section id="landmarks_asked">') :]
    assert section.index("<h2>Landmarks asked</h2>") < section.index("</section>")
