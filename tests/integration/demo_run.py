"""How the demo is run by tests: the sources copied into a folder, the command of `make demo`."""

import shutil
import subprocess
import sys
from pathlib import Path

from anatomical_embedding.code_fingerprint import REPOSITORY
from tests.integration.tiny_workflow import SOURCE_FOLDERS, SOURCES


def set_up_demo(folder: Path) -> None:
    """Copy the sources into a folder."""
    for name in SOURCES:
        shutil.copy2(REPOSITORY / name, folder / name)
    for name in (*SOURCE_FOLDERS, "profiles"):
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "build")
        )


def run_demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run the demo and return what it said."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "all",
        "--workflow-profile",
        "profiles/demo",
    ]
    return subprocess.run(
        [*command, *arguments], cwd=folder, check=False, capture_output=True, encoding="utf-8"
    )
