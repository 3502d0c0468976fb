"""A run file from a folder of scans: its kind and modality are told, and what cannot be told is an error."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from anatomical_embedding.cli.new import new
from anatomical_embedding.datasets.listing import list_raw_volumes
from anatomical_embedding.datasets.new_run import run_file_text
from anatomical_embedding.datasets.scan_folder import look_at_folder
from anatomical_embedding.errors import InputFileError, OutputFileError, SettingsError
from anatomical_embedding.settings.pipeline import read_pipeline_settings
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan
from anatomical_embedding.volumes.volume import Volume
from tests.scan_inputs.metaimage import metaimage
from tests.scan_inputs.nrrd import nrrd
from tests.unit.samples import LPS_AFFINE


def body(*, air, fat, muscle, noise):
    """Return voxels of air round fat round muscle, with noise."""
    depth = np.minimum.reduce(np.indices((16, 16, 12)) % np.array([16, 16, 12])[:, None, None, None])
    values = np.choose(np.clip(depth // 2, 0, 2), [air, fat, muscle])
    return (values + np.random.default_rng(0).normal(0, noise, values.shape)).astype(np.int16)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(array, LPS_AFFINE), path)


def write_ct(path):
    write(path, body(air=-1000, fat=-100, muscle=50, noise=15))


def write_mr(path):
    write(path, np.abs(body(air=5, fat=400, muscle=200, noise=10)))


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def written(folder, *arguments):
    """Run the verb and return the settings and the text of the run file."""
    output = folder.parent / "new.yaml"
    done = CliRunner().invoke(new, [str(folder), "--output", str(output), *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    text = output.read_text(encoding="utf-8")
    return read_pipeline_settings(yaml.safe_load(text)), text


@pytest.mark.parametrize(("write_scan", "modality"), [(write_ct, "ct"), (write_mr, "mr")])
def test_scans_of_one_modality(tmp_path, write_scan, modality):
    for number in range(20):
        write_scan(tmp_path / "my scans" / f"s{number:02d}.nii.gz")
    (tmp_path / "my scans" / "s00.nii.gz").rename(tmp_path / "my scans" / "s00.NII.GZ")
    settings, text = written(tmp_path / "my scans")
    dataset = settings.datasets["my_scans"]
    assert (dataset.kind, dataset.modality) == ("folder", modality)
    assert dataset.root == (tmp_path / "my scans").resolve()
    assert (dataset.split.num_test, dataset.split.num_validation) == (0, 2)
    assert settings.models["sam"].training.mix == {"my_scans": 2}
    assert "modality: " + modality + " # by a few of the scans" in text


def test_a_folder_of_nrrd_and_metaimage_files(tmp_path):
    """Six scans, three of which are a header and voxels beside it."""
    (tmp_path / "scans").mkdir()
    for number in range(3):
        nrrd(f"s{number}.nrrd")(tmp_path / "scans")
        metaimage(f"m{number}.mhd", files=f"m{number}.raw")(tmp_path / "scans")
    settings, _ = written(tmp_path / "scans")
    dataset = settings.datasets["scans"]
    assert (dataset.kind, dataset.modality, dataset.split.num_validation) == ("folder", "ct", 1)
    assert [raw.image_path.name for raw in list_raw_volumes(dataset, made_folder=tmp_path)] == [
        *("m0.mhd", "m1.mhd", "m2.mhd", "s0.nrrd", "s1.nrrd", "s2.nrrd"),
    ]


def test_scans_of_two_modalities_are_an_error(tmp_path):
    for number in range(4):
        write_ct(tmp_path / "scans" / f"a{number}.nii.gz")
    write_mr(tmp_path / "scans" / "z.nii.gz")
    with pytest.raises(InputFileError, match=r"holds CTs and MRs \(a0\.nii\.gz is ct, .* z\.nii\.gz is mr\)"):
        look_at_folder(tmp_path / "scans", modality=None)


def test_what_the_user_tells_is_taken(tmp_path):
    for number in range(4):
        write_mr(tmp_path / "scans" / f"s{number}.nii.gz")
    settings, _ = written(tmp_path / "scans", "--modality", "ct")
    assert settings.datasets["scans"].modality == "ct"


def test_names_of_deeplesion_tell_the_patients(tmp_path):
    for patient in range(1, 6):
        for study in (1, 2):
            write_ct(tmp_path / "lesions" / f"{patient:06d}_{study:02d}_01_001-010.nii.gz")
    settings, _ = written(tmp_path / "lesions")
    assert settings.datasets["lesions"].patient_pattern == "^([0-9]+)_"
    assert look_at_folder(tmp_path / "lesions", modality=None).num_patients == 5


def test_scans_that_may_be_visits_of_one_patient_are_said_with_their_pattern(tmp_path):
    for patient in range(1, 6):
        for visit in ("baseline", "followup"):
            write_ct(tmp_path / "visits" / f"pt_{patient:02d}_{visit}.nii.gz")
    settings, text = written(tmp_path / "visits")
    said = (
        CliRunner().invoke(new, [str(tmp_path / "visits"), "--output", str(tmp_path / "again.yaml")]).stderr
    )
    assert "if pt_01_baseline and pt_01_followup are of one, use the patient_pattern" in said
    assert settings.datasets["visits"].patient_pattern == "(.*)"
    uncommented = yaml.safe_load(text.replace("# patient_pattern:", "patient_pattern:"))
    dataset = read_pipeline_settings(uncommented).datasets["visits"]
    patients = [raw.patient_id for raw in list_raw_volumes(dataset, made_folder=tmp_path)]
    assert patients == [f"pt_{patient:02d}" for patient in range(1, 6) for _ in range(2)]


@pytest.mark.parametrize("name", ["{:06d}_{:02d}_01", "p{}_v{}_s1"])
def test_visits_that_the_last_word_does_not_name_are_said_or_known(tmp_path, name):
    """The names of DeepLesion without their slices, and of a visit with several series."""
    for patient in range(1, 6):
        for visit in (1, 2):
            write_ct(tmp_path / "scans" / f"{name.format(patient, visit)}.nii.gz")
    _, text = written(tmp_path / "scans")
    uncommented = yaml.safe_load(text.replace("# patient_pattern:", "patient_pattern:"))
    dataset = read_pipeline_settings(uncommented).datasets["scans"]
    assert len({raw.patient_id for raw in list_raw_volumes(dataset, made_folder=tmp_path)}) == 5


@pytest.mark.parametrize(
    "names",
    [
        ("LIDC-IDRI-0314_CT", "LIDC-IDRI-0315_CT", "LIDC-IDRI-0316_CT", "LIDC-IDRI-0317_CT"),
        ("pt_100", "pt_101", "pt_102", "pt_103"),
        ("2019_001", "2019_002", "2019_003", "2019_004"),
    ],
)
def test_names_of_one_scan_a_patient_are_left_alone(tmp_path, names):
    for name in names:
        write_ct(tmp_path / "scans" / f"{name}.nii.gz")
    _, text = written(tmp_path / "scans")
    assert "patient_pattern" not in text


@pytest.mark.parametrize(("image", "modality"), [("ct.nii.gz", "ct"), ("mri.nii.gz", "mr")])
def test_case_folders_are_scored_on_their_organs(tmp_path, image, modality):
    for case in range(10):
        touch(tmp_path / "cases" / f"c{case}" / image)
        touch(tmp_path / "cases" / f"c{case}" / "segmentations" / "liver.nii.gz")
    touch(tmp_path / "cases" / "c3" / "segmentations" / "aorta.nii.gz")
    settings, _ = written(tmp_path / "cases")
    dataset = settings.datasets["cases"]
    assert (dataset.kind, dataset.modality) == ("case_folders", modality)
    assert dataset.organs == ("aorta", "liver")
    assert dataset.landmarks == {"aorta": ("centroid",), "liver": ("centroid",)}
    assert (dataset.split.num_test, dataset.split.num_validation) == (2, 1)
    assert settings.evaluations["cases"].models == ("sam",)


def test_cases_with_both_images_are_taken_as_told(tmp_path):
    for case in range(10):
        for image in ("ct.nii.gz", "mri.nii.gz"):
            touch(tmp_path / "cases" / f"c{case}" / image)
    settings, _ = written(tmp_path / "cases", "--modality", "mr")
    assert settings.datasets["cases"].modality == "mr"


def test_scans_of_cases_that_are_not_taken_are_said(tmp_path):
    for case in range(4):
        for image in ("ct.nii.gz", "mr.nii.gz"):
            touch(tmp_path / "cases" / f"c{case}" / image)
    options = [str(tmp_path / "cases"), "--output", str(tmp_path / "run.yaml")]
    done = CliRunner().invoke(new, options, catch_exceptions=False)
    assert f"note: mr.nii.gz in the folders of {tmp_path / 'cases'} is not taken" in done.stderr


def write_organs(path):
    """Write a label map of three small organs in coarse voxels, most of whose voxels lie beside the background."""
    labels = np.zeros((16, 16, 12), np.uint8)
    for label, place in enumerate([(3, 4, 4), (9, 4, 4), (6, 10, 6)], start=1):
        labels[tuple(slice(at, at + 3) for at in place)] = label
    write(path, labels)


@pytest.mark.parametrize("modality", [(), ("--modality", "ct")])
@pytest.mark.parametrize("name", ["s{}_seg", "s{}-label"])
def test_label_maps_among_scans_are_no_patients(tmp_path, name, modality):
    for number in range(4):
        write_ct(tmp_path / "scans" / f"s{number}.nii.gz")
        write_organs(tmp_path / "scans" / f"{name.format(number)}.nii.gz")
    done = CliRunner().invoke(
        new, [str(tmp_path / "scans"), "--output", str(tmp_path / "run.yaml"), *modality]
    )
    assert "holds label maps ('s" in str(done.exception) and not (tmp_path / "run.yaml").exists()


def test_label_maps_of_cases_are_named_in_the_run_file(tmp_path):
    """Without the marks of comments the run file learns their organs."""
    for case in range(5):
        write_ct(tmp_path / "cases" / f"c{case}" / "ct.nii.gz")
        write_organs(tmp_path / "cases" / f"c{case}" / "organs.nii.gz")
    options = [str(tmp_path / "cases"), "--output", str(tmp_path / "run.yaml")]
    done = CliRunner().invoke(new, options, catch_exceptions=False)
    assert done.stderr.count("note: ") == 1
    assert "organs.nii.gz in the folders of" in done.stderr and "set label_map and organs" in done.stderr
    text = (tmp_path / "run.yaml").read_text(encoding="utf-8")
    used = text.replace("# label_map:", "label_map:").replace("# organs:", "organs:")
    dataset = read_pipeline_settings(yaml.safe_load(used)).datasets["cases"]
    assert dataset.organs == ("liver", "spleen")
    assert [raw.label_map_path.name for raw in list_raw_volumes(dataset, made_folder=tmp_path)] == [
        "organs.nii.gz"
    ] * 5


def test_folders_of_patients_whose_scans_have_other_names_are_told_so(tmp_path):
    for case in range(4):
        touch(tmp_path / "cases" / f"c{case}" / "image.nii.gz")
        touch(tmp_path / "cases" / f"c{case}" / "mask.nii.gz")
    with pytest.raises(
        InputFileError, match=r"call its scan so, .*\(c0 holds 'image\.nii\.gz', 'mask\.nii\.gz'\)"
    ):
        look_at_folder(tmp_path / "cases", modality=None)


def test_a_series_that_was_told_is_kept_beside_the_pattern_of_patients(tmp_path):
    for patient in range(1, 6):
        write_ct(tmp_path / "lesions" / f"{patient:06d}_01_01_001-010.nii.gz")
    looked = look_at_folder(tmp_path / "lesions", modality="ct", series="2")
    assert (looked.patient_pattern, looked.series) == ("^([0-9]+)_", "2")


def test_pairs_of_ct_and_mr_train_across_modalities(tmp_path):
    for patient in range(6):
        for scan in range(2):
            (write_mr if scan else write_ct)(tmp_path / "pairs" / f"p{patient}_000{scan}.nii.gz")
    settings, _ = written(tmp_path / "pairs")
    assert settings.datasets["pairs"].kind == "ct_mr_pairs"
    assert settings.models["second"].registered.registration == "pairs"
    assert settings.registrations["pairs"].guide.model == "first"


def test_what_is_no_folder_of_scans_says_what_is_expected(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputFileError, match="holds no scans; expected"):
        look_at_folder(tmp_path / "empty", modality=None)
    touch(tmp_path / "deep" / "a" / "b.nii.gz")
    with pytest.raises(InputFileError, match="name the folder that directly holds the scans"):
        look_at_folder(tmp_path / "deep", modality=None)


@pytest.mark.parametrize(
    ("write_scans", "problem"),
    [
        ((write_mr, write_mr), r"p0_0000\.nii\.gz: is an MR, and by its name the CT of a pair"),
        ((write_ct, write_ct), r"p0_0001\.nii\.gz: is a CT, and by its name the MR of a pair"),
    ],
)
def test_channels_of_one_modality_are_no_pairs(tmp_path, write_scans, problem):
    """As of nnU-Net, which numbers the MRs of a patient from 0000 on, and phases of a CT as well."""
    for patient in range(4):
        for number, write_scan in enumerate(write_scans):
            write_scan(tmp_path / "imagesTr" / f"p{patient}_000{number}.nii.gz")
    with pytest.raises(InputFileError, match=problem):
        look_at_folder(tmp_path / "imagesTr", modality=None)


@pytest.mark.parametrize(("write_scan", "modality"), [(write_ct, "ct"), (write_mr, "mr")])
def test_scans_of_one_channel_are_no_pairs(tmp_path, write_scan, modality):
    """As of nnU-Net, which numbers a lone channel 0000 too."""
    for patient in range(4):
        write_scan(tmp_path / "imagesTr" / f"p{patient}_0000.nii.gz")
    looked = look_at_folder(tmp_path / "imagesTr", modality=None)
    assert (looked.kind, looked.modality) == ("folder", modality)


@pytest.mark.parametrize(("name", "change"), [("p0_0000", 1024), ("p0_0001", -300)])
def test_pairs_whose_values_leave_a_doubt_are_taken_by_their_names(tmp_path, name, change):
    """A CT 1024 above HU, which the run corrects, and an MR with values below 0, as of a normalised one."""
    for patient in range(4):
        for number, write_scan in enumerate((write_ct, write_mr)):
            write_scan(tmp_path / "pairs" / f"p{patient}_000{number}.nii.gz")
    path = tmp_path / "pairs" / f"{name}.nii.gz"
    array = read_volume(path).array.astype(np.int16)
    array[6:8, 6:8, 4:8] = 300
    write(path, array + np.int16(change))
    with pytest.raises(InputFileError, match=r"or like an MR; say which|may be a CT or an MR"):
        read_raw_scan(path, ReadingOptions())
    assert look_at_folder(tmp_path / "pairs", modality=None).kind == "ct_mr_pairs"


def test_the_folder_within_that_holds_scans_is_named(tmp_path):
    """As of nnU-Net and the Medical Segmentation Decathlon."""
    for number in range(4):
        write_ct(tmp_path / "Task" / "imagesTr" / f"case_{number}_0000.nii.gz")
    (tmp_path / "Task" / "documents").mkdir()
    with pytest.raises(InputFileError, match="directly holds the scans, such as imagesTr in it"):
        look_at_folder(tmp_path / "Task", modality=None)


def test_scans_in_folders_of_folders_are_named_with_what_to_do(tmp_path):
    """As of BIDS, whose names tell patient and visit: links to them in one folder are a data set."""
    for patient in range(4):
        write_ct(tmp_path / "bids" / f"sub-{patient}" / "ses-1" / "anat" / f"sub-{patient}_ses-1_ct.nii.gz")
    told = "such as sub-0/ses-1/anat/sub-0_ses-1_ct.nii.gz: put links"
    with pytest.raises(InputFileError, match=told):
        look_at_folder(tmp_path / "bids", modality=None)
    (tmp_path / "flat").mkdir()
    for scan in (tmp_path / "bids").rglob("*.nii.gz"):
        (tmp_path / "flat" / scan.name).symlink_to(scan)
    assert look_at_folder(tmp_path / "flat", modality=None).num_patients == 4


def test_too_few_patients_and_impossible_roots_are_errors(tmp_path):
    for number in range(3):
        write_ct(tmp_path / "few" / f"s{number}.nii.gz")
    with pytest.raises(InputFileError, match="has scans of 3 patients, expected 4 or more"):
        run_file_text(look_at_folder(tmp_path / "few", modality=None), name="few")
    for number in range(4):
        write_ct(tmp_path / "a{b}" / f"s{number}.nii.gz")
    with pytest.raises(SettingsError, match=r"a_b\.root: .*without \{ \}"):
        written(tmp_path / "a{b}")
    assert not (tmp_path / "new.yaml").exists()


def test_the_command_to_run_works_in_another_folder(tmp_path, monkeypatch):
    """The checkout is not where the run file was written."""
    for number in range(4):
        write_ct(tmp_path / "scans" / f"s{number}.nii.gz")
    (tmp_path / "my runs").mkdir()
    monkeypatch.chdir(tmp_path / "my runs")
    done = CliRunner().invoke(new, [str(tmp_path / "scans")], catch_exceptions=False)
    assert shlex.split(done.stdout)[-1] == str(tmp_path / "my runs" / "scans.yaml")
    assert Path(shlex.split(done.stdout)[-1]).exists()


def test_a_file_that_is_there_is_left_alone(tmp_path):
    for number in range(4):
        write_ct(tmp_path / "scans" / f"s{number}.nii.gz")
    (tmp_path / "new.yaml").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputFileError, match="already exists; name another file with --output"):
        written(tmp_path / "scans")
    assert (tmp_path / "new.yaml").read_text(encoding="utf-8") == "mine"
