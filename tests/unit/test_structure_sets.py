"""Structure sets (RTSTRUCT): which voxels lie in an outline, in holes, in outlines that cross or come twice."""

import numpy as np
import pydicom
import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.label_planes import Outlines
from tests.label_objects import CENTRE, OTHER_FRAME, SHAPE, disc_contours, disc_voxels, scan, write_structures


def test_a_disc_fills_the_voxels_whose_centres_lie_in_it(tmp_path):
    path = write_structures(tmp_path / "rs.dcm", {"disc": disc_contours()})
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array, 3 * disc_voxels())
    assert found.remarks == (f"{path}: its labels are 3 disc",)


@pytest.mark.slow
def test_a_hole_and_two_parts_in_one_slice(tmp_path):
    other = np.array([-12.3, 5.2])
    contours = [*disc_contours(), *disc_contours(4.1), *disc_contours(3.3, slices=[4], centre=other)]
    expected = (disc_voxels() & ~disc_voxels(4.1)) | disc_voxels(3.3, slices=[4], centre=other)
    for kind in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
        path = write_structures(tmp_path / "rs.dcm", {"ring": contours}, kinds={"ring": kind})
        np.testing.assert_array_equal(read_label_file(path, scan=scan()).volume.array > 0, expected)


def test_an_outline_that_is_there_twice_counts_once_and_that_is_said(tmp_path):
    contours = disc_contours()
    path = write_structures(tmp_path / "rs.dcm", {"disc": [*contours, *contours[:4]]})
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array, 3 * disc_voxels())
    assert f"{path}: 4 outlines of 'disc' are there twice; each counts once" in found.remarks


@pytest.mark.parametrize(
    "how", ["rounded", "begun elsewhere", "other way round", "fewer corners", "drawn again"]
)
def test_an_outline_that_is_drawn_almost_alike_twice_counts_once(tmp_path, how):
    """The two would cancel each other out but for a rim, in which no voxel's centre need lie."""
    edits = {
        "rounded": lambda corners: np.round(corners, 1),
        "begun elsewhere": lambda corners: np.roll(corners, 7, axis=0),
        "other way round": lambda corners: corners[::-1],
        "fewer corners": lambda corners: corners[::3],
        "drawn again": lambda corners: corners + np.array([0.12, -0.1, 0]),
    }
    contours = disc_contours()
    path = write_structures(tmp_path / "rs.dcm", {"disc": [*contours, *map(edits[how], contours[:4])]})
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array, 3 * disc_voxels())
    assert f"{path}: 4 outlines of 'disc' are there twice; each counts once" in found.remarks


def test_a_thin_wall_stays_a_wall(tmp_path):
    """Half a millimetre is nothing that corners are off by; those voxels are left whose centres lie in the wall."""
    path = write_structures(tmp_path / "rs.dcm", {"wall": [*disc_contours(10.46), *disc_contours(9.96)]})
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array, 3 * (disc_voxels(10.46) & ~disc_voxels(9.96)))
    assert found.remarks == (f"{path}: its labels are 3 wall",)


def test_outlines_that_cross_are_said(tmp_path):
    beside = CENTRE + np.array([6.0, 2.0])
    contours = [*disc_contours(), *disc_contours(5.1, slices=[4, 5], centre=beside)]
    path = write_structures(tmp_path / "rs.dcm", {"two": contours})
    found = read_label_file(path, scan=scan())
    expected = disc_voxels() ^ disc_voxels(5.1, slices=[4, 5], centre=beside)
    np.testing.assert_array_equal(found.volume.array, 3 * expected)
    assert found.remarks[0] == (
        f"{path}: outlines of 'two' cross each other on 2 slices; what lies in two of them is left out, as a hole is"
    )


def test_regions_of_another_world_are_left_out_and_named(tmp_path):
    """A plan may hold outlines of the CT and of an MR in one object; only those of the scan's world have a place."""
    regions = {"of the scan": disc_contours(), "of the MR": disc_contours(5.0)}
    dataset = pydicom.dcmread(write_structures(tmp_path / "rs.dcm", regions))
    dataset.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = OTHER_FRAME
    dataset.save_as(tmp_path / "rs.dcm")
    found = read_label_file(tmp_path / "rs.dcm", scan=scan())
    np.testing.assert_array_equal(found.volume.array, 3 * disc_voxels())
    told = "of the MR left out: drawn in another frame of reference than the scan's"
    assert f"{tmp_path / 'rs.dcm'}: {told}" in found.remarks
    said = read_label_file(tmp_path / "rs.dcm", scan=scan(frame="")).remarks
    assert (
        f"{tmp_path / 'rs.dcm'}: its labels lie in 2 frames of reference; some are drawn on another scan"
        in said
    )


def edited_structures(path, **tags):
    """Write a disc and change tags of what is drawn of it, or of its first outline."""
    dataset = pydicom.dcmread(write_structures(path, {"disc": disc_contours()}))
    for keyword, value in tags.items():
        region = dataset.ROIContourSequence[0]
        setattr(region if keyword in region else region.ContourSequence[0], keyword, value)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({"ReferencedROINumber": 77}, "draws a region of the number 77 that it does not name"),
        ({"ContourData": [1, 2, 3, 4]}, "has an outline of 'disc' of 4 numbers, expected three a corner"),
    ],
)
def test_faulty_structure_sets_are_refused_by_their_fault(tmp_path, tags, problem):
    path = edited_structures(tmp_path / "rs.dcm", **tags)
    with pytest.raises(InputFileError, match=problem):
        read_label_file(path, scan=scan())


def test_regions_of_one_number_are_refused_since_outlines_tell_theirs_by_it(tmp_path):
    dataset = pydicom.dcmread(
        write_structures(tmp_path / "rs.dcm", {"liver": disc_contours(), "spleen": disc_contours(5.0)})
    )
    for regions, keyword in (
        (dataset.StructureSetROISequence, "ROINumber"),
        (dataset.ROIContourSequence, "ReferencedROINumber"),
    ):
        setattr(regions[1], keyword, 3)
    dataset.save_as(tmp_path / "rs.dcm")
    with pytest.raises(InputFileError, match=r"the number 3 for two labels, 'liver' and 'spleen'"):
        read_label_file(tmp_path / "rs.dcm", scan=scan())


def test_of_two_regions_of_one_name_each_is_a_label_also_where_one_lies_outside(tmp_path):
    beside = [corners + np.array([500.0, 0, 0]) for corners in disc_contours(5.0)]
    path = write_structures(tmp_path / "rs.dcm", {"node": disc_contours(), "other": beside})
    dataset = pydicom.dcmread(path)
    dataset.StructureSetROISequence[1].ROIName = "node"
    dataset.save_as(path)
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array, 3 * disc_voxels())
    assert f"{path}: 100% of the label 'node' lies outside the scan" in found.remarks
    assert f"{path}: its labels are 3 node, 4 node" in found.remarks


def test_a_keyhole_outline_leaves_its_hole_out(tmp_path):
    """Outer and inner circle are one outline, joined by a cut that is gone both ways."""
    (outer,), (inner,) = disc_contours(slices=[5]), disc_contours(4.1, slices=[5])
    keyhole = np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])
    found = read_label_file(write_structures(tmp_path / "rs.dcm", {"ring": [keyhole]}), scan=scan())
    expected = disc_voxels(slices=[5]) & ~disc_voxels(4.1, slices=[5])
    np.testing.assert_array_equal(found.volume.array > 0, expected)


def test_outlines_through_the_centres_of_the_outermost_voxels_show_these(tmp_path):
    """As programs draw them that follow the border of a mask: a block with a hole, a row of voxels, a single one."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[3:10, 5:12, 2] = True
    mask[5:8, 7:10, 2] = False
    mask[4:9, 6, 3] = True
    mask[7, 8, 4] = True
    corners = [
        [(3, 5, 2), (9, 5, 2), (9, 11, 2), (3, 11, 2)],
        [(4, 6, 2), (8, 6, 2), (8, 10, 2), (4, 10, 2)],
        [(4, 6, 3), (8, 6, 3)],
        [(7, 8, 4)],
    ]
    contours = [[-20, -31, -50] + np.array([1.5, 1.25, 3.0]) * np.array(each) for each in corners]
    found = read_label_file(write_structures(tmp_path / "rs.dcm", {"block": contours}), scan=scan())
    np.testing.assert_array_equal(found.volume.array > 0, mask)


def test_points_open_lines_and_empty_regions_are_left_out_and_said(tmp_path):
    regions = {"disc": disc_contours(), "seed": [np.array([[1.0, 2.0, -41.0]])], "empty": []}
    path = write_structures(tmp_path / "rs.dcm", regions, kinds={"seed": "POINT"})
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array, 3 * disc_voxels())
    assert found.remarks[:2] == (
        f"{path}: points and open lines of seed are left out",
        f"{path}: seed, empty left out: no closed outline",
    )
    with pytest.raises(InputFileError, match="shows no label"):
        read_label_file(
            write_structures(path, {"seed": regions["seed"]}, kinds={"seed": "POINT"}), scan=scan()
        )


def test_corners_on_a_row_of_places_are_crossed_once():
    """A diamond whose corners lie on the rows: crossing a corner must not count twice."""
    diamond = np.array([[0.0, -2.0], [2.0, 0.0], [0.0, 2.0], [-2.0, 0.0]])
    places = np.array([[-3.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [3.0, 0.0], [0.5, 1.0], [1.5, 1.0], [0.0, 5.0]])
    expected = [False, True, True, False, True, False, False]
    np.testing.assert_array_equal(Outlines([diamond]).shows(places), expected)
