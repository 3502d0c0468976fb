"""Every verb works at once with an imported published model: nothing is written by hand between `import` and an answer.

The weights are drawn, so that only one anatomy in two windows can be found again; the answers carry no confidence.
"""

import csv
import json

import numpy as np
import pytest
import torch

from anatomical_embedding import api
from anatomical_embedding.cli.main import main
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.settings.published_weights import published_network
from anatomical_embedding.viewer.open_session import open_session
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.packaged_model import points_in, write_dicom_series, write_two_scans

pytestmark = pytest.mark.slow

SHIFT_MM = np.array([-10.0, 120.0, 300.0]) - (90.0, 70.0, -60.0) + 4.0 * np.array([2.0, 0.0, -4.0])
"""From a place of the first scan to the same in the second: their worlds, and how their windows were cut."""
CELL_MM = 4.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with an imported SAM, a scan, a series, their stores, a mask and points of the scan."""
    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    torch.save({"state_dict": EmbeddingNetwork(published_network("sam")).state_dict()}, folder / "SAM.pth")
    main(["import", str(folder / "SAM.pth"), "--output", str(folder / "sam.safetensors")])
    first, second = write_two_scans(folder)
    write_dicom_series(read_volume(second), folder / "series")
    volume = read_volume(first)
    mask = np.zeros(volume.shape, np.uint8)
    mask[14:22, 16:24, 16:24] = 1
    write_volume(Volume(mask, volume.affine), folder / "mask.nii.gz")
    rows = ["x_mm,y_mm,z_mm", *(",".join(map(str, point)) for point in points_in(first, count=4))]
    (folder / "points.csv").write_text("\n".join(rows), encoding="utf-8")
    embedded = [*map(str, (first, folder / "series"))]
    main(["embed", *embedded, "--output", str(folder / "stores"), *model_of(folder)])
    return folder


def model_of(folder):
    return ["--checkpoint", str(folder / "sam.safetensors")]


def printed(capsys, *words):
    """Run a verb and return the JSON that it prints."""
    capsys.readouterr()
    main([*map(str, words), "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("target", ["series", "stores/series.safetensors"])
def test_match(folder, capsys, target):
    scans = ("--from", folder / "stores/first.safetensors", "--to", folder / target)
    found = printed(capsys, "match", *model_of(folder), *scans, "--points", folder / "points.csv")
    points = points_in(folder / "first.nii.gz", count=4)
    for answer, point in zip(found["answers"], points, strict=True):
        place = [answer[f"{axis}_mm"] for axis in "xyz"]
        assert np.linalg.norm(place - point - SHIFT_MM) < CELL_MM
        assert (answer["confidence"], answer["decision"]) == ("unknown", "unknown")


def test_view(folder):
    model = api.load_model(folder / "sam.safetensors")
    scans = [api.read_scan(model, folder / name) for name in ("first.nii.gz", "series")]
    session = open_session(model, scans, pins_path=None)
    (point,) = points_in(folder / "first.nii.gz", count=1)
    (answer,) = session.match({"from": 0, "point": point.tolist()})["answers"]
    assert np.linalg.norm(np.array(answer["point"]) - point - SHIFT_MM) < CELL_MM
    assert answer["decision"] == "unknown"


def test_propagate(folder, capsys):
    scans = ("--from", folder / "stores/first.safetensors", "--to", folder / "stores/series.safetensors")
    output = ("--labels", folder / "mask.nii.gz", "--output", folder / "carried.nii.gz")
    found = printed(capsys, "propagate", *model_of(folder), *scans, *output)
    (label,) = found["labels"]
    assert label["decision"] == "unknown"
    assert label["to_ml"] == pytest.approx(label["from_ml"], rel=0.1)


def test_follow(folder, capsys):
    scans = (folder / "first.nii.gz", folder / "series")
    words = ("--lesions", folder / "mask.nii.gz", "--output", folder / "followed")
    found = printed(capsys, "follow", *scans, *words, *model_of(folder))
    given, seen = found["lesions"]
    assert np.linalg.norm(np.subtract(seen["point_mm"], given["point_mm"]) - SHIFT_MM) < CELL_MM
    assert (folder / "followed" / "report.html").is_file()
    assert any("the model holds no confidence for its matches" in said for said in found["remarks"])


def test_register(folder, capsys, binary):
    scans = (folder / "first.nii.gz", folder / "series")
    words = ("--points", folder / "points.csv", "--output", folder / "registered", "--deeds", binary)
    found = printed(capsys, "register", *scans, *words, *model_of(folder))
    assert found["status"] == "found"
    with (folder / "registered" / "points.csv").open(encoding="utf-8", newline="") as stream:
        places = [[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in csv.DictReader(stream)]
    moved = np.array(places) - points_in(folder / "first.nii.gz", count=4)
    assert np.median(np.linalg.norm(moved - SHIFT_MM, axis=1)) < CELL_MM
