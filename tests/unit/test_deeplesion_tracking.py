"""The data set kind `deeplesion_tracking`: volumes and splits that the annotations name."""

from pathlib import Path

import pytest

from anatomical_embedding.datasets.listing import list_raw_volumes
from anatomical_embedding.datasets.split import split_patients
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.dataset import DeepLesionTrackingSettings
from tests.lesion_examples import annotation_rows, public_file, write


def settings_of(folder: Path, **annotations: Path) -> DeepLesionTrackingSettings:
    return DeepLesionTrackingSettings(kind="deeplesion_tracking", root=folder, annotations=annotations)


def touch_volumes(folder: Path, rows: dict) -> None:
    for row in rows.values():
        for role in ("source", "target"):
            (folder / row[role]).touch()


def test_only_annotated_volumes_are_listed(tmp_path):
    rows = annotation_rows(num_patients=2)
    touch_volumes(tmp_path, rows)
    (tmp_path / "000099_01_01.nii.gz").touch()
    settings = settings_of(tmp_path, test=write(tmp_path / "test.json", rows))
    volumes = list_raw_volumes(settings, made_folder=tmp_path)
    assert [(volume.volume_id, volume.patient_id) for volume in volumes] == [
        ("000001_01_01_000-019", "000001"),
        ("000001_02_01_000-029", "000001"),
        ("000002_01_01_000-019", "000002"),
        ("000002_02_01_000-029", "000002"),
    ]
    assert split_patients(settings, volumes) == {"000001": "test", "000002": "test"}


def test_an_absent_volume_is_named(tmp_path):
    settings = settings_of(tmp_path, test=write(tmp_path / "test.json", annotation_rows(1)))
    with pytest.raises(InputFileError, match=r"lacks 2 of the 2 volumes.*000001_01_01_000-019"):
        list_raw_volumes(settings, made_folder=tmp_path)


def test_a_patient_of_two_splits_is_refused(tmp_path):
    path = write(tmp_path / "test.json", annotation_rows(1))
    with pytest.raises(InputFileError, match="000001"):
        split_patients(settings_of(tmp_path, test=path, validation=path), [])


@pytest.mark.real_data
def test_the_public_files_name_558_volumes_and_keep_patients_apart(tmp_path):
    test, validation = public_file("test.json"), public_file("valid.json")
    settings = settings_of(tmp_path, test=test, validation=validation)
    splits = split_patients(settings, [])
    assert sum(split == "test" for split in splits.values()) == 105
    with pytest.raises(InputFileError, match="of the 558 volumes"):
        list_raw_volumes(settings_of(tmp_path, test=test), made_folder=tmp_path)
