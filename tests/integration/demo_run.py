"""How tests run the demo: the sources copied into a folder, the command of `make demo`, fewer bodies and steps."""

import subprocess
from pathlib import Path

import yaml

from tests.integration.snakemake_run import run_snakemake
from tests.integration.tiny_workflow import SOURCE_FOLDERS, copy_sources

OVERLAY_NAME = "fewer_bodies_and_steps.yaml"
OVERLAY = {
    "datasets": {
        "phantom_ct": {"num_subjects": 15, "split": {"num_test": 4, "num_validation": 2}},
        "phantom_pairs": {"num_subjects": 9, "split": {"num_test": 4, "num_validation": 1}},
        "phantom_tracking": {"num_subjects": 4, "split": {"num_test": 2, "num_validation": 2}},
    },
    "models": {
        "sam": {"training": {"num_steps": 200}},
        "sampp": {"training": {"num_steps": 100, "validation": {"interval_steps": 100}}},
        "cross_sam_m0": {"training": {"num_steps": 200}},
        "cross_sam_m1": {"training": {"num_steps": 100}},
    },
    "evaluations": {"phantom_ct": {"pairs": {"num_pairs": 12}}},
}
"""All methods, and enough for every gate: four bodies or pairs give over 500 queries, four pairs are registered, and
two bodies set aside give wrong answers as well as right ones for the confidence to learn from."""


def set_up_demo(folder: Path) -> None:
    """Copy the sources into a folder, with the overlay beside them."""
    copy_sources(folder, (*SOURCE_FOLDERS, "profiles"))
    (folder / OVERLAY_NAME).write_text(yaml.safe_dump(OVERLAY), encoding="utf-8")


def run_demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run the demo, in a folder without the overlay as delivered, and return what it said."""
    run_file = ("--configfile", "config.yaml", OVERLAY_NAME) if (folder / OVERLAY_NAME).exists() else ()
    return run_snakemake(
        folder, "--cores", "all", "--workflow-profile", "profiles/demo", *run_file, *arguments
    )
