"""Tables of organs and what reads them: labels mean the same in every volume, and what does not fit is named."""

import nibabel
import numpy as np
import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.phantom.tissues import ORGAN_NAMES
from anatomical_embedding.settings.organs import TABLES, organs_of_table
from anatomical_embedding.usage.labels import read_labels_of
from anatomical_embedding.volumes.nifti import read_header, read_volume
from anatomical_embedding.volumes.organ_labels import merge_masks, read_label_map
from anatomical_embedding.volumes.prepare import prepare_volume
from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions
from anatomical_embedding.volumes.volume import VolumeHeader
from tests.unit.samples import LPS_AFFINE, body_array, prepare_settings, real_data, save_nifti

SHAPE = (4, 3, 2)
GRID = VolumeHeader(SHAPE, LPS_AFFINE)
ORGANS = ("liver", "spleen", "aorta")


def label_file(folder, *values, data_type=np.int16, shape=SHAPE, affine=None):
    """Write a label map whose first voxels have the values."""
    array = np.zeros(shape, data_type)
    array.ravel()[: len(values)] = values
    return save_nifti(folder / "labels.nii.gz", array, affine)


@pytest.mark.parametrize(
    ("name", "count", "label", "organ"),
    [
        ("totalsegmentator_v1", 104, 104, "urinary_bladder"),
        ("totalsegmentator_v1", 104, 58, "rib_left_1"),
        ("totalsegmentator_v2", 117, 117, "costal_cartilages"),
        ("totalsegmentator_v2", 117, 52, "aorta"),
    ],
)
def test_published_tables(name, count, label, organ):
    organs = organs_of_table(name)
    assert len(set(organs)) == len(organs) == count
    assert organs[label - 1] == organ


def test_table_of_the_phantoms_is_theirs():
    assert organs_of_table("phantom") == ORGAN_NAMES[1:]


def test_an_unknown_table_is_named_with_those_that_exist():
    with pytest.raises(
        ValueError, match="tables phantom, totalsegmentator_v1, totalsegmentator_v2, got 'v3'"
    ):
        organs_of_table("v3")
    assert {path.suffix for path in TABLES.iterdir()} == {".txt"}


@pytest.mark.real_data
def test_real_label_map_has_the_ids_of_the_table():
    """Lungs are air, ribs are bone and muscles are soft; under the other table they would not be."""
    folder = real_data("totalsegmentator_labels")
    organs = organs_of_table("totalsegmentator_v2")
    merged = read_label_map(
        folder / "segmentation.nii.gz",
        organs=organs,
        grid=read_header(folder / "ct.nii.gz"),
        bad_labels="refuse",
    )
    image = np.asanyarray(nibabel.load(folder / "ct.nii.gz").dataobj)

    def mean_hu(organ):
        return image[merged.volume.array == organs.index(organ) + 1].mean()

    assert mean_hu("lung_lower_lobe_left") < -600
    assert mean_hu("rib_left_9") > 150
    assert 0 < mean_hu("autochthon_right") < 60
    assert "brain" in merged.empty_organs


def test_merged_map_by_hand(tmp_path):
    merged = read_label_map(label_file(tmp_path, 3, 1), organs=ORGANS, grid=GRID, bad_labels="refuse")
    assert merged.volume.array.ravel()[:3].tolist() == [3, 1, 0]
    assert merged.volume.array.dtype == np.uint8
    assert (merged.empty_organs, merged.missing_organs, merged.skipped) == (("spleen",), (), {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": (4,)}, "has the label 4, expected 0 to 3; name the organs by the table"),
        ({"values": (-1,)}, "has the value -1, expected whole numbers"),
        ({"values": (0.5,), "data_type": np.float32}, "has the value 0.5, expected whole numbers"),
        ({"values": (1,), "shape": (4, 3, 3)}, r"has shape \(4, 3, 3\), expected \(4, 3, 2\) as its image"),
    ],
)
def test_bad_maps_are_refused_by_name(tmp_path, changes, message):
    path = label_file(tmp_path, *changes.pop("values"), **changes)
    with pytest.raises(InputFileError, match=message) as caught:
        read_label_map(path, organs=ORGANS, grid=GRID, bad_labels="refuse")
    assert str(caught.value).startswith(str(path))


def test_unknown_labels_are_left_out_and_named(tmp_path):
    merged = read_label_map(label_file(tmp_path, 2, 9, 7), organs=ORGANS, grid=GRID, bad_labels="skip")
    assert merged.volume.array.ravel()[:3].tolist() == [2, 0, 0]
    assert merged.skipped == {"label 7": "is beyond the organs", "label 9": "is beyond the organs"}


def named_file(path, names, *, code=0, head=""):
    """Give a label map the table of names that TotalSegmentator writes behind its header."""
    labels = "\n".join(
        f'<Label Key="{label}" Red="0"><![CDATA[{name}]]></Label>' for label, name in names.items()
    )
    table = f"{head}<CaretExtension><LabelTable>\n{labels}\n</LabelTable></CaretExtension>\n      "
    image = nibabel.load(path)
    array = np.asanyarray(image.dataobj).copy()
    image = nibabel.Nifti1Image(array, image.affine, image.header)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, table.encode()))
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("code", [0, 30])  # of TotalSegmentator and of Connectome Workbench
def test_a_map_that_names_its_labels_otherwise_is_refused_or_left_out(tmp_path, code):
    """As one of TotalSegmentator 2 with the table of version 1, whose numbers are those of other organs."""
    names = {1: "Liver", 2: "Aorta", 3: "spleen", 9: "heart"}
    path = named_file(label_file(tmp_path, 1, 2, 3), names, code=code)
    with pytest.raises(
        InputFileError, match=r"labels\.nii\.gz: label 2 is called 'Aorta' in its file, and 'spleen'"
    ):
        read_label_map(path, organs=ORGANS, grid=GRID, bad_labels="refuse")
    merged = read_label_map(path, organs=ORGANS, grid=GRID, bad_labels="skip")
    assert merged.volume.array.ravel()[:3].tolist() == [1, 0, 0]
    assert merged.empty_organs == ("spleen", "aorta")
    assert merged.skipped["label 3"].startswith("is called 'spleen' in its file, and 'aorta' by its number")


@pytest.mark.parametrize(
    ("names", "options"),
    [
        ({1: "liver", 2: "spleen"}, {}),
        ({1: "Leber", 2: "Milz", 3: "Aorta"}, {}),
        ({1: "spleen"}, {"head": "<!DOCTYPE x>"}),
        ({1: "spleen"}, {"head": "<unclosed>"}),
        ({1: "spleen"}, {"code": 2}),
        ({1: "spleen"}, {"code": 38, "head": "<!DOCTYPE x>"}),  # of a kind that nibabel does not understand
        ({"one": "spleen"}, {}),
        ({3: "spleen"}, {}),  # no voxel of it
    ],
)
def test_names_that_contradict_nothing_change_nothing(tmp_path, names, options):
    path = named_file(label_file(tmp_path, 1, 2), names, **options)
    merged = read_label_map(path, organs=ORGANS, grid=GRID, bad_labels="refuse")
    assert merged.volume.array.ravel()[:3].tolist() == [1, 2, 0]
    assert (merged.skipped, merged.remarks) == ({}, ())


def test_names_are_said_of_labels_that_are_carried(tmp_path):
    """Of those that the map shows; a label without a name is said by its number."""
    path = named_file(label_file(tmp_path, 1, 5), {1: "liver", 2: "spleen"})
    scan = RawScan(
        tmp_path / "ct.nii.gz", read_volume(path, require_contrast=False), "ct", (), ReadingOptions()
    )
    assert read_labels_of(scan, path).remarks == (f"{path}: its labels are 1 liver, 5",)
    assert read_labels_of(scan, label_file(tmp_path, 1, 5)).remarks == ()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("table", "is_refused"), [("totalsegmentator_v1", True), ("totalsegmentator_v2", False)]
)
def test_a_real_map_tells_the_tables_apart(table, is_refused):
    folder = real_data("totalsegmentator_labels")
    options = {
        "organs": organs_of_table(table),
        "grid": read_header(folder / "ct.nii.gz"),
        "bad_labels": "skip",
    }
    merged = read_label_map(folder / "segmentation.nii.gz", **options)
    assert any("in its file" in why for why in merged.skipped.values()) == is_refused


def test_bad_masks_are_left_out_and_named(tmp_path):
    good, other_grid, grey = (np.zeros(SHAPE, np.uint8) for _ in range(3))
    good[0, 0, 0], grey[1, 0, 0] = 1, 7
    paths = {
        "liver": save_nifti(tmp_path / "liver.nii.gz", good),
        "spleen": save_nifti(tmp_path / "spleen.nii.gz", other_grid[:, :2]),
        "aorta": save_nifti(tmp_path / "aorta.nii.gz", grey),
    }
    merged = merge_masks(paths, organs=ORGANS, grid=GRID, bad_labels="skip")
    assert np.unique(merged.volume.array).tolist() == [0, 1]
    assert set(merged.skipped) == {"spleen", "aorta"}
    assert "expected a mask of zeros and ones" in merged.skipped["aorta"]
    with pytest.raises(InputFileError, match=r"spleen\.nii\.gz: has shape"):
        merge_masks(paths, organs=ORGANS, grid=GRID, bad_labels="refuse")


def test_an_empty_case_is_counted(tmp_path):
    image = save_nifti(tmp_path / "ct.nii.gz", body_array())
    labels = label_file(tmp_path, shape=body_array().shape)
    prepared = prepare_volume(
        image, label_paths={}, label_map_path=labels, settings=prepare_settings(organs=ORGANS)
    )
    assert prepared.description["labels"]["num_prepared_vox"] == dict.fromkeys(ORGANS, 0)
    assert prepared.description["labels"]["empty_organs"] == list(ORGANS)
