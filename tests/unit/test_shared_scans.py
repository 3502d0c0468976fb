"""One scan under two names is found by what it shows, within a data set and between data sets."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from anatomical_embedding.datasets.shared_scans import learned_and_held_out, require_separate_splits
from anatomical_embedding.errors import UserError
from anatomical_embedding.index_file import IndexRow
from workflow_scripts import index_dataset

ROW = IndexRow("a", "a", "ct", "train", Path("a.nii"), Path("m.nii"), None, "0" * 64, 9, 9, 9, 1.0, 1.0, 1.0)


def rows(*named):
    """Return rows of (id, split, number of the scan)."""
    return [
        replace(ROW, volume_id=name, patient_id=name, split=split, sha256=f"{scan:064x}")
        for name, split, scan in named
    ]


def test_different_scans_pass():
    assert require_separate_splits(rows(("a", "train", 1), ("b", "test", 2), ("c", "validation", 3))) == []


@pytest.mark.parametrize(
    ("first", "second"), [("train", "test"), ("train", "validation"), ("validation", "test")]
)
def test_one_scan_in_two_splits_is_refused(first, second):
    with pytest.raises(UserError, match=rf"the volumes 'a' \({first}\) and 'c' \({second}\) are one scan"):
        require_separate_splits(rows(("a", first, 1), ("b", "train", 2), ("c", second, 1)))


def test_one_scan_twice_in_a_split_is_said():
    assert require_separate_splits(rows(("a", "test", 1), ("b", "test", 1))) == [
        "the volumes 'a' and 'b' (test) are one scan and count twice"
    ]


def test_what_one_data_set_learns_and_another_holds_out_is_said():
    first = rows(("a", "train", 1), ("b", "test", 2))
    second = rows(("x", "test", 1), ("y", "train", 3), ("z", "validation", 4))
    (sentence,) = learned_and_held_out({"first": first, "second": second})
    assert sentence.startswith("x of second (test) is the same scan as a of first, which is trained on")
    assert learned_and_held_out({"first": first, "third": rows(("q", "train", 1))}) == []


# The stage


def described(folder, name, sha256):
    """Write the description of a prepared volume."""
    content = {
        "modality": "ct",
        "files": {
            "image": f"{name}.nii",
            "body_mask": f"{name}.mask.nii",
            "labels": None,
            "image_sha256": sha256,
        },
        "prepared": {"shape": [9, 9, 9], "spacing_mm": [1.0, 1.0, 1.0]},
    }
    (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def index_of(tmp_path, sha256_of_scans, *, num_test=1):
    """Run the stage on a folder of scans; X.NII.GZ is one of them."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "volumes" / "d").mkdir(parents=True)
    for name, sha256 in sha256_of_scans.items():
        (tmp_path / "raw" / name).touch()
        described(tmp_path / "volumes" / "d", name.split(".")[0], sha256)
    (tmp_path / "raw" / "notes.txt").touch()
    (tmp_path / "raw" / "series").mkdir()
    split = {"num_test": num_test, "num_validation": 0, "seed": 1}
    settings = {
        "dataset": {"kind": "folder", "modality": "ct", "root": str(tmp_path / "raw"), "split": split}
    }
    output = tmp_path / "volumes" / "d.csv"
    index_dataset.main(
        [
            *("--settings", json.dumps(settings), "--descriptions-folder", str(tmp_path / "volumes" / "d")),
            *("--made-folder", str(tmp_path), "--output-index", str(output)),
        ]
    )
    return output.read_text(encoding="utf-8")


def test_the_index_takes_capital_endings_and_names_what_it_leaves_out(tmp_path, capsys):
    text = index_of(tmp_path, {"X.NII.GZ": "1" * 64, "y.nii": "2" * 64, "z.nii.gz": "3" * 64})
    assert [line.split(",")[0] for line in text.splitlines()[1:]] == ["X", "y", "z"]
    said = capsys.readouterr().err
    assert f"note: {tmp_path / 'raw'}: left out 'notes.txt', 'series', only .nii.gz, .nii, .nrrd" in said


def test_the_index_refuses_a_scan_that_is_learned_and_tested(tmp_path):
    with pytest.raises(UserError, match="are one scan"):
        index_of(tmp_path, dict.fromkeys(["X.NII.GZ", "y.nii", "z.nii.gz"], "1" * 64))
    assert not (tmp_path / "volumes" / "d.csv").exists()


def test_the_index_says_that_a_scan_counts_twice(tmp_path, capsys):
    index_of(tmp_path, dict.fromkeys(["a.nii", "b.nii"], "1" * 64), num_test=0)
    assert "note: the volumes 'a' and 'b' (train) are one scan and count twice" in capsys.readouterr().err
