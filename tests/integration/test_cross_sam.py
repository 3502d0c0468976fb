"""The chain of Cross-SAM on tiny pairs: it ends with a trained model, and a change reruns what depends on it alone."""

import copy
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.networks.checkpoint import load_checkpoint
from anatomical_embedding.registration.registered_volume import read_registered_pairs
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.integration.snakemake_run import SnakemakeRun
from tests.integration.tiny_training import NETWORK, TRAINING
from tests.integration.tiny_workflow import OVERLAY, planned_jobs, set_up, snakemake, write_overlay
from tests.registration_pairs import COARSE_DEEDS
from tests.run_files import put

pytestmark = pytest.mark.slow

NUM_PAIRS = 2
SHAPE = (40, 36, 34)
FIT = {
    "kind": "rigid",
    "estimator": "ransac",
    "inlier_distance_mm": 60,
    "num_samples": 200,
    "seed": 1,
    "max_rotation_component_rad": None,
    "min_inliers": 4,
    "min_inlier_fraction": 0,
    "min_spread_mm": 0.1,
    "max_rotation_degrees": 180,
    "max_scale_change": 0.9,
}
ROUND = {
    "dataset": "pairs",
    "pairs": {"fixed_modality": "ct", "moving_modality": "mr", "splits": ["train"]},
    "guide": {
        "model": "sam",
        "grid": {"spacing_mm": [32, 32, 32], "min_similarity": -1, "max_return_distance_mm": None},
        "fit": FIT,
    },
    "deeds": COARSE_DEEDS | {"recipe": "small"},
}
MODEL = {
    "recipe": "cross_sam_small",
    "network": NETWORK | {"self_similarity": None},
    "training": TRAINING | {"mix": {"pairs": 1}, "num_steps": 2},
    "initial_model": "sam",
    "registered": {"registration": "round_1", "num_slots": 1, "intra_weight": 1},
}
SAM = {
    "recipe": "sam_small",
    "network": NETWORK,
    "training": TRAINING | {"mix": {"folder_ct": 1}, "num_steps": 2},
}
CHAIN = OVERLAY | {
    "datasets": OVERLAY["datasets"]
    | {
        "pairs": {
            "kind": "ct_mr_pairs",
            "root": "pairs",
            "split": {"num_test": 0, "num_validation": 1, "seed": 1},
        }
    },
    "evaluations": {},
    "registrations": {"round_1": ROUND},
    "models": OVERLAY["models"] | {"sam": SAM, "cross_sam_m1": MODEL},
}
AFTER_REGISTRATION = {
    "score_registration": NUM_PAIRS,
    "resample_registered": NUM_PAIRS,
    "index_registered": 1,
    "train_inter": 1,
    "package_model": 1,
    "write_report": 1,
}


def write_pair(folder, number):
    """Write the CT of a textured ball and its MR, which is inverted and lies elsewhere in the world."""
    generator = np.random.default_rng(number)
    grid = np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2
    inside = np.sqrt((grid**2).sum(axis=0)) < 15
    texture = gaussian_filter(generator.standard_normal(SHAPE), 2) * 2500
    ct = np.where(inside, texture, -1000.0)
    mr = np.where(inside, 600.0 - 0.5 * texture, 0.0) + generator.uniform(0, 5, SHAPE)
    moved = np.diag([-8.0, -8.0, 8.0, 1.0])
    moved[:3, 3] = (40, -20, 30)
    for name, array, affine in (("0000", ct, np.diag([-8.0, -8.0, 8.0, 1.0])), ("0001", mr, moved)):
        write_volume(Volume(array.astype(np.int16), affine), folder / f"p{number}_{name}.nii.gz")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    set_up(folder)
    (folder / "pairs").mkdir()
    for number in range(NUM_PAIRS + 1):  # one patient validates
        write_pair(folder / "pairs", number)
    write_overlay(folder, CHAIN)
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder
    assert planned_jobs(folder) == {}, "a test did not undo what it changed"


@pytest.fixture
def changed(finished):
    """Give a function that changes one value of the run file, and undo it afterwards."""

    def change(*keys, value):
        overlay = copy.deepcopy(CHAIN)
        put(overlay, keys, value)
        write_overlay(finished, overlay)
        return planned_jobs(finished)

    yield change
    write_overlay(finished, CHAIN)


def test_the_chain_ends_with_a_model_that_pairs_have_changed(finished):
    models = finished / "results" / "models"
    first, last = (
        load_checkpoint(models / name / "trained.safetensors")[0] for name in ("sam", "cross_sam_m1")
    )
    weights = [dict(network.named_parameters()) for network in (first, last)]
    assert any(not np.allclose(weights[0][name].detach(), weights[1][name].detach()) for name in weights[0])
    log = (models / "cross_sam_m1" / "training_log.csv").read_text(encoding="utf-8")
    assert "loss_inter_fine" in log and "loss_fine" in log


def test_every_pair_has_its_volume_in_the_fixed_world(finished):
    folder = finished / "results" / "registrations" / "round_1"
    rows = read_registered_pairs(folder / "pairs.csv")
    assert [row.status for row in rows] == ["found"] * NUM_PAIRS
    for row in rows:
        pair = row.image_path.parent
        image = read_volume(row.image_path)
        mask = read_volume(row.mask_path, require_contrast=False)
        field = read_volume(pair / "pair_deformed.nii.gz")
        np.testing.assert_allclose(image.affine, mask.affine, atol=1e-4)
        np.testing.assert_allclose(image.affine[:3, 3], field.affine[:3, 3], atol=4.1)
        assert set(np.unique(mask.array)) == {0, 1}
        assert not (pair / ".deeds").exists()


def test_a_registration_setting_reruns_from_the_registration_on(changed):
    jobs = changed("registrations", "round_1", "deeds", "alpha", value=2.5)
    assert jobs == {"register_deeds": NUM_PAIRS, **AFTER_REGISTRATION}


def test_a_setting_of_the_fit_reruns_from_the_fit_on(changed):
    jobs = changed("registrations", "round_1", "guide", "fit", value=FIT | {"num_samples": 201})
    assert jobs == {"fit_affine": NUM_PAIRS, "register_deeds": NUM_PAIRS, **AFTER_REGISTRATION}


def test_a_setting_of_the_training_reruns_it_and_what_follows(changed):
    registered = MODEL["registered"] | {"inter_weight": 2}
    jobs = changed("models", "cross_sam_m1", "registered", value=registered)
    assert jobs == {"train_inter": 1, "package_model": 1, "write_report": 1}


def test_a_new_pair_registers_itself_alone(finished):
    added = [finished / "pairs" / f"p9_000{kind}.nii.gz" for kind in (0, 1)]
    write_pair(finished / "pairs", 9)
    try:
        jobs = planned_jobs(finished)
    finally:
        for path in added:
            path.unlink()
    assert {
        name: jobs[name] for name in ("match_grid", "fit_affine", "register_deeds", "resample_volume")
    } == {
        "match_grid": 1,
        "fit_affine": 1,
        "register_deeds": 1,
        "resample_volume": 2,
    }
    assert "train_intra" not in jobs


def test_a_killed_registration_leaves_nothing_that_looks_finished_and_runs_again(finished, tmp_path):
    folder = tmp_path / "chain"
    shutil.copytree(finished, folder)
    pair = next((folder / "results" / "registrations" / "round_1").glob("*__*"))
    outputs = ("displacement_field.nii.gz", "pair_displacements.dat", "pair_deformed.nii.gz")
    before = {name: sha256_of_file(pair / name) for name in outputs}
    target = str((pair / "displacement_field.nii.gz").relative_to(folder))
    words = ("--cores", "1", "--configfile", "overlay.yaml", "--forcerun", "register_deeds", "--", target)
    run = SnakemakeRun(folder, words, streams=[tmp_path / "said.txt"] * 2, own_session=True)
    _wait_for(pair / ".deeds")
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert not all((pair / name).exists() for name in outputs)
    for arguments in (["--unlock"], ["--rerun-incomplete", "--", target]):
        done = snakemake(folder, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert {name: sha256_of_file(pair / name) for name in outputs} == before
    assert not (pair / ".deeds").exists()


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} was not made"
        time.sleep(0.001)
