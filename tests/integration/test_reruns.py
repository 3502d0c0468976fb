"""What a change reruns: edit X, then exactly these jobs are planned, and no others."""

import copy
import os
import shutil

import pytest

from tests.integration.tiny_workflow import OVERLAY, planned_jobs, snakemake, write_overlay, write_scan

pytestmark = pytest.mark.slow

SCORING = {"score_landmarks": 6, "package_model": 1, "write_report": 1}  # a package quotes its scores
JUDGED = {"match_fit_points": 4, "fit_confidence": 2, "judge_matches": 2, "score_confidence": 2}
AFTER_TRAINING = {
    "export_embeddings": 1,
    "package_model": 1,
    "match_points": 2,
    **JUDGED,
    "score_landmarks": 2,
    "write_report": 1,
}
TRAINING = {"train_intra": 1, **AFTER_TRAINING}


@pytest.fixture
def edited(tiny_run):
    """Give functions that change the run, and undo every change afterwards."""
    undo = []

    def keep(path):
        state = path.stat()
        content = path.read_bytes()
        undo.append(
            lambda: (path.write_bytes(content), os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns)))
        )

    class Edits:
        folder = tiny_run

        @staticmethod
        def replace(name, old, new):
            path = tiny_run / name
            text = path.read_text(encoding="utf-8")
            assert old in text, f"{name} has no {old!r}"
            keep(path)
            path.write_text(text.replace(old, new, 1), encoding="utf-8")

        @staticmethod
        def set(*keys, value):
            overlay = copy.deepcopy(OVERLAY)
            section = overlay
            for key in keys[:-1]:
                section = section.setdefault(key, {})
            section[keys[-1]] = value
            keep(tiny_run / "overlay.yaml")
            write_overlay(tiny_run, overlay)

        @staticmethod
        def scan(name, seed):
            path = tiny_run / "scans" / name
            if path.exists():
                keep(path)
            else:
                undo.append(path.unlink)
            write_scan(path, seed=seed)

        @staticmethod
        def change_last_byte(path):
            keep(path)
            content = path.read_bytes()
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    yield Edits
    for step in reversed(undo):
        step()


def test_nothing(tiny_run):
    assert planned_jobs(tiny_run) == {}


def test_more_gpus_and_nodes(tiny_run):
    more = [
        f"{rule}:{resource}=2"
        for rule in ("train_intra", "export_embeddings")
        for resource in ("gpu", "nodes")
    ]
    assert planned_jobs(tiny_run, "--set-resources", *more) == {}


def test_comment_and_docstring(edited):
    edited.replace(
        "anatomical_embedding/losses/contrastive.py", "import torch\n", "import torch  # tensors\n"
    )
    edited.replace(
        "anatomical_embedding/losses/contrastive.py", '"""The contrastive', '"""On the contrastive'
    )
    assert planned_jobs(edited.folder) == {}


def test_reworded_error(edited):
    edited.replace(
        "anatomical_embedding/volumes/nifti_file.py", "cannot be read as NIfTI", "is no NIfTI file"
    )
    edited.replace("anatomical_embedding/training/loop.py", "the loss became {total_loss}", "no finite loss")
    assert planned_jobs(edited.folder) == {}


def test_changed_log_line(edited):
    edited.replace("anatomical_embedding/training/loop.py", 'f"step {row', 'f"optimiser step {row')
    edited.replace("anatomical_embedding/embedding/export.py", "stored already", "in the store")
    assert planned_jobs(edited.folder) == {}


def test_patch_release(edited):
    edited.replace("pyproject.toml", 'version = "', 'version = "99.')
    edited.replace("anatomical_embedding/files.py", "import json\n", "import glob\nimport json\n")
    assert planned_jobs(edited.folder) == {}


def test_touched_sources(tiny_run):
    for path in tiny_run.rglob("*.py"):
        path.touch()
    (tiny_run / "Snakefile").touch()
    assert planned_jobs(tiny_run) == {}


def test_moved_elsewhere(tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "elsewhere")
    assert planned_jobs(tmp_path / "elsewhere") == {}


@pytest.mark.parametrize("spelling", ["{folder}/scans", "./scans/", "../{folder.name}/scans", "{link}/scans"])
def test_a_root_spelled_another_way(edited, tmp_path, spelling):
    (tmp_path / "link").symlink_to(edited.folder)
    root = spelling.format(folder=edited.folder, link=tmp_path / "link")
    edited.set("datasets", "folder_ct", "root", value=root)
    assert planned_jobs(edited.folder) == {}


def test_trained_weights_can_be_kept(tiny_run, tmp_path):
    folder = tmp_path / "upgraded"
    shutil.copytree(tiny_run, folder)
    losses = folder / "anatomical_embedding" / "losses" / "cross_entropy.py"
    changed = losses.read_text(encoding="utf-8").replace("/ temperature", "/ (1.0 * temperature)", 1)
    losses.write_text(changed, encoding="utf-8")
    assert planned_jobs(folder)["train_intra"] == 1
    weights = folder / "results" / "models" / "sam" / "trained.safetensors"
    before = weights.read_bytes()
    done = snakemake(folder, "--touch", "results/models/sam/trained.safetensors")
    assert done.returncode == 0, done.stdout + done.stderr
    assert weights.read_bytes() == before
    assert "train_intra" not in planned_jobs(folder)


def test_loss_module(edited):
    edited.replace("anatomical_embedding/losses/cross_entropy.py", "/ temperature", "/ (1.0 * temperature)")
    assert planned_jobs(edited.folder) == TRAINING


def test_metric_module(edited):
    edited.replace("anatomical_embedding/evaluation/landmarks/scores.py", "import", "UNUSED = 1\nimport")
    assert planned_jobs(edited.folder) == SCORING


def test_training_setting(edited):
    edited.set("models", "sam", "training", "max_gradient_norm", value=5.0)
    assert planned_jobs(edited.folder) == TRAINING


def test_two_settings_swapped(edited):
    fine = OVERLAY["models"]["sam"]["training"]["fine_loss"]
    swapped = fine | {
        "positive_distance_mm": fine["ignore_distance_mm"],
        "ignore_distance_mm": fine["positive_distance_mm"],
    }
    edited.set("models", "sam", "training", "fine_loss", value=swapped)
    assert planned_jobs(edited.folder) == TRAINING


def test_matching_setting(edited):
    edited.set("matching", value={"refinement": "none"})
    assert planned_jobs(edited.folder) == {
        "match_points": 3,
        **JUDGED,
        "match_fit_points": 2,  # none to the voxel: users do not get such answers then
        "package_model": 1,
        "score_landmarks": 3,
        "write_report": 1,
    }


def test_bootstrap_setting(edited):
    edited.set("evaluations", "phantom_ct", "bootstrap", value={"num_resamples": 200})
    assert planned_jobs(edited.folder) == SCORING


def test_title(edited):
    edited.set("title", value="Another title")
    assert planned_jobs(edited.folder) == {"write_report": 1}


def test_one_input_volume_replaced(edited):
    edited.scan("scan_0.nii.gz", seed=10)
    assert planned_jobs(edited.folder) == {"resample_volume": 1, "index_dataset": 1, **TRAINING}


def test_one_volume_added(edited):
    edited.scan("scan_5.nii.gz", seed=5)
    assert planned_jobs(edited.folder) == {"resample_volume": 1, "index_dataset": 1, **TRAINING}


def test_one_phantom_added(edited):
    edited.set("datasets", "phantom_ct", "num_subjects", value=6)
    jobs = planned_jobs(edited.folder)
    assert jobs["make_phantom"] == 1
    assert jobs["resample_labelled_volume"] == 1


def test_a_volume_replaced_by_an_older_one(edited):
    """As a scan that is copied back from an archive is: its date is before that of everything made from it."""
    path = edited.folder / "scans" / "scan_1.nii.gz"
    edited.scan("scan_1.nii.gz", seed=11)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert planned_jobs(edited.folder) == {"resample_volume": 1, "index_dataset": 1, **TRAINING}


def test_a_link_turned_to_another_file(tiny_run, tmp_path):
    """The new file is older than all results, of the same size and date as the one before."""
    scan = tiny_run / "scans" / "scan_2.nii.gz"
    first, second = tmp_path / "first.nii.gz", tmp_path / "second.nii.gz"
    shutil.move(scan, first)
    shutil.copy2(first, second)
    scan.symlink_to(first)
    try:
        turned_once = planned_jobs(tiny_run)
        scan.unlink()
        scan.symlink_to(second)
        assert planned_jobs(tiny_run) == turned_once == {"resample_volume": 1, "index_dataset": 1, **TRAINING}
    finally:
        scan.unlink()
        shutil.move(first, scan)


def test_a_slice_of_a_dicom_series_replaced_by_an_older_one(edited):
    """Neither the folder's date nor the size of a file shows it."""
    path = edited.folder / "scans" / "scan_3" / "IM0007.dcm"
    edited.change_last_byte(path)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert planned_jobs(edited.folder) == {"resample_volume": 1, "index_dataset": 1, **TRAINING}


def test_a_slice_of_a_dicom_series_removed(tiny_run, tmp_path):
    path = tiny_run / "scans" / "scan_3" / "IM0007.dcm"
    state = path.parent.stat()
    shutil.move(path, tmp_path / "slice")
    try:
        assert planned_jobs(tiny_run) == {"resample_volume": 1, "index_dataset": 1, **TRAINING}
    finally:
        shutil.move(tmp_path / "slice", path)
        os.utime(path.parent, ns=(state.st_atime_ns, state.st_mtime_ns))
