"""Bad scans in a folder name themselves, the others are prepared; once corrected, they end like good ones."""

import pytest

from anatomical_embedding.files import sha256_of_file
from tests.integration.tiny_workflow import planned_jobs, set_up, snakemake, turn_into_dicom, write_scan

pytestmark = pytest.mark.slow

INDEX = "results/volumes/folder_ct.csv"
EVALUATION = "results/evaluations/phantom_ct"
SCORES = f"{EVALUATION}/sam.nearest.scores.json"
STORES = "results/embeddings/sam/trained/phantom_ct"
GOOD = (0, 2)
FAULTS = {1: "cut short", 3: "cut short", 4: "holds no DICOM series"}
"""Scan -> what is said of it: number 1 is cut off, 3 is empty, and 4 is an empty folder."""


def scan(folder, number):
    return folder / "scans" / f"scan_{number}.nii.gz"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad_volume")
    set_up(folder, num_scans=5)
    cut_off, empty, is_folder = (scan(folder, number) for number in FAULTS)
    cut_off.write_bytes(cut_off.read_bytes()[:2000])
    empty.write_bytes(b"")
    is_folder.unlink()
    is_folder.mkdir()
    return folder, snakemake(folder, "--keep-going", "--show-failed-logs", "--", SCORES)


@pytest.mark.parametrize("number", FAULTS)
def test_the_run_fails_and_names_each_file_and_its_fault_in_one_line(run, number):
    folder, done = run
    assert done.returncode == 1
    log = (folder / f"results/logs/resample_volume/folder_ct/scan_{number}.log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    (line,) = [line for line in log.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: scans/scan_{number}.nii.gz: ")
    assert FAULTS[number] in line
    assert line in done.stdout + done.stderr


def test_the_other_volumes_are_finished_and_nothing_is_left_of_the_bad_ones(run):
    folder, _ = run
    prepared = {path.name for path in (folder / "results/volumes/folder_ct").iterdir()}
    assert prepared == {
        f"scan_{number}{suffix}" for number in GOOD for suffix in (".nii", ".body_mask.nii", ".json")
    }
    assert not (folder / INDEX).exists()
    assert (folder / EVALUATION / "queries.csv").exists()


def test_mended_files_are_all_that_is_made_again_and_the_end_is_the_same(run, tiny_run):
    folder, _ = run
    scan(folder, 4).rmdir()
    for number in FAULTS:
        write_scan(scan(folder, number), seed=number)
    turn_into_dicom(scan(folder, 3))
    assert planned_jobs(folder, "--", SCORES) == {
        "resample_volume": len(FAULTS),
        "index_dataset": 1,
        "train_intra": 1,
        "export_embeddings": 1,
        "match_points": 1,
        "score_landmarks": 1,
    }
    done = snakemake(folder, "--", SCORES)
    assert done.returncode == 0, done.stdout + done.stderr
    names = [path.relative_to(tiny_run) for path in (tiny_run / STORES).iterdir()]
    assert names
    for name in (SCORES, INDEX, "results/models/sam/trained.safetensors", f"{STORES}.csv", *names):
        assert sha256_of_file(folder / name) == sha256_of_file(tiny_run / name), name
