"""Scans, points and labels of every format through the verbs: the same answers as with NIfTI files."""

import csv
import io
import json

import numpy as np
import pytest

from anatomical_embedding import api
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from tests.command import output_of, refusal_of
from tests.dicom_slices import OTHER_SERIES, Layout, Stack, save
from tests.label_objects import FRAME, write_seg, write_structures
from tests.packaged_model import body_scan, write_model

AFFINE = np.array([[-4.0, 0, 0, 90], [0, -4.0, 0, 70], [0, 0, 4.25, -60], [0, 0, 0, 1]])
POINT_VOX = (16, 14, 20)


def with_frame(dataset, k):
    dataset.FrameOfReferenceUID = FRAME


def as_stack(volume, **changes):
    """Return a volume with the directions of LPS as a series of slices."""
    x, y, z = volume.affine[:3, 3] * [-1, -1, 1]
    return Stack(
        stored=volume.array.transpose(2, 1, 0).astype(int),
        origin_mm=(x, y, z),
        step_mm=(0, 0, 4.25),
        between_rows_mm=4.0,
        between_columns_mm=4.0,
        layout=Layout(is_signed=True),
        intercept=lambda k: 0.0,
        edit=with_frame,
        **changes,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a model and one scan as NIfTI, NRRD, a series, and two series in one folder."""
    folder = tmp_path_factory.mktemp("formats")
    write_model(folder)
    volume = body_scan(offset_vox=(4, 2, 6), affine=AFFINE)
    write_volume(volume, folder / "scan.nii.gz")
    header = "\n".join(
        [
            *("NRRD0004", "type: short", "dimension: 3", "space: right-anterior-superior"),
            *(f"sizes: {' '.join(map(str, volume.shape))}", "space directions: (-4,0,0) (0,-4,0) (0,0,4.25)"),
            *("endian: little", "encoding: raw", "space origin: (90,70,-60)", "", ""),
        ]
    )
    (folder / "scan.nrrd").write_bytes(header.encode() + volume.array.astype("<i2").tobytes(order="F"))
    as_stack(volume).write(folder / "series")
    as_stack(volume).write(folder / "both")
    other = body_scan(offset_vox=(0, 5, 2), affine=AFFINE)
    as_stack(other, series=OTHER_SERIES, name="other{:d}.dcm".format).write(folder / "both")
    return folder


def answers(folder, capsys, *words):
    """Return the rows that `match` prints for a point in the scan itself and in one of its other forms."""
    printed = output_of(capsys, ["match", "--checkpoint", folder / "tiny.safetensors", *words])
    return list(csv.DictReader(io.StringIO(printed)))


def places(rows):
    return np.array([[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in rows])


@pytest.mark.slow
def test_a_point_is_found_at_one_place_in_every_format(folder, capsys):
    volume = read_volume(folder / "scan.nii.gz")
    point = ",".join(f"{value:.4f}" for value in volume.world_from_voxel(POINT_VOX))
    targets = [folder / name for name in ("scan.nii.gz", "scan.nrrd", "series")]
    words = [word for target in targets for word in ("--to", target)]
    rows = answers(folder, capsys, "--from", folder / "scan.nii.gz", "--point", point, *words)
    assert len(rows) == 3
    np.testing.assert_allclose(places(rows), places(rows)[[0] * 3], atol=0.01)


def test_a_point_in_voxels_is_the_point_in_mm(folder, capsys):
    volume = read_volume(folder / "scan.nii.gz")
    point = ",".join(f"{value:.4f}" for value in volume.world_from_voxel(POINT_VOX))
    scan = folder / "scan.nii.gz"
    in_mm = answers(folder, capsys, "--from", scan, "--to", folder / "series", "--point", point)
    in_voxels = answers(
        folder,
        capsys,
        *("--from", scan, "--to", folder / "series"),
        *("--point", ",".join(map(str, POINT_VOX)), "--coordinates", "voxel"),
    )
    np.testing.assert_allclose(places(in_voxels), places(in_mm), atol=1e-3)


def test_points_of_a_structure_set_are_asked_for_in_its_own_scan(folder, capsys):
    place_mm = read_volume(folder / "scan.nii.gz").world_from_voxel(POINT_VOX)
    regions, kinds = {"ISO": [place_mm * [-1, -1, 1]]}, {"ISO": "POINT"}
    written = write_structures(folder / "iso.dcm", regions, kinds=kinds)
    words = ["--from", folder / "series", "--to", folder / "scan.nii.gz", "--points", written]
    told = ",".join(f"{value:.4f}" for value in place_mm)
    by_file = answers(folder, capsys, *words)
    by_hand = answers(folder, capsys, *words[:4], "--point", told)
    np.testing.assert_allclose(places(by_file), places(by_hand), atol=1e-3)
    assert by_file[0]["name"] == "ISO"
    other = write_structures(folder / "other_iso.dcm", regions, kinds=kinds, frame="1.2.3.4")
    refused = refusal_of(capsys, ["match", "--checkpoint", folder / "tiny.safetensors", *words[:5], other])
    assert f"lie in the frame of reference 1.2.3.4, {folder / 'series'} in {FRAME}" in refused


@pytest.mark.slow
def test_a_folder_of_two_series_is_refused_until_one_is_told(folder, capsys):
    words = [
        "embed",
        folder / "both",
        "--checkpoint",
        folder / "tiny.safetensors",
        "--output",
        folder / "out",
    ]
    assert "holds 2 DICOM series, expected one" in refusal_of(capsys, words)
    for number in ("1", "2"):
        printed = json.loads(output_of(capsys, [*words, "--series", number, "--json"]))
        assert any("images of series" in remark for remark in json.dumps(printed).split('"'))
    stores = sorted(path.name for path in (folder / "out").glob("*.safetensors"))
    assert len(stores) == 2, "a store of another series of the folder is not written over"


def carried(folder, capsys, labels, *, source="series"):
    """Return the mask that `propagate` carries to the same scan, and the decisions."""
    words = ["propagate", "--checkpoint", folder / "tiny.safetensors", "--labels", labels]
    words += ["--from", folder / source, "--to", folder / "scan.nii.gz", "--output", folder / "mask.nii.gz"]
    words += ["--refinement", "none"]
    printed = json.loads(output_of(capsys, [*words, "--json"]))
    return read_volume(folder / "mask.nii.gz", require_contrast=False).array, printed


@pytest.mark.slow
def test_labels_of_dicom_objects_are_carried_as_those_of_a_map(folder, capsys):
    volume = read_volume(folder / "scan.nii.gz")
    ball = np.linalg.norm((np.indices(volume.shape).T - POINT_VOX).T, axis=0) < 4.5
    write_volume(type(volume)(ball.astype(np.uint8), AFFINE), folder / "ball.nii.gz")
    write_seg(folder / "seg.dcm", ball[np.newaxis], AFFINE)
    by_map, _ = carried(folder, capsys, folder / "ball.nii.gz")
    by_seg, printed = carried(folder, capsys, folder / "seg.dcm")
    np.testing.assert_array_equal(by_seg, by_map)
    assert [(row["label"], row["name"]) for row in printed["labels"]] == [(1, "part 1")]
    assert any("its labels are 1 part 1" in remark for remark in printed["remarks"])


@pytest.mark.slow
def test_a_folder_of_masks_is_carried_as_the_map_of_its_numbers(folder, capsys):
    volume = read_volume(folder / "scan.nii.gz")
    distance = np.linalg.norm((np.indices(volume.shape).T - POINT_VOX).T, axis=0)
    for name, inside in (("kidney", distance < 4.5), ("whole", distance < 6.5), ("absent", distance < 0)):
        write_volume(type(volume)(inside.astype(np.uint8), AFFINE), folder / "masks" / f"{name}.nii.gz")
    both = np.where(distance < 4.5, 2, np.where(distance < 6.5, 3, 0)).astype(np.uint8)
    write_volume(type(volume)(both, AFFINE), folder / "both.nii.gz")
    by_map, _ = carried(folder, capsys, folder / "both.nii.gz")
    by_folder, printed = carried(folder, capsys, folder / "masks")
    np.testing.assert_array_equal(by_folder, by_map)
    assert [(row["label"], row["name"]) for row in printed["labels"]] == [(2, "kidney"), (3, "whole")]
    words = ["propagate", "--checkpoint", folder / "tiny.safetensors", "--labels", folder / "masks"]
    words += ["--from", folder / "series", "--to", folder / "scan.nii.gz", "--output", folder / "mask.nii.gz"]
    assert output_of(capsys, words).startswith("label 2 kidney: ")
    assert any("its labels are 1 absent, 2 kidney, 3 whole" in remark for remark in printed["remarks"])


def test_a_folder_of_empty_masks_is_refused(folder, capsys):
    volume = read_volume(folder / "scan.nii.gz")
    empty = type(volume)(np.zeros(volume.shape, np.uint8), AFFINE)
    write_volume(empty, folder / "empty" / "liver.nii.gz")
    words = ["propagate", "--checkpoint", folder / "tiny.safetensors", "--labels", folder / "empty"]
    words += [
        "--from",
        folder / "scan.nii.gz",
        "--to",
        folder / "scan.nii.gz",
        "--output",
        folder / "m.nii.gz",
    ]
    assert "empty" in refusal_of(capsys, words)


def test_outlines_of_another_scan_are_refused(folder, capsys):
    square = np.array([[-40.0, -40, -1], [-10, -40, -1], [-10, -10, -1], [-40, -10, -1]])
    path = write_structures(folder / "rs.dcm", {"square": [square]}, frame="1.2.3.4")
    words = ["propagate", "--checkpoint", folder / "tiny.safetensors", "--labels", path]
    words += ["--from", folder / "series", "--to", folder / "scan.nii.gz", "--output", folder / "m.nii.gz"]
    assert f"lies in the frame of reference 1.2.3.4, the scan in {FRAME}" in refusal_of(capsys, words)


def test_the_page_gets_a_nifti_file_of_every_format(folder):
    from anatomical_embedding.viewer.open_session import open_session  # noqa: PLC0415 - needs the model alone

    model = api.load_model(folder / "tiny.safetensors")
    session = open_session(model, [api.read_scan(model, folder / "scan.nrrd")], pins_path=None)
    (shown,) = session.scans
    assert shown.content()[344:347] == b"n+1"


def test_a_store_of_a_series_still_knows_its_world(folder, capsys, tmp_path):
    words = ["embed", folder / "series", "--checkpoint", folder / "tiny.safetensors", "--output", tmp_path]
    output_of(capsys, words)
    model = api.load_model(folder / "tiny.safetensors")
    assert api.open_embedding(model, tmp_path / "series.safetensors").frame_of_reference == FRAME


def test_one_slice_is_refused_and_its_folder_asked_for(folder, capsys, tmp_path):
    path = save(as_stack(read_volume(folder / "scan.nii.gz")).dataset(3), tmp_path / "one.dcm")
    words = ["embed", path, "--checkpoint", folder / "tiny.safetensors", "--output", tmp_path / "out"]
    assert "is one slice of a series; name the folder" in refusal_of(capsys, words)
