"""The command lines that prepare volumes, index them and locate their landmarks, one after another."""

import json

import numpy as np
import pytest

from anatomical_embedding.canonical_text import canonical_json
from anatomical_embedding.errors import InputFileError, SettingsError
from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.index_file import read_index
from anatomical_embedding.landmark_file import read_landmarks
from anatomical_embedding.volumes.nifti import map_volume
from tests.unit.samples import body_array, prepare_settings, save_nifti
from workflow_scripts import index_dataset, locate_landmarks, resample_volume

CASES = ("s1", "s2", "s3")


@pytest.fixture
def raw_folder(tmp_path):
    root = tmp_path / "raw"
    for case in CASES:
        (root / case / "segmentations").mkdir(parents=True)
        array = body_array()
        array[array > 500] += int(case[1:])  # no two cases are one scan
        save_nifti(root / case / "ct.nii.gz", array)
        save_nifti(root / case / "segmentations/block.nii.gz", (body_array() > 500).astype(np.uint8))
    return root


def _dataset(root):
    split = {"num_test": 1, "num_validation": 1, "seed": 3}
    content = {
        "kind": "case_folders",
        "modality": "ct",
        "root": str(root),
        "split": split,
        "organs": ["block"],
    }
    return canonical_json({"dataset": content | {"landmarks": {"block": ["centroid", "top"]}}})


def _prepare_arguments(root, case, out, settings):
    return [
        *("--settings", settings, "--image", str(root / case / "ct.nii.gz")),
        *("--label", f"block={root / case / 'segmentations/block.nii.gz'}"),
        *("--output-image", str(out / f"{case}.nii"), "--output-body-mask", str(out / f"{case}.mask.nii")),
        *(
            "--output-labels",
            str(out / f"{case}.labels.nii"),
            "--output-description",
            str(out / f"{case}.json"),
        ),
    ]


def test_raw_cases_become_an_index_and_landmarks(raw_folder, tmp_path):
    out = tmp_path / "prepared/volumes"
    settings = prepare_settings(organs=["block"]).model_dump_json()
    for case in CASES:
        resample_volume.main(_prepare_arguments(raw_folder, case, out, settings))
    description = json.loads((out / "s1.json").read_text(encoding="utf-8"))
    assert description["files"] == {
        "image": "s1.nii",
        "image_sha256": sha256_of_file(out / "s1.nii"),
        "body_mask": "s1.mask.nii",
        "labels": "s1.labels.nii",
    }

    index_path = tmp_path / "prepared/index.csv"
    index_dataset.main(
        [
            "--settings",
            _dataset(raw_folder),
            "--made-folder",
            "unused",
            "--descriptions-folder",
            str(out),
            "--output-index",
            str(index_path),
        ]
    )
    rows = read_index(index_path)
    assert [row.volume_id for row in rows] == list(CASES)
    assert sorted(row.split for row in rows) == ["test", "train", "validation"]
    for row in rows:
        image, labels = map_volume(row.image_path), map_volume(row.labels_path)
        assert image.shape == labels.shape == map_volume(row.body_mask_path).shape == row.shape
        assert row.sha256 == sha256_of_file(row.image_path)
        assert np.array_equal(labels.array == 1, image.array > 500)

    outputs = [
        "--made-folder",
        "unused",
        "--output-landmarks",
        str(tmp_path / "points.csv"),
        "--output-status",
        str(tmp_path / "status.csv"),
    ]
    locate_landmarks.main(["--settings", _dataset(raw_folder), *outputs])
    points = read_landmarks(tmp_path / "points.csv")
    assert [(point.volume_id, point.landmark) for point in points][:2] == [
        ("s1", "block_centroid"),
        ("s1", "block_top"),
    ]
    assert (points[0].x_mm, points[0].y_mm, points[0].z_mm) == (
        -21.0,
        -19.0,
        9.0,
    )  # voxels 10.5, 9.5, 4.5 of 2 mm
    assert (tmp_path / "status.csv").read_text(encoding="utf-8").count("found") == 6


def test_labels_must_fit_the_settings(raw_folder, tmp_path):
    arguments = _prepare_arguments(raw_folder, "s1", tmp_path, prepare_settings().model_dump_json())
    with pytest.raises(SettingsError, match="--output-labels: expected just where the settings name organs"):
        resample_volume.main(arguments)
    arguments = _prepare_arguments(
        raw_folder, "s1", tmp_path, prepare_settings(organs=["liver"]).model_dump_json()
    )
    with pytest.raises(SettingsError, match="--label block: expected one of the organs liver"):
        resample_volume.main(arguments)


def test_a_bad_volume_leaves_no_output(raw_folder, tmp_path):
    (raw_folder / "s2/ct.nii.gz").write_bytes((raw_folder / "s2/ct.nii.gz").read_bytes()[:300])
    out = tmp_path / "prepared"
    settings = prepare_settings(organs=["block"]).model_dump_json()
    with pytest.raises(InputFileError, match=r"s2/ct\.nii\.gz: cannot be read as NIfTI"):
        resample_volume.main(_prepare_arguments(raw_folder, "s2", out, settings))
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"s1\.json: cannot be read as a description"),
        ("{", r"s1\.json: cannot be read as a description"),
        ("{}", r"s1\.json: is not a description of a prepared volume"),
        ('{"modality": "mr"}', r"s1\.json: describes mr, expected ct"),
    ],
)
def test_a_bad_description_is_named(raw_folder, tmp_path, content, message):
    if content is not None:
        (tmp_path / "s1.json").write_text(content, encoding="utf-8")
    arguments = [
        "--made-folder",
        "unused",
        "--descriptions-folder",
        str(tmp_path),
        "--output-index",
        str(tmp_path / "index.csv"),
    ]
    with pytest.raises(InputFileError, match=message):
        index_dataset.main(["--settings", _dataset(raw_folder), *arguments])
    assert not (tmp_path / "index.csv").exists()
