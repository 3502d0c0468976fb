"""Random DICOM folders: every pixel is where its own tags say and has their value, or a file is named in one line."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from scipy.spatial.transform import Rotation

from anatomical_embedding.errors import InputFileError
from tests.dicom_slices import (
    AXIAL,
    DOSE_CLASS,
    OTHER_SERIES,
    REPORT_CLASS,
    SEGMENTATION_CLASS,
    SERIES,
    Layout,
    Stack,
    grey_ramp,
    plain_object,
    read_series,
    save,
)
from tests.reference.dicom_by_tags import place_by_tags, value_by_tags

ORIENTATIONS = (
    AXIAL,
    (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),  # prone
    (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),  # feet first
    (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),  # sagittal
    (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),  # coronal
)
LAYOUTS = (
    *(Layout(), Layout(is_signed=True), Layout(bits_stored=12), Layout(bits_stored=12, is_signed=True)),
    *(Layout(bits_stored=12, high_bit=15), Layout(bits_stored=12, high_bit=13, is_signed=True)),
    *(Layout(bits_allocated=32, bits_stored=32, is_signed=True), Layout(bits_allocated=32, bits_stored=20)),
    *(Layout(syntax=syntax) for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)),
    Layout(syntax=ExplicitVRBigEndian, is_signed=True),
    *(Layout(syntax=RLELossless), Layout(syntax=RLELossless, bits_stored=12, is_signed=True)),
)
RESCALES = {
    "one": (lambda k: 1.0, lambda k: -1024.0),
    "first other": (lambda k: 1.0, lambda k: 0.0 if k == 0 else -1024.0),
    "each": (lambda k: 0.5 + 0.013 * k, lambda k: -7.25 * k),
    "steep": (lambda k: -16.0, lambda k: 40000.0),
    "none": (lambda k: None, lambda k: None),
}


def change(**tags):
    """Return an edit that sets tags of the middle slice; None leaves one out, empty text empties it."""

    def edit(dataset, k):
        if k == 3:
            for keyword, value in tags.items():
                delattr(dataset, keyword) if value is None else setattr(dataset, keyword, value)

    return edit


EDITS = {
    "slope alone": change(RescaleSlope=1.0, RescaleIntercept=""),
    "slope of zero": change(RescaleSlope=0.0, RescaleIntercept=0.0),
    "turned": change(ImageOrientationPatient=[0.8, 0.6, 0, -0.6, 0.8, 0]),
    "not at right angles": change(ImageOrientationPatient=[1, 0, 0, 0.5, 1, 0]),
    "no position": change(ImagePositionPatient=None),
    "two numbers of position": change(ImagePositionPatient=[1, 2]),
    "other spacing": change(PixelSpacing=[9, 9]),
    "other frame of pixels": change(Rows=6),
    "more bits than there are": change(BitsStored=40),
    "no pixels": change(PixelData=None),
}
"""Faults of one slice, by an edit of its tags."""
FAULTS_OF_PIXELS = {"other frame of pixels", "more bits than there are", "no pixels"}
"""Faults with which no slice can be compressed."""


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-40])


FILE_FAULTS = {
    "cut short": cut_short,
    "cut in the header": lambda path: path.write_bytes(path.read_bytes()[:300]),
    "empty": lambda path: path.write_bytes(b""),
    "other content": lambda path: path.write_bytes(b"no DICOM at all" * 20),
    "missing": lambda path: path.unlink(),
}


def single_slice(folder, name, **tags):
    dataset = Stack(series=OTHER_SERIES).dataset(2)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    save(dataset, folder / name)


EXTRAS = {
    "notes.txt": lambda path: path.write_text("seen by radiology", encoding="utf-8"),
    "empty.log": lambda path: path.write_bytes(b""),
    ".DS_Store": lambda path: path.write_bytes(b"\x00\x01"),
    "reports": lambda path: path.mkdir(),
    "report": lambda path: save(plain_object(REPORT_CLASS, modality="SR"), path),
    "DOSE.dcm": lambda path: single_slice(path.parent, path.name, SOPClassUID=DOSE_CLASS, Modality="RTDOSE"),
    "seg.dcm": lambda path: single_slice(path.parent, path.name, SOPClassUID=SEGMENTATION_CLASS),
    "scout.dcm": lambda path: single_slice(
        path.parent, path.name, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesInstanceUID=SERIES
    ),
    "key_image.dcm": lambda path: single_slice(path.parent, path.name),
}
"""Name -> how to write a file that is left out."""


@st.composite
def stacks(draw):
    """Return a sound series: any direction, any spacing, any way of storing, slices in any order of names."""
    turned = Rotation.from_euler("xyz", [draw(st.floats(-180, 180)) for _ in "xyz"], degrees=True).as_matrix()
    orientation = draw(st.sampled_from((*ORIENTATIONS, tuple(turned[:2].ravel()))))
    row, column = np.reshape(orientation, (2, 3))
    gap, tilt = draw(st.floats(0.5, 6.0)), draw(st.sampled_from((0.0, 0.05)))
    step = gap * (np.cross(row, column) * draw(st.sampled_from((1, -1))) + np.tan(np.radians(tilt)) * column)
    layout = draw(st.sampled_from(LAYOUTS))
    stored = grey_ramp() + draw(st.integers(0, 1000))
    stored[:, 0, :] = draw(st.sampled_from((0, 2047, -2000 if layout.is_signed else 4)))
    rescale = draw(st.sampled_from(sorted(RESCALES)))
    names = draw(st.permutations(range(len(stored))))
    padding, is_said_empty = draw(st.booleans()), rescale == "none" and draw(st.booleans())

    def edit(dataset, k):
        dataset.InstanceNumber = names[k] + 1
        dataset.PatientPosition = "FFP"
        if padding:
            dataset.add_new("PixelPaddingValue", "SS" if layout.is_signed else "US", int(stored[0, 0, 0]))
        if is_said_empty:
            dataset.RescaleSlope = dataset.RescaleIntercept = ""

    return Stack(
        stored=stored,
        orientation=orientation,
        origin_mm=tuple(round(draw(st.floats(-400, 400)), 2) for _ in "xyz"),
        step_mm=tuple(step),
        between_rows_mm=draw(st.floats(0.4, 3.0)),
        between_columns_mm=draw(st.floats(0.4, 3.0)),
        layout=layout,
        slope=RESCALES[rescale][0],
        intercept=RESCALES[rescale][1],
        name=lambda k: f"IM{names[k]:04d}.dcm",
        edit=edit,
    )


def assert_equal_to_tags(series, folder):
    """Hold every voxel against the tags of the file that it came from."""
    volume, count = series.volume, 0
    for path in sorted(folder.glob("IM????.dcm")):
        dataset = pydicom.dcmread(path)
        if dataset.file_meta.TransferSyntaxUID == RLELossless:
            dataset.decompress()
        pixels = [(row, column) for row in range(dataset.Rows) for column in range(dataset.Columns)]
        places = [place_by_tags(dataset, row=row, column=column) for row, column in pixels]
        values = [value_by_tags(dataset, row=row, column=column) for row, column in pixels]
        nearest = np.rint(volume.voxel_from_world(places)).astype(int)
        np.testing.assert_allclose(volume.world_from_voxel(nearest), places, atol=0.01)
        np.testing.assert_allclose(volume.array[tuple(nearest.T)], values, atol=0.5)
        count += len(pixels)
    assert count == volume.array.size


@pytest.mark.slow
@settings(max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    stack=stacks(),
    extras=st.lists(st.sampled_from(sorted(EXTRAS)), max_size=3, unique=True),
    has_copy=st.booleans(),
    fault=st.sampled_from(("none",) * 15 + tuple(EDITS) + tuple(FILE_FAULTS)),
)
def test_pixels_are_where_their_tags_say_or_a_file_is_named(stack, extras, has_copy, fault):
    assume(stack.layout.syntax != RLELossless or fault not in FAULTS_OF_PIXELS)
    if fault in EDITS:
        sound = stack.edit
        stack.edit = lambda dataset, k: (sound(dataset, k), EDITS[fault](dataset, k))
    with tempfile.TemporaryDirectory() as name:
        folder = stack.write(Path(name) / "series")
        faulty = folder / stack.name(3)
        for extra in extras:
            EXTRAS[extra](folder / extra)
        if has_copy:
            shutil.copy(folder / stack.name(0), folder / "copy.dcm")
        if fault in FILE_FAULTS:
            FILE_FAULTS[fault](faulty)
        if fault == "none":
            series = read_series(folder)
            said = " ".join(series.remarks)
            assert all(extra in said for extra in extras)
            assert ("copy.dcm" in said) == has_copy
            assert series.has_rescale == (stack.slope(0) is not None)
            assert_equal_to_tags(series, folder)
        else:
            with pytest.raises(InputFileError) as caught:
                read_series(folder, largest_gap_mm=0.1)
            neighbours = {stack.name(2), stack.name(4)}
            named = neighbours if fault == "missing" else {faulty.name}
            assert all(name in str(caught.value) for name in named), caught.value
            assert "\n" not in str(caught.value)


def test_the_random_folders_hold_every_syntax_that_needs_no_other_library():
    syntaxes = {layout.syntax for layout in LAYOUTS}
    assert syntaxes == {
        *(ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian),
        *(ExplicitVRBigEndian, RLELossless),
    }
