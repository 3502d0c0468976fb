"""Run files as Snakemake reads them: one alone means that one alone, several add up, and every delivered one plans."""

import copy
import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
import yaml

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.index_file import read_index
from anatomical_embedding.settings.organs import organs_of_table
from anatomical_embedding.settings.run_file import read_run_files
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.documented_commands import commands_of
from tests.integration.snakemake_run import run_snakemake
from tests.integration.tiny_workflow import OVERLAY, counted_jobs, set_up, snakemake, write_overlay
from tests.lesion_examples import annotation_row
from tests.run_files import ADDED_TO, DELIVERED, readme_example

pytestmark = pytest.mark.slow

NUM_SCANS = 4
CLUSTER = ("--profile", str(REPOSITORY / "profiles" / "slurm"))
SMALL_SPLIT = {"num_test": 2, "num_validation": 1, "seed": 1}
CASES = ("pt_157", "pt_99", "case_1", "case_2")
"""The first two are the pair that configs/headneck_ct.yaml registers."""


def plan(folder, *arguments):
    """Return rule -> number of jobs of a dry run in a folder."""
    snakefile = str(REPOSITORY / "Snakefile")
    done = run_snakemake(folder, "--snakefile", snakefile, "--cores", "1", "--dry-run", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return counted_jobs(done.stdout + done.stderr)


def write_run(path, content):
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def scans_of(dataset):
    """Return the names of some files of a data set, as its kind wants them."""
    if dataset["kind"] == "folder":
        return [f"{number:06d}_01.nii.gz" for number in range(NUM_SCANS)]
    if dataset["kind"] == "ct_mr_pairs":
        return [f"p{number}_000{scan}.nii.gz" for number in range(NUM_SCANS) for scan in (0, 1)]
    organs = dataset["organs"]
    organs = organs_of_table(organs) if isinstance(organs, str) else organs
    masks = [f"segmentations/{organ}.nii.gz" for organ in organs]
    return [f"{case}/{name}" for case in CASES for name in ("ct.nii.gz", *masks)]


def with_scans(content, folder):
    """Return a run file whose data sets lie in a folder, where files of their names are made; they are never opened."""
    for name, dataset in content.get("datasets", {}).items():
        if dataset["kind"].startswith("phantom"):
            continue
        dataset["root"] = str(folder / name)
        if dataset["kind"] == "deeplesion_tracking":
            dataset["annotations"] = annotations(folder / name)
            continue
        for scan in scans_of(dataset):
            touch(folder / name / scan)
        if "known_move" in dataset:
            dataset["known_move"]["regions"] = str(folder / name)
        dataset["split"] = SMALL_SPLIT if dataset["split"]["num_test"] else SMALL_SPLIT | {"num_test": 0}
    return content


def annotations(root):
    """Write lesion annotations of one patient a split, with the volumes that they name."""
    row, files = annotation_row(), {}
    for number, split in enumerate(("validation", "test")):
        changed = {key: row[key].replace("000007", f"00000{number}") for key in ("source", "target")}
        for file in changed.values():
            touch(root / file)
        files[split] = root / f"{split}.json"
        files[split].write_text(json.dumps({"0001": row | changed}), encoding="utf-8")
    return {split: str(path) for split, path in files.items()}


@pytest.fixture(scope="module")
def demo_plan(tmp_path_factory):
    """Return the plan of a run that names no run file."""
    return plan(tmp_path_factory.mktemp("demo"))


@pytest.mark.parametrize(
    "path", [path for path in DELIVERED if path.name != "config.yaml"], ids=lambda path: path.stem
)
def test_every_delivered_run_file_plans_on_a_cluster(path, tmp_path):
    """Groups of the cluster's profile must not hold what runs before and after one training."""
    named = [*ADDED_TO.get(path.name, []), path]
    content = with_scans(read_run_files(named), tmp_path)
    jobs = plan(tmp_path, *CLUSTER, "--configfile", write_run(tmp_path / "run.yaml", content))
    assert jobs["write_report"] == 1
    assert jobs["initialise_network"] >= len(content["models"])


def test_two_rounds_of_cross_sam_plan_on_a_cluster(tmp_path):
    run = with_scans(read_run_files([REPOSITORY / "configs" / "ct_mr_cross_sam.yaml"]), tmp_path)
    models, registrations = run["models"], run["registrations"]
    registrations["round_2"] = copy.deepcopy(registrations["round_1"])
    registrations["round_2"]["guide"]["model"] = "cross_sam_m1"
    second = {"initial_model": "cross_sam_m1", "registered": {"registration": "round_2"}}
    models["cross_sam_m2"] = copy.deepcopy(models["cross_sam_m1"]) | second
    jobs = plan(tmp_path, *CLUSTER, "--configfile", write_run(tmp_path / "run.yaml", run))
    assert (jobs["register_deeds"], jobs["train_inter"]) == (2, 2)


def test_the_demo_plans_on_a_cluster(tmp_path, demo_plan):
    assert plan(tmp_path, *CLUSTER) == demo_plan


def test_the_example_of_the_readme_plans_as_it_stands(tmp_path):
    (command,) = (line for line in commands_of("README.md") if line.startswith("snakemake"))
    write_run(tmp_path / "my_scans.yaml", with_scans(yaml.safe_load(readme_example()), tmp_path))
    jobs = plan(tmp_path, *shlex.split(command)[1:])
    assert jobs == {
        "resample_volume": NUM_SCANS,
        "index_dataset": 1,
        "initialise_network": 1,
        "train_intra": 1,
        "package_model": 1,
        "write_report": 1,
    }


def one_folder(folder):
    scans = {"kind": "folder", "modality": "mr", "root": "", "split": SMALL_SPLIT | {"num_test": 0}}
    models = {"mine": {"recipe": "sam_small", "training": {"mix": {"scans": 2}}}}
    run = {"title": "Mine", "results": "results", "datasets": {"scans": scans}, "models": models}
    return with_scans(run, folder)


def test_a_run_file_alone_is_that_file_alone_and_written_out_it_plans_the_same(tmp_path):
    mine = write_run(tmp_path / "mine.yaml", one_folder(tmp_path))
    jobs = plan(tmp_path, "--configfile", mine)
    assert "make_phantom" not in jobs
    assert jobs["train_intra"] == 1
    command = [sys.executable, "-m", "anatomical_embedding.cli.main", "settings", mine]
    whole = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, encoding="utf-8").stdout
    (tmp_path / "whole.yaml").write_text(whole, encoding="utf-8")
    assert plan(tmp_path, "--configfile", "whole.yaml") == jobs


def test_without_a_run_file_the_demo_is_planned_and_single_values_can_be_set(demo_plan, tmp_path):
    assert (demo_plan["make_phantom"], demo_plan["train_intra"], demo_plan["train_semantic"]) == (24, 2, 1)
    assert plan(tmp_path, "--config", "title=Other") == demo_plan


def test_files_that_are_named_together_add_up_and_the_later_one_is_right(demo_plan, tmp_path):
    changes = one_folder(tmp_path)
    changes["datasets"]["phantom_ct"] = {"num_subjects": 20}
    mine = write_run(tmp_path / "mine.yaml", changes)
    both = plan(tmp_path, "--configfile", str(REPOSITORY / "config.yaml"), mine)
    assert both["train_intra"] == demo_plan["train_intra"] + 1
    assert both["make_phantom"] == 20


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"titel": "A"}, "titel: is not a known key"),
        ({"title": "A", "results": "."}, "results: expected a folder of its own"),
    ],
)
def test_an_error_of_the_settings_names_the_run_file(tmp_path, content, said):
    mine = write_run(tmp_path / "mine.yaml", content)
    options = ["--cores", "1", "--dry-run", "--configfile", str(REPOSITORY / "config.yaml"), mine]
    done = run_snakemake(tmp_path, "--snakefile", str(REPOSITORY / "Snakefile"), *options)
    assert f"{REPOSITORY / 'config.yaml'}, {mine}: {said}" in done.stdout + done.stderr


@pytest.mark.parametrize("options", [("--configfile", "config.yaml"), ()])
def test_a_run_file_with_a_key_twice_is_refused(tmp_path, options):
    """Snakemake alone would run the second one, also of the file that it takes where none is named."""
    for name in ("Snakefile", "rules", "anatomical_embedding", "workflow_scripts"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    (tmp_path / "config.yaml").write_text("title: a\nresults: a\ntitle: b\n", encoding="utf-8")
    done = run_snakemake(tmp_path, "--cores", "1", "--dry-run", *options)
    assert done.returncode != 0
    assert "config.yaml: line 3: has the key title of line 1 again" in done.stdout + done.stderr


def test_what_the_verb_new_writes_plans(tmp_path):
    for number in range(NUM_SCANS):
        for scan in (0, 1):
            touch(tmp_path / "pairs" / f"p{number}_000{scan}.nii.gz")
    command = [sys.executable, "-m", "anatomical_embedding.cli.main", "new", str(tmp_path / "pairs")]
    subprocess.run([*command, "--output", str(tmp_path / "run.yaml")], cwd=REPOSITORY, check=True)
    jobs = plan(tmp_path, "--configfile", "run.yaml")
    assert (jobs["train_intra"], jobs["train_inter"]) == (1, 1)
    assert jobs["resample_volume"] == 2 * NUM_SCANS


def test_a_folder_of_mrs_alone_trains(tmp_path):
    set_up(tmp_path)
    for number in range(3):
        generator = np.random.default_rng(number)
        grid = np.indices((40, 40, 30)) - np.array([20, 20, 15])[:, None, None, None]
        inside = (grid[0] ** 2 + grid[1] ** 2) < 16**2
        image = np.where(inside, 400 + 100 * generator.standard_normal(inside.shape), 5).clip(0, 2000)
        write_volume(
            Volume(image.astype(np.int16), np.diag([-8.0, -8.0, 8.0, 1.0])),
            tmp_path / "mrs" / f"m{number}.nii.gz",
        )
    mrs = {"kind": "folder", "modality": "mr", "root": "mrs", "split": SMALL_SPLIT | {"num_test": 0}}
    model = OVERLAY["models"]["sam"]
    model = model | {"training": model["training"] | {"mix": {"mrs": 1}, "num_steps": 2}}
    run = OVERLAY | {"datasets": {"mrs": mrs}, "models": {"sam": model}, "evaluations": {}}
    write_overlay(tmp_path, run)
    done = snakemake(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read_index(tmp_path / "results" / "volumes" / "mrs.csv")
    assert {row.modality for row in rows} == {"mr"}
    assert (tmp_path / "results" / "models" / "sam" / "model.safetensors").is_file()
