"""A stage's fingerprint changes with the code that it reaches, and with nothing else."""

import shutil
import subprocess
import sys

import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY, reachable_modules


@pytest.fixture
def checkout(tmp_path):
    for name in ("anatomical_embedding", "workflow_scripts"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def fingerprint(checkout, stage):
    code = f"from anatomical_embedding.code_fingerprint import code_of; print(code_of({stage!r}))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, check=True, capture_output=True, encoding="utf-8"
    ).stdout


def edit(checkout, path, old, new):
    text = (checkout / path).read_text(encoding="utf-8")
    assert old in text
    (checkout / path).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_comments_docstrings_and_place_do_not_count(checkout):
    before = fingerprint(REPOSITORY, "train_intra")
    path = "anatomical_embedding/losses/contrastive.py"
    edit(checkout, path, '"""The contrastive losses', '"""Other words about the contrastive losses')
    (checkout / path).write_text(
        (checkout / path).read_text(encoding="utf-8") + "\n# a comment at the end\n", encoding="utf-8"
    )
    assert fingerprint(checkout, "train_intra") == before


def test_an_edit_reaches_the_stages_that_import_it(checkout):
    before = {stage: fingerprint(REPOSITORY, stage) for stage in ("train_intra", "initialise_network")}
    edit(checkout, "anatomical_embedding/losses/contrastive.py", "/ temperature", "/ (2 * temperature)")
    assert fingerprint(checkout, "train_intra") != before["train_intra"]
    assert fingerprint(checkout, "initialise_network") == before["initialise_network"]


def test_reachable_modules_follow_imports_of_imports():
    reached = reachable_modules("workflow_scripts.train_intra")
    assert "anatomical_embedding.patches.views" in reached
    assert "anatomical_embedding.volumes.affine" in reached
    assert not any("evaluation" in name for name in reached)
