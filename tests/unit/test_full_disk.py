"""A disk that fills up while a file is written: it is named, no part of it stays, and what stood there still stands."""

import csv

import numpy as np
import pandas as pd
import pytest
import torch

from anatomical_embedding.embedding.store import Origin, embedded_volume, write_store
from anatomical_embedding.errors import OutputFileError
from anatomical_embedding.evaluation.landmarks.tables import write_table
from anatomical_embedding.files import append_line, folder_written_atomically, write_json, written_atomically
from anatomical_embedding.networks.checkpoint import save_checkpoint
from anatomical_embedding.registration.displacement_field import DisplacementField, write_field
from anatomical_embedding.registration.itk_transform import (
    affine_transform,
    forward_transform,
    write_transform,
)
from anatomical_embedding.settings.matching import StoreSettings
from anatomical_embedding.training.loop import write_log
from anatomical_embedding.training.resume_state import CURRENT_NAME, TrainingProgress, load_state, save_state
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.reference.small_networks import network_with_statistics, small_published_settings
from tests.small_disk import fill_up, mounted_small_disk

RANDOM = np.random.default_rng(0)
FIELD = DisplacementField(RANDOM.normal(size=(28, 29, 30, 3)).astype(np.float32), np.eye(4))
VOLUME = Volume(RANDOM.integers(-1000, 1000, (60, 60, 60)).astype(np.int16), np.eye(4))


@pytest.fixture
def small_disk(tmp_path):
    with mounted_small_disk(tmp_path, kilobytes=256) as folder:
        yield folder


def a_store(path):
    heads = [RANDOM.normal(size=(20, 20, 20, 32)), RANDOM.normal(size=(5, 5, 5, 32))]
    fine, coarse = (head / np.linalg.norm(head, axis=-1, keepdims=True) for head in heads)
    embedded = embedded_volume(
        fine,
        coarse,
        None,
        fine_stride_vox=(2, 2, 2),
        coarse_stride_vox=(8, 8, 8),
        volume_id="a",
        shape=(40, 40, 40),
        affine=np.eye(4),
        origin=Origin("0", "1", "2"),
        settings=StoreSettings(format="fp16"),
    )
    write_store(path, embedded)


def a_checkpoint(path):
    save_checkpoint(path, network_with_statistics(small_published_settings(width=16)), metadata={})


def a_page(path):
    with written_atomically(path) as temporary:
        temporary.write_text("x" * 1_000_000, encoding="utf-8")


def a_csv(path):
    with written_atomically(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([[number] for number in range(100_000)])


WRITERS = [
    ("a.nii", lambda path: write_volume(VOLUME, path)),
    ("a.nii.gz", lambda path: write_volume(VOLUME, path)),
    ("a.safetensors", a_store),
    ("b.safetensors", a_checkpoint),
    ("a.json", lambda path: write_json(path, {"text": "x" * 1_000_000})),
    ("a.csv", a_csv),
    ("log.csv", lambda path: write_log([{"step": step} for step in range(100_000)], path)),
    ("table.csv", lambda path: write_table(pd.DataFrame({"a": RANDOM.normal(size=50_000)}), path)),
    ("a.html", a_page),
    ("field.nii.gz", lambda path: write_field(FIELD, path)),
    ("forward.h5", lambda path: write_transform(forward_transform(np.eye(4), FIELD), path)),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of nibabel's open file
@pytest.mark.parametrize(("name", "write"), WRITERS, ids=[name for name, _ in WRITERS])
def test_the_file_is_named_and_what_stood_there_stays(small_disk, name, write):
    path = small_disk / name
    path.write_text("before", encoding="utf-8")
    with pytest.raises(OutputFileError, match="free space") as caught:
        write(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert path.read_text(encoding="utf-8") == "before"
    assert [entry.name for entry in small_disk.iterdir()] == [name]


def test_a_transform_of_a_few_bytes_is_not_left_empty(small_disk):
    filler = fill_up(small_disk, all_but_kilobytes=0)
    with pytest.raises(OutputFileError, match=r"start\.tfm: could not be written whole"):
        write_transform(affine_transform(np.eye(4)), small_disk / "start.tfm")
    assert [entry.name for entry in small_disk.iterdir()] == [filler.name]


def test_a_line_is_added_whole_or_not_at_all(small_disk):
    path = small_disk / "decisions.csv"
    append_line(path, "1,2", header="a,b")
    filler = fill_up(small_disk, all_but_kilobytes=0)
    with pytest.raises(OutputFileError, match=r"decisions\.csv: there is no room"):
        append_line(path, "3" * 10_000, header="a,b")  # more than what is left of the block that the file has
    assert path.read_text(encoding="utf-8") == "a,b\n1,2\n"
    filler.unlink()
    path.write_text("a,b\n1,2", encoding="utf-8")  # as some editors end a file
    append_line(path, "3,4", header="a,b")
    assert path.read_text(encoding="utf-8") == "a,b\n1,2\n3,4\n"


def test_a_folder_appears_whole_or_not_at_all(small_disk):
    with pytest.raises(OutputFileError), folder_written_atomically(small_disk / "markups") as folder:
        for number in range(3):
            write_json(folder / f"{number}.json", {"text": "x" * 100_000})
    assert list(small_disk.iterdir()) == []


def test_the_state_before_stays_and_can_be_loaded(small_disk):
    network = torch.nn.Linear(100, 100)  # 40 kB, and twice that for the moments
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 100)).sum().backward()
    optimizer.step()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    trained = {"network": network, "optimizer": optimizer, "scaler": scaler}

    def save(step):
        progress = TrainingProgress(step=step)
        save_state(small_disk, fingerprint="f", progress=progress, best_weights=None, **trained)

    save(1)
    before = (small_disk / CURRENT_NAME).read_bytes()
    filler = fill_up(small_disk, all_but_kilobytes=50)
    with pytest.raises(OutputFileError, match=CURRENT_NAME):
        save(2)
    assert (small_disk / CURRENT_NAME).read_bytes() == before
    assert sorted(entry.name for entry in small_disk.iterdir()) == sorted([filler.name, CURRENT_NAME])
    progress, _ = load_state(small_disk, fingerprint="f", **trained)
    assert progress.step == 1
    filler.unlink()
    save(2)
    assert load_state(small_disk, fingerprint="f", **trained)[0].step == 2


def test_an_error_of_another_kind_is_passed_on(tmp_path):
    with pytest.raises(FileNotFoundError), written_atomically(tmp_path / "a.txt"):
        (tmp_path / "missing.txt").read_text(encoding="utf-8")
