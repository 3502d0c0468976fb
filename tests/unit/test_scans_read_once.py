"""Every verb reads each scan once, and takes its checksum at most once."""

from collections import Counter

import numpy as np
import pytest

from anatomical_embedding import api
from anatomical_embedding.registration import pair_map
from anatomical_embedding.registration.deformation import Deformation
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.usage import registration
from anatomical_embedding.viewer.server import ViewServer
from anatomical_embedding.volumes import raw_scan, scan
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests import command
from tests.packaged_model import write_model, write_two_scans

POINT = "12,9,30"
"""In the body of the first scan."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("once")
    write_model(folder)
    first, _ = write_two_scans(folder)
    volume = read_volume(first)
    labels = np.zeros(volume.shape, np.uint8)
    labels[16:24, 16:24, 16:24] = 1
    write_volume(Volume(labels, volume.affine), folder / "labels.nii.gz")
    (folder / "points.csv").write_text(f"x_mm,y_mm,z_mm,name\n{POINT},p\n", encoding="utf-8")
    return folder


@pytest.fixture
def counts(monkeypatch):
    """Return how often the voxels of each scan are read, and how often its checksum is taken."""
    reads, sums = Counter(), Counter()

    def counted(counter, function):
        def count(path, *arguments, **options):
            counter[path.name] += 1
            return function(path, *arguments, **options)

        return count

    monkeypatch.setattr(raw_scan, "_read", counted(reads, raw_scan._read))
    monkeypatch.setattr(scan, "sha256_of_file", counted(sums, scan.sha256_of_file))
    return reads, sums


def run(folder, verb, *arguments):
    """Run a verb with the model of the folder; it must end well."""
    assert command.run([verb, *arguments, "--checkpoint", folder / "tiny.safetensors"]) == 0


def both(folder):
    return folder / "first.nii.gz", folder / "second.nii.gz"


ONCE = {"first.nii.gz": 1, "second.nii.gz": 1}


def test_match(folder, counts):
    first, second = both(folder)
    run(folder, "match", "--from", first, "--to", second, "--to", first, "--point", POINT)
    assert counts == (ONCE, ONCE)


@pytest.mark.slow
def test_propagate(folder, counts, tmp_path):
    first, second = both(folder)
    labels = folder / "labels.nii.gz"
    run(
        folder,
        *("propagate", "--labels", labels, "--from", first, "--to", second),
        *("--output", tmp_path / "carried.nii.gz"),
    )
    assert counts == (ONCE, ONCE)


@pytest.mark.parametrize("told", [[], ["--modality", "ct"]])
def test_embed(folder, counts, tmp_path, told):
    reads, sums = counts
    run(folder, "embed", *both(folder), "--output", tmp_path, *told)
    assert counts == (ONCE, ONCE)
    reads.clear()
    sums.clear()
    run(folder, "embed", *both(folder), "--output", tmp_path, *told)
    # What is stored is known by its checksum; its values are needed only where they tell the modality.
    assert counts == ({} if told else ONCE, ONCE)


def test_view(folder, counts, monkeypatch):
    def end(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ViewServer, "serve_forever", end)
    run(folder, "view", *both(folder), "--no-open")
    assert counts == (ONCE, ONCE)


def test_register(folder, counts, monkeypatch, tmp_path):
    """The program itself is left out: it reads the prepared volumes that it is given."""

    def deform(_, fixed, *__, **___):
        field = DisplacementField(np.zeros((*fixed.shape, 3), np.float32), fixed.affine)
        return Deformation(field, (slice(0, 1),) * 3)

    monkeypatch.setattr(registration, "deform", deform)
    monkeypatch.setattr(pair_map, "inverse_deformation", lambda nothing, *, program: nothing)
    program = tmp_path / "deeds"
    program.write_text("#!/bin/sh\necho deeds 0.2.0\n", encoding="utf-8")
    program.chmod(0o755)
    run(
        folder,
        *("register", *both(folder), "--deeds", program, "--points", folder / "points.csv"),
        *("--output", tmp_path / "out"),
    )
    assert counts == (ONCE, ONCE)


def test_a_scan_that_was_read_is_taken_as_it_was_read(folder, counts):
    model = api.load_model(folder / "tiny.safetensors")
    read = api.read_scan(model, folder / "first.nii.gz", modality="ct")
    embedded = api.embed_scan(model, read)
    assert embedded.raw is read
    assert embedded.modality == "ct"
    assert counts[0] == {"first.nii.gz": 1}


@pytest.mark.slow
def test_follow(folder, counts, tmp_path):
    """Following, measuring and drawing share a reading; a visit that is followed again is read once more."""
    reads, sums = counts
    scans = ("follow", *both(folder), "--lesions", folder / "labels.nii.gz", "--output", tmp_path)
    run(folder, *scans)
    assert reads == ONCE
    assert {name: sums[name] for name in ONCE} == ONCE
