"""The modality of a DICOM series: by its word, by its class, or told."""

import pytest
from pydicom.uid import UID

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan
from tests.dicom_edits import refusal
from tests.dicom_slices import CT_CLASS, MR_CLASS, PET_CLASS, SECONDARY_CAPTURE_CLASS, Stack, read_series
from tests.scan_inputs.dicom_frames import enhanced


@pytest.mark.parametrize(
    ("word", "sop_class", "modality"),
    [("CT", CT_CLASS, "ct"), ("MR", MR_CLASS, "mr"), ("PT", PET_CLASS, None)],
)
def test_the_modality_is_told_as_it_is_written(tmp_path, word, sop_class, modality):
    folder = Stack(modality=word, sop_class=sop_class).write(tmp_path)
    series = read_series(folder)
    assert (series.modality_word, series.modality) == (word, modality)


@pytest.mark.parametrize(("number", "word"), [("2.2", "CT"), ("4.4", "MR"), ("128.1", "PT")])
def test_an_object_that_does_not_say_its_modality_has_that_of_its_class(tmp_path, number, word):
    """Here the classes of slices that were put into one file later (legacy converted)."""

    def of_class(dataset):
        dataset.SOPClassUID, dataset.Modality = UID(f"1.2.840.10008.5.1.4.1.1.{number}"), ""

    assert read_series(enhanced(edit=of_class)(tmp_path)).modality_word == word


@pytest.mark.parametrize("word", ["PT", "NM"])
def test_a_scan_of_another_modality_is_refused_unless_told(tmp_path, word):
    folder = Stack(modality=word, sop_class=PET_CLASS).write(tmp_path)
    with pytest.raises(
        InputFileError,
        match=rf"is of modality {word} \(Positron Emission Tomography Image Storage\), expected CT or MR",
    ):
        read_raw_scan(folder, ReadingOptions())
    assert read_raw_scan(folder, ReadingOptions("mr")).modality == "mr"


def test_a_slice_of_another_modality_is_refused(tmp_path):
    stack = Stack(edit=lambda dataset, k: setattr(dataset, "Modality", "MR" if k == 4 else "CT"))
    assert "IM0004.dcm: is of modality MR, IM0000.dcm of CT" in str(refusal(stack.write(tmp_path)))


@pytest.mark.parametrize("sop_class", [SECONDARY_CAPTURE_CLASS, UID("1.2.3.4.5")])
def test_an_image_of_any_class_that_says_its_place_is_a_slice(tmp_path, sop_class):
    series = read_series(Stack(sop_class=sop_class).write(tmp_path))
    assert series.volume.shape == (8, 7, 6) and series.remarks == ()
