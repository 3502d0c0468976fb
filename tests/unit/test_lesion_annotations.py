"""Lesion annotations: both shapes are read, lengths are pixels, and malformed pairs are refused by name."""

import json

import numpy as np
import pytest

from anatomical_embedding.datasets.lesion_annotations import read_annotations
from anatomical_embedding.errors import InputFileError
from tests.lesion_examples import annotation_row, annotation_rows, public_file, write


def test_fields_and_units(tmp_path):
    pairs = read_annotations(write(tmp_path / "a.json", {"0007": annotation_row()}))
    assert pairs.pair_ids == ("0007",)
    assert pairs.patient_ids.tolist() == ["000007"]
    assert pairs.radius_mm.tolist() == [5.0]  # 20 px of 0.5 mm are 10 mm across
    assert pairs.slice_thickness_mm.tolist() == [2.0]
    assert pairs.box_low_vox.tolist() == [[100.0, 85.0, 10.0]]
    assert pairs.box_high_vox.tolist() == [[120.0, 105.0, 14.0]]


def test_both_shapes_name_pairs_alike(tmp_path):
    rows = annotation_rows()
    named = read_annotations(write(tmp_path / "named.json", rows))
    listed = read_annotations(
        write(tmp_path / "listed.json", {"results": list(rows.values()), "iso_radius": -1})
    )
    assert named.pair_ids == listed.pair_ids == ("0001", "0002", "0003", "0004", "0005", "0006")
    np.testing.assert_array_equal(named.source_center_vox, listed.source_center_vox)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target box": ...}, "pair '0001': 'target box' is missing"),
        ({"target box": [1, 2, 3]}, "'target box' is .*expected 6 numbers"),
        ({"target box": [1, 2, 3, 4, 0, 6]}, "lengths above zero"),
        ({"target center": [1, 2, None]}, "expected finite numbers"),
        ({"target center": [1, 2, float("inf")]}, "expected finite numbers"),
        ({"target center": [1, 2, "3"]}, "expected 3 numbers"),
        ({"target center": [1, 2, True]}, "expected 3 numbers"),
        ({"target spacing": [0.5, 0.5, -1]}, "lengths above zero"),
        ({"target recist diameter": [0, 0]}, "lengths above zero"),
        ({"source": 7}, "'source' is 7, expected a file name"),
        ({"source": "000008_01_01_000-019.nii.gz"}, "belong to two patients"),
    ],
)
def test_malformed_pairs_are_refused_by_name(tmp_path, changes, message):
    path = write(tmp_path / "a.json", {"0001": annotation_row(**changes)})
    with pytest.raises(InputFileError, match=message) as caught:
        read_annotations(path)
    assert str(caught.value).startswith(f"{path}: pair '0001'")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a JSON file"),
        ("[1]", "holds a JSON list"),
        ("{}", "holds no lesion pair"),
        ('{"0001": 3}', "pair '0001' is 3"),
        (
            '{"0001": %s, "0001": %s}' % ((json.dumps(annotation_row()),) * 2),
            "key '0001' occurs twice",
        ),
    ],
)
def test_malformed_files_are_refused(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputFileError, match=message):
        read_annotations(path)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "num_pairs", "num_volumes", "num_of_thickness"),
    [("test.json", 960, 558, {1.0: 276, 2.0: 16, 5.0: 668}), ("valid.json", 906, 534, None)],
)
def test_public_files(name, num_pairs, num_volumes, num_of_thickness):
    pairs = read_annotations(public_file(name))
    assert len(pairs) == num_pairs
    assert len({*pairs.source_files, *pairs.target_files}) == num_volumes
    assert len(np.unique(pairs.patient_ids)) == 105
    if num_of_thickness:
        values, counts = np.unique(pairs.slice_thickness_mm, return_counts=True)
        assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == num_of_thickness
        assert round(float(pairs.radius_mm.mean()), 1) == 14.2
