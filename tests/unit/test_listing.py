"""Raw folders become raw volumes, or an error that says what to rename."""

import time
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from anatomical_embedding.datasets.listing import left_out, list_raw_volumes
from anatomical_embedding.datasets.pairs import find_pairs
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.dataset import DatasetSettings
from anatomical_embedding.settings.registration import PatientPairsSettings, SplitPairsSettings
from tests.dicom_slices import Stack
from tests.unit.samples import real_data

SPLIT = {"num_test": 0, "num_validation": 0, "seed": 0}


def volumes_of(settings):
    return list_raw_volumes(settings, made_folder=Path("unused"))


def _settings(kind, root, **others):
    modality = {} if kind == "ct_mr_pairs" else {"modality": "ct"}
    content = {"kind": kind, "root": str(root), "split": SPLIT} | modality | others
    return TypeAdapter(DatasetSettings).validate_python(content)


def _touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_flat_folder_gives_its_files_sorted_by_id(tmp_path):
    _touch(tmp_path, "MED_LYMPH_002.nii.gz", "ABD_LYMPH_010.nii", "notes.csv", "._ABD_LYMPH_010.nii")
    first, second = volumes_of(_settings("folder", tmp_path))
    assert (first.volume_id, first.patient_id, first.modality) == ("ABD_LYMPH_010", "ABD_LYMPH_010", "ct")
    assert second.image_path == tmp_path / "MED_LYMPH_002.nii.gz"
    assert first.label_paths == {}


def test_deeplesion_volumes_share_patients_by_the_pattern(tmp_path):
    _touch(
        tmp_path, "000001_01_01_103-115.nii.gz", "000001_02_01_008-023.nii.gz", "000002_01_01_001-010.nii.gz"
    )
    volumes = volumes_of(_settings("folder", tmp_path, patient_pattern="^([0-9]+)_"))
    assert [raw.patient_id for raw in volumes] == ["000001", "000001", "000002"]
    with pytest.raises(
        InputFileError, match=r"no patient in the volume id '000001_01_01_103-115' by patient_pattern"
    ):
        volumes_of(_settings("folder", tmp_path, patient_pattern="^P([0-9]+)_"))


def test_cases_give_the_masks_that_they_have(tmp_path):
    _touch(
        tmp_path, "s1/ct.nii.gz", "s1/segmentations/liver.nii.gz", "s1/segmentations/aorta.nii.gz", "meta.csv"
    )
    _touch(tmp_path, "s0/ct.nii.gz")
    without, with_masks = volumes_of(_settings("case_folders", tmp_path, organs=["aorta"]))
    assert (without.volume_id, without.label_paths) == ("s0", {})
    assert with_masks.label_paths == {"aorta": tmp_path / "s1/segmentations/aorta.nii.gz"}
    assert with_masks.image_path == tmp_path / "s1/ct.nii.gz"


def test_a_folder_of_mrs_gives_mrs(tmp_path):
    _touch(tmp_path, "flat/a.nii.gz", "cases/s1/mri.nii.gz", "cases/s1/segmentations/liver.nii.gz")
    (flat,) = volumes_of(_settings("folder", tmp_path / "flat", modality="mr"))
    (case,) = volumes_of(_settings("case_folders", tmp_path / "cases", modality="mr", organs=["liver"]))
    assert (flat.modality, case.modality) == ("mr", "mr")
    assert case.image_path == tmp_path / "cases/s1/mri.nii.gz"
    with pytest.raises(InputFileError, match=r"s1: has no ct\.nii\.gz"):
        volumes_of(_settings("case_folders", tmp_path / "cases"))


def test_folders_of_dicom_are_volumes(tmp_path):
    """A folder counts by its first bytes of DICOM, also behind a note; others are left out and named."""
    Stack().write(tmp_path / "p1.2")
    Stack(name="IM{}".format).write(tmp_path / "p2")
    _touch(tmp_path, "p2/A note", "empty/notes.txt", "study/p3/IM1", "p4.nrrd", "p5.dcm", ".hidden/IM1")
    settings = _settings("folder", tmp_path, series={"p2": 3})
    volumes = volumes_of(settings)
    assert [(raw.volume_id, raw.series) for raw in volumes] == [
        *(("p1.2", None), ("p2", "3"), ("p4", None), ("p5", None)),
    ]
    assert [path.name for path in volumes[1].image_files] == ["A note", *(f"IM{k}" for k in range(6))]
    (said,) = left_out(settings)
    assert "left out 'empty', 'study', only .nii.gz" in said


def test_a_series_of_what_is_no_folder_of_dicom_is_an_error(tmp_path):
    _touch(tmp_path, "p1.nii.gz")
    Stack().write(tmp_path / "p2")
    with pytest.raises(InputFileError, match=r"holds no folder of DICOM for 'p1', 'p3', of which `series`"):
        volumes_of(_settings("folder", tmp_path, series={"p1": 3, "p2": 3, "p3": 3}))
    assert [raw.series for raw in volumes_of(_settings("folder", tmp_path, series=3))] == [None, "3"]


def test_the_scan_of_a_case_may_have_any_format(tmp_path):
    _touch(tmp_path, "s1/ct.nrrd", "s1/ct_report.dcm", "s2/CT.mha", "s2/segmentations/liver.nrrd")
    Stack().write(tmp_path / "s3" / "ct")
    volumes = volumes_of(_settings("case_folders", tmp_path, organs=["liver"], series={"s3": "1"}))
    assert [(raw.image_path.name, raw.series) for raw in volumes] == [
        *(("ct.nrrd", None), ("CT.mha", None), ("ct", "1")),
    ]
    _touch(tmp_path, "s1/ct.nii.gz")
    with pytest.raises(
        InputFileError, match=r"s1: holds several scans, 'ct\.nii\.gz', 'ct\.nrrd'; remove all but"
    ):
        volumes_of(_settings("case_folders", tmp_path))


def test_an_organ_in_no_case_is_an_error(tmp_path):
    _touch(tmp_path, "s1/ct.nii.gz", "s1/segmentations/liver.nii.gz")
    with pytest.raises(InputFileError, match="no case has a mask of 'lever'; check the spelling"):
        volumes_of(_settings("case_folders", tmp_path, organs=["liver", "lever"]))


def test_a_case_without_an_image_is_an_error(tmp_path):
    _touch(tmp_path, "s1/ct.nii.gz", "s2/mr.nii.gz")
    with pytest.raises(InputFileError, match=r"s2: has no ct\.nii\.gz"):
        volumes_of(_settings("case_folders", tmp_path))


@pytest.mark.parametrize("kind", ["folder", "case_folders"])
def test_a_missing_or_empty_root_is_an_error(tmp_path, kind):
    with pytest.raises(
        InputFileError, match=r"absent: cannot be read as a folder .*; set the data set's root"
    ):
        volumes_of(_settings(kind, tmp_path / "absent"))
    with pytest.raises(InputFileError, match=r"holds no volume, expected .*; set the data set's root"):
        volumes_of(_settings(kind, tmp_path))


def test_a_root_whose_scans_lie_in_folders_of_folders_names_one(tmp_path):
    _touch(tmp_path, "sub-02/ses-1/anat/sub-02_T1w.nii.gz", "sub-01/ses-1/anat/sub-01_T1w.nii.gz", "README")
    told = r"holds no volume.*such as sub-01/ses-1/anat/sub-01_T1w.nii.gz: put links"
    with pytest.raises(InputFileError, match=told):
        volumes_of(_settings("folder", tmp_path))


@pytest.mark.parametrize("name", ["a b", "-rf", "$(id)", "a;b", "é", "a'b", "a\n", ""])
def test_ids_that_are_no_identifiers_are_an_error(tmp_path, name):
    _touch(tmp_path, "good.nii.gz", f"{name}.nii.gz")
    with pytest.raises(InputFileError, match="volume ids must be letters, digits") as caught:
        volumes_of(_settings("folder", tmp_path))
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("names", [("A.nii.gz", "a.nii.gz"), ("a.nii", "a.nii.gz"), ("a.nii", "A.nii.gz")])
def test_ids_that_clash_are_an_error(tmp_path, names):
    _touch(tmp_path, *names)
    with pytest.raises(InputFileError, match=r"holds the volume 'a|holds the volume 'A"):
        volumes_of(_settings("folder", tmp_path))


@pytest.mark.slow
def test_ten_thousand_files_are_listed_in_seconds(tmp_path):
    for number in range(10_000):
        (tmp_path / f"{number:06d}_01_01_001-010.nii.gz").touch()
    started = time.process_time()
    volumes = volumes_of(_settings("folder", tmp_path, patient_pattern="^([0-9]+)_"))
    assert len(volumes) == 10_000
    assert time.process_time() - started < 3


@pytest.mark.real_data
def test_the_head_and_neck_set_has_34_cases_with_all_organs():
    organs = ["brainstem", "parotid_left", "parotid_right", "larynx", "mandible", "esophagus", "spinal_cord"]
    volumes = volumes_of(_settings("case_folders", real_data("headneck_ct"), organs=organs))
    assert len(volumes) == 34
    assert all(list(raw.label_paths) == organs for raw in volumes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "nifti"}, "does not match any of the expected tags"),
        (
            {"kind": "nih_lymph_node"},
            "the kind 'nih_lymph_node' has a new name; write kind: folder and modality: ct",
        ),
        (
            {"kind": "deeplesion"},
            r"write kind: folder, modality: ct and patient_pattern: '\^\(\[0-9\]\+\)_'",
        ),
        (
            {"kind": "totalsegmentator"},
            "'totalsegmentator' has a new name; write kind: case_folders and modality: ct",
        ),
        ({"modality": "pet"}, "Input should be 'ct' or 'mr'"),
        ({"organs": ["liver", "Liver"]}, "organs must differ, got 'liver' and 'Liver'"),
        ({"organs": ["liver", "liver"]}, "organs must differ"),
        ({"organs": ["../liver"]}, "should match pattern"),
        (
            {"organs": ["liver"], "landmarks": {"aorta": ["top"]}},
            "landmarks of 'aorta', which is not one of the organs",
        ),
        ({"organs": ["liver"], "landmarks": {"liver": ["top", "top"]}}, "landmarks of 'liver' must differ"),
        ({"organs": ["liver"], "landmarks": {"liver": ["middle"]}}, "Input should be 'centroid', 'top'"),
        ({"kind": "folder", "organs": ["liver"]}, "Extra inputs are not permitted"),
        ({"kind": "folder", "patient_pattern": "("}, "is not a regular expression"),
        ({"kind": "folder", "patient_pattern": "[0-9]+"}, r"must have one group \(...\), has 0"),
        ({"split": {"num_test": -1, "num_validation": 0, "seed": 0}}, "greater than or equal to 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    content = {"kind": "case_folders", "root": ".", "modality": "ct", "split": SPLIT} | changes
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(DatasetSettings).validate_python(content)


def test_pairs_know_modality_and_patient_by_their_names(tmp_path):
    _touch(tmp_path, "p1_0000.nii.gz", "p1_0001.nii.gz", "p1_0002.nii.gz", "p_2_0000.nii", "p_2_0001.nii")
    volumes = volumes_of(_settings("ct_mr_pairs", tmp_path))
    assert [(raw.volume_id, raw.patient_id, raw.modality) for raw in volumes] == [
        ("p1_0000", "p1", "ct"),
        ("p1_0001", "p1", "mr"),
        ("p1_0002", "p1", "mr"),
        ("p_2_0000", "p_2", "ct"),
        ("p_2_0001", "p_2", "mr"),
    ]


@pytest.mark.parametrize("names", [["p1_0000.nii.gz"], ["p1_0001.nii.gz", "p1_0002.nii.gz"]])
def test_a_patient_without_ct_or_mr_is_named(tmp_path, names):
    _touch(tmp_path, "p0_0000.nii.gz", "p0_0001.nii.gz", *names)
    with pytest.raises(InputFileError, match=r"patients '?p1'? have no CT or no MR; expected <patient>_0000"):
        volumes_of(_settings("ct_mr_pairs", tmp_path))


def test_pairs_are_those_of_one_patient_in_the_wanted_splits(tmp_path):
    _touch(tmp_path, *[f"p{number}_000{kind}.nii.gz" for number in range(3) for kind in range(3)])
    volumes = volumes_of(_settings("ct_mr_pairs", tmp_path))
    settings = PatientPairsSettings(fixed_modality="ct", moving_modality="mr", splits=("train", "test"))
    splits = {"p0": "train", "p1": "validation", "p2": "test"}
    assert find_pairs(reversed(volumes), splits=splits, settings=settings) == [
        ("p0_0000", "p0_0001"),
        ("p0_0000", "p0_0002"),
        ("p2_0000", "p2_0001"),
        ("p2_0000", "p2_0002"),
    ]


def test_pairs_of_a_split_run_both_ways(tmp_path):
    _touch(tmp_path, "a.nii.gz", "b.nii.gz", "c.nii.gz", "d.nii.gz")
    volumes = volumes_of(_settings("folder", tmp_path))
    splits = {"a": "test", "b": "train", "c": "test", "d": "validation"}
    pairs = find_pairs(volumes, splits=splits, settings=SplitPairsSettings(splits=("test", "validation")))
    assert pairs == [("a", "c"), ("a", "d"), ("c", "a"), ("c", "d"), ("d", "a"), ("d", "c")]


def test_endings_in_capitals_are_endings(tmp_path):
    _touch(tmp_path, "a/X.NII.GZ", "a/Y.Nii", "b/s1/ct.nii.gz", "b/s1/segmentations/liver.NII.GZ")
    _touch(tmp_path, "b/s1/segmentations/aorta.nii")
    volumes = volumes_of(_settings("folder", tmp_path / "a"))
    assert {raw.volume_id: raw.image_path.name for raw in volumes} == {"X": "X.NII.GZ", "Y": "Y.Nii"}
    (case,) = volumes_of(_settings("case_folders", tmp_path / "b", organs=["aorta", "liver"]))
    assert {organ: path.name for organ, path in case.label_paths.items()} == {
        "aorta": "aorta.nii",
        "liver": "liver.NII.GZ",
    }
    _touch(tmp_path, "b/s1/segmentations/liver.nii")
    with pytest.raises(
        InputFileError, match=r"holds the mask of 'liver' twice, 'liver\.NII\.GZ' and 'liver\.nii'"
    ):
        volumes_of(_settings("case_folders", tmp_path / "b", organs=["aorta", "liver"]))


def test_volumes_of_every_format_are_listed_and_the_files_of_their_voxels_belong_to_them(tmp_path):
    _touch(
        tmp_path, "a.nrrd", "b.mha", "1.3.6.mhd", "1.3.6.raw", "d.nhdr", "d.raw.gz", "notes.txt", "e.nii.gz"
    )
    settings = _settings("folder", tmp_path)
    volumes = {raw.volume_id: raw for raw in volumes_of(settings)}
    assert sorted(volumes) == ["1.3.6", "a", "b", "d", "e"]
    files = {name: [path.name for path in raw.image_files] for name, raw in volumes.items()}
    assert files["1.3.6"] == ["1.3.6.mhd", "1.3.6.raw"]
    assert files["d"] == ["d.nhdr", "d.raw.gz"]
    assert files["a"] == ["a.nrrd"]
    (said,) = left_out(settings)
    assert "left out 'notes.txt', only .nii.gz" in said


def test_of_a_scan_and_its_copy_by_dcm2niix_the_copy_is_taken_and_said(tmp_path):
    """Otherwise one patient would be two, and one of them stands on wrong slices."""
    _touch(
        tmp_path, "a.nii", "a_Eq_1.nii", "b.nii.gz", "b_Tilt_1.nii.gz", "c.nii.gz", "d_Eq_1.nii.gz", "e.nii"
    )
    _touch(tmp_path, "e_Tilt_Eq_1.nii", "f.nii", "f_Eq_1.nii.gz")
    settings = _settings("folder", tmp_path)
    taken = [raw.volume_id for raw in volumes_of(settings)]
    assert taken == ["a_Eq_1", "b_Tilt_1", "c", "d_Eq_1", "e_Tilt_Eq_1", "f", "f_Eq_1"]
    (said,) = left_out(settings)
    assert "left out 'a.nii', 'b.nii.gz', 'e.nii', whose slices are" in said
    assert said.endswith("'a_Eq_1.nii', 'b_Tilt_1.nii.gz', 'e_Tilt_Eq_1.nii'")


def test_one_scan_in_two_formats_clashes(tmp_path):
    _touch(tmp_path, "a.nrrd", "a.nii.gz")
    with pytest.raises(InputFileError, match="holds the volume 'a' twice"):
        volumes_of(_settings("folder", tmp_path))
