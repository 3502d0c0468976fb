"""A run that is killed again and again, or that has a second one beside it, ends with the bytes of a calm one."""

import csv
import io
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from anatomical_embedding.canonical_text import sha256_of_text
from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.provenance import read_manifests
from tests.integration.every_stage import OVERLAY
from tests.integration.snakemake_run import SnakemakeRun
from tests.integration.tiny_workflow import planned_jobs, set_up, snakemake, write_overlay

pytestmark = pytest.mark.slow

NUM_KILLS = 20
LONGEST_PAUSE_SECONDS = 1.5
FEWEST_INTERRUPTED_RULES = 8
TRAINED = Path("models/sam/trained.safetensors")
PREPARED = Path("volumes/phantom_pairs.csv")
TIMED_LOGS = ("training_log.csv", "validation_log.csv")
NO_RESULTS = ("logs", "benchmarks", "provenance", "build", "state")
"""Folders of what tells of a run or helps it, and is no result."""


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """Return the results of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("calm")
    prepare(folder)
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results"


def prepare(folder, **changes):
    set_up(folder)
    write_overlay(folder, OVERLAY | changes)


def start(folder, *arguments):
    """Start a run in a process group of its own."""
    words = ("--cores", "2", "--configfile", "overlay.yaml", *arguments)
    return SnakemakeRun(folder, words, streams=[folder / "said.txt"] * 2, own_session=True)


def results_in(folder):
    """Return name -> checksum of all results that lie under their final names."""
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in NO_RESULTS]
        for name in names:
            path = Path(parent) / name
            if not name.startswith(".") and name != "report.html":
                found[path.relative_to(folder).as_posix()] = checksum(path)
    return found


def checksum(path):
    """Return the checksum of a file, of logs of a training without the seconds that it took."""
    if path.name not in TIMED_LOGS:
        return sha256_of_file(path)
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    return sha256_of_text(json.dumps([row | {"seconds": None} for row in rows]))


def changed_logs(folder, before):
    """Return the logs of jobs that have been started since."""
    return {path for path, changed in times_of_logs(folder).items() if before.get(path) != changed}


def times_of_logs(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "results" / "logs").rglob("*.log")}


def benchmark_of(log):
    """Return the file that tells that the job of a log has ended."""
    results = next(parent for parent in log.parents if parent.name == "results")
    return results / "benchmarks" / log.relative_to(results / "logs").with_suffix(".tsv")


def kill_after(folder, *, num_starts, pause_seconds):
    """Start a run, kill it with its jobs after a number of starts, and return the rules that were interrupted.

    None says that the run was quicker and ended well.
    """
    before = times_of_logs(folder)
    began = time.time()
    run = start(folder, "--rerun-incomplete")
    while not run.has_ended() and len(changed_logs(folder, before)) < num_starts:
        time.sleep(0.05)
    time.sleep(pause_seconds)
    os.killpg(run.pid, signal.SIGKILL)
    ended = run.wait()
    assert ended in (0, -signal.SIGKILL), f"ended with {ended}: see {folder / 'said.txt'}"
    if ended == 0:
        return None
    wait_for_end_of_session(run.pid)
    logs = changed_logs(folder, before)
    return {
        log.relative_to(folder / "results" / "logs").parts[0].removesuffix(".log")
        for log in logs
        if not benchmark_of(log).exists() or benchmark_of(log).stat().st_mtime < began
    }


def unlock(folder, *, by_command):
    """Take away the locks of a killed run, as a user does, or in no time what that comes to."""
    if by_command:
        done = snakemake(folder, "--unlock")
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        shutil.rmtree(folder / ".snakemake" / "locks")


def wait_for_end_of_session(session):
    """Wait until no job of a killed run is left: one that goes on would write beside the next run."""
    deadline = time.monotonic() + 10
    while members := [process for process in psutil.process_iter() if session_of(process) == session]:
        assert time.monotonic() < deadline, f"still running: {members}"
        time.sleep(0.05)


def session_of(process):
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None


def test_a_run_that_is_killed_twenty_times_ends_with_the_bytes_of_a_calm_one(calm, tmp_path):
    expected = results_in(calm)
    num_jobs = len(list((calm / "benchmarks").rglob("*.tsv")))
    prepare(tmp_path)
    generator = np.random.default_rng(2)
    interrupted = set()
    kills_left = NUM_KILLS
    while kills_left:
        remaining = num_jobs - len(list((tmp_path / "results" / "benchmarks").rglob("*.tsv")))
        rules = kill_after(
            tmp_path,
            # Of the jobs that are started two are lost, so that the kills spread over the whole run.
            num_starts=int(generator.integers(1, 2 * remaining // (kills_left + 3) + 3)),
            pause_seconds=generator.uniform(0.0, LONGEST_PAUSE_SECONDS),
        )
        found = results_in(tmp_path / "results")
        assert {name: found[name] for name in found if expected.get(name) != found[name]} == {}
        if rules is None:  # the next kill hits a run from the beginning
            assert found == expected
            shutil.rmtree(tmp_path / "results")
            continue
        kills_left -= 1
        interrupted |= rules
        unlock(tmp_path, by_command=kills_left % 5 == 0)
    done = snakemake(tmp_path, "--rerun-incomplete")
    assert done.returncode == 0, done.stdout + done.stderr
    assert results_in(tmp_path / "results") == expected
    assert planned_jobs(tmp_path) == {}
    assert len(interrupted) >= FEWEST_INTERRUPTED_RULES, interrupted
    assert (
        read_manifests(tmp_path / "results" / "provenance").keys()
        == read_manifests(calm / "provenance").keys()
    )


def test_what_is_missing_is_planned_beside_a_list_that_is_made_again(calm, tmp_path):
    """As after a kill between the end of the list of embeddings and the end of its job."""
    again = ("--forcerun", "results/embeddings/sam/trained/phantom_pairs.csv")
    assert planned_jobs(calm.parent, *again) == {"export_embeddings": 1}, "pairs were to be matched again"
    for name, rule in (("report.html", "write_report"), ("errors.json", "score_registration")):
        missing = next(calm.rglob(name))
        missing.rename(tmp_path / name)
        planned = planned_jobs(calm.parent, *again)
        (tmp_path / name).rename(missing)
        assert planned[rule] == 1


def test_a_second_run_in_the_same_folder_is_refused_and_the_first_ends_unharmed(calm, tmp_path):
    prepare(tmp_path)
    target = str("results" / PREPARED)
    first = start(tmp_path, "--", target)
    while not times_of_logs(tmp_path):
        assert not first.has_ended()
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGSTOP)  # however long the second takes to start, the first is at work
    # As the profiles ask; without it Snakemake refuses as well, but for the files that the first run has not finished.
    second = snakemake(tmp_path, "--rerun-incomplete", "--", target)
    assert not first.has_ended()
    os.killpg(first.pid, signal.SIGCONT)
    assert second.returncode == 1
    assert "cannot be locked" in second.stdout + second.stderr
    assert first.wait(timeout=300) == 0, (tmp_path / "said.txt").read_text(encoding="utf-8")
    found, expected = results_in(tmp_path / "results"), results_in(calm)
    assert PREPARED.as_posix() in found
    assert found == {name: expected[name] for name in found}


def test_two_folders_that_share_their_results_leave_nothing_wrong(calm, tmp_path):
    """Snakemake's lock does not reach into another folder: one of the two may fail, but none may spoil a file."""
    results = tmp_path / "results"
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        prepare(folder, results=str(results))
    runs = [start(folder, "--", str(results / TRAINED)) for folder in folders]
    for run in runs:
        run.wait(timeout=600)
    expected = results_in(calm)
    found = results_in(results)
    assert {name for name in found if found[name] != expected.get(name)} == set()
    done = snakemake(folders[0], "--rerun-incomplete", "--", str(results / TRAINED))
    assert done.returncode == 0, done.stdout + done.stderr
    found = results_in(results)
    assert TRAINED.as_posix() in found
    assert found == {name: expected[name] for name in found}


def test_a_build_that_was_killed_begins_anew(calm):
    """The compiler leaves half an object file that is newer than its source."""
    program = calm / "deeds" / "deeds"
    expected = sha256_of_file(program)
    half = next((calm / "deeds" / "build").rglob("warp.cpp.o"))
    half.write_bytes(half.read_bytes()[:1000])
    program.unlink()
    done = snakemake(calm.parent, "--", "results/deeds/deeds")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sha256_of_file(program) == expected
