"""Labels as other programs keep them: `.seg.nrrd`, DICOM SEG and RTSTRUCT, voxel by voxel as they were drawn."""

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, RLELossless
from scipy.spatial.transform import Rotation

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.label_planes import Outlines
from anatomical_embedding.volumes.labels import read_label_file, require_labels
from anatomical_embedding.volumes.segments import LabelledScan, Segment, label_map_of
from anatomical_embedding.volumes.volume import Volume
from tests.dicom_edits import item
from tests.dicom_slices import SEGMENTATION_CLASS, plain_object, save

STRUCTURES_CLASS = UID("1.2.840.10008.5.1.4.1.1.481.3")
LABEL_MAP_CLASS = UID("1.2.840.10008.5.1.4.1.1.66.7")
FRAME, OTHER_FRAME = "1.2.826.0.1.3680043.2.1125.9.1", "1.2.826.0.1.3680043.2.1125.9.2"
SHAPE = (40, 36, 12)
AFFINE = np.array([[-1.5, 0, 0, 20], [0, -1.25, 0, 31], [0, 0, 3, -50], [0, 0, 0, 1.0]])
"""Voxel to RAS of the scan: columns go left, rows back, slices up."""


def scan(affine=AFFINE, *, frame=FRAME):
    return LabelledScan(Volume(np.zeros(SHAPE, np.uint8), affine), frame)


def drawn():
    """Return (X, Y, Z) masks of two segments that overlap: a box, and a smaller one that lies partly in it."""
    masks = np.zeros((2, *SHAPE), dtype=bool)
    masks[0, 5:20, 8:25, 2:9] = True
    masks[1, 18:23, 20:27, 5:7] = True
    return masks


def expected_map():
    """Return the label map of `drawn`: the smaller segment has the voxels that both claim."""
    return np.where(drawn()[1], 2, np.where(drawn()[0], 1, 0))


@pytest.mark.parametrize(("number", "dtype"), [(255, np.uint8), (256, np.uint16), (300, np.uint16)])
def test_a_label_map_is_as_wide_as_its_largest_label(number, dtype):
    grid = Volume(np.zeros(SHAPE, np.uint8), AFFINE)
    labels, _ = label_map_of([Segment(1, "", np.array([0])), Segment(number, "", np.array([7]))], grid=grid)
    assert labels.array.dtype == dtype
    assert {index: labels.array.flat[index] for index in (0, 6, 7)} == {0: 1, 6: 0, 7: number}


# Segmentations of 3D Slicer


def write_seg_nrrd(path, layers, keys, *, axis_of_layers=True):
    """Write (L, X, Y, Z) layers with the keys of their segments."""
    data = layers if axis_of_layers else layers[0]
    sizes = " ".join(map(str, data.shape))
    directions = "(1.5,0,0) (0,1.25,0) (0,0,3)"
    header = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {data.ndim}",
        "space: left-posterior-superior",
        f"sizes: {sizes}",
        f"space directions: {'none ' if axis_of_layers else ''}{directions}",
        f"kinds: {'list ' if axis_of_layers else ''}domain domain domain",
        "encoding: raw",
        "space origin: (-20,-31,-50)",
        *(f"{key}:={value}" for key, value in keys.items()),
    ]
    path.write_bytes("\n".join(header).encode() + b"\n\n" + data.astype(np.uint8).tobytes(order="F"))
    return path


def test_overlapping_layers_of_slicer(tmp_path):
    keys = {"Segment0_ID": "s1", "Segment0_Name": "liver", "Segment0_LabelValue": 1, "Segment0_Layer": 0}
    keys |= {"Segment1_ID": "s2", "Segment1_Name": "tumour", "Segment1_LabelValue": 2, "Segment1_Layer": 1}
    layers = drawn() * np.array([1, 2]).reshape(2, 1, 1, 1)
    path = write_seg_nrrd(tmp_path / "x.seg.nrrd", layers, keys)
    found = read_label_file(path)
    np.testing.assert_array_equal(found.volume.array, expected_map())
    np.testing.assert_allclose(found.volume.affine, AFFINE)
    overlap = int((drawn()[0] & drawn()[1]).sum())
    assert found.remarks == (
        f"{path}: its labels are 1 liver, 2 tumour",
        f"{path}: its labels overlap in {overlap} voxels; the smaller label has them, a voxel holds one",
    )


def test_segments_of_one_layer_and_their_values(tmp_path):
    keys = {"Segment0_Name": "a", "Segment0_ID": "s", "Segment0_LabelValue": 7, "Segment0_Layer": 0}
    keys |= {"Segment1_Name": "b", "Segment1_ID": "t", "Segment1_LabelValue": 3, "Segment1_Layer": 0}
    values = np.where(drawn()[1], 3, np.where(drawn()[0], 7, 0))
    path = write_seg_nrrd(tmp_path / "x.seg.nrrd", values[np.newaxis], keys, axis_of_layers=False)
    found = read_label_file(path)
    np.testing.assert_array_equal(found.volume.array, values)
    assert found.remarks == (f"{path}: its labels are 7 a, 3 b",)
    assert found.names == {7: "a", 3: "b"}


def test_files_of_old_slicer_have_a_layer_of_ones_a_segment(tmp_path):
    keys = {"Segment0_ID": "Segment_1", "Segment1_ID": "Segment_2"}
    path = write_seg_nrrd(tmp_path / "x.seg.nrrd", drawn().astype(int), keys)
    np.testing.assert_array_equal(read_label_file(path).volume.array, expected_map())


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({}, "names no segment"),
        ({"Segment0_ID": "s", "Segment0_Layer": 5}, "has 2 layers and a segment in layer 5"),
        ({"Segment0_ID": "s", "Segment0_LabelValue": "one"}, "whose layer or value is not a number"),
    ],
)
def test_faulty_segmentations_are_refused(tmp_path, keys, problem):
    path = write_seg_nrrd(tmp_path / "x.seg.nrrd", drawn(), keys)
    with pytest.raises(InputFileError, match=problem):
        read_label_file(path)


# DICOM segmentations


def write_seg(path, masks, affine=AFFINE, *, kind="BINARY", frame=FRAME, fractions=None, gap=None):
    """Write a segmentation object of (segment, X, Y, Z) masks, empty frames left out, in an order of its own."""
    label_map = kind == "LABELMAP"
    dataset = plain_object(LABEL_MAP_CLASS if label_map else SEGMENTATION_CLASS, modality="SEG")
    dataset.FrameOfReferenceUID, dataset.SegmentationType = frame, kind
    dataset.SegmentSequence = Sequence(
        [
            item(SegmentNumber=number, SegmentLabel=f"part {number}")
            for number in range(0 if label_map else 1, 1 + (2 if label_map else len(masks)))
        ]
    )
    lps = np.diag([-1, -1, 1, 1.0]) @ affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    directions = lps[:3, :3] / steps
    dataset.SharedFunctionalGroupsSequence = Sequence(
        [
            item(
                PlaneOrientationSequence=Sequence(
                    [item(ImageOrientationPatient=[f"{value:.9f}" for value in directions[:, :2].T.ravel()])]
                ),
                PixelMeasuresSequence=Sequence(
                    [item(PixelSpacing=[f"{steps[1]:.9f}", f"{steps[0]:.9f}"], SpacingBetweenSlices=gap)]
                ),
            )
        ]
    )
    frames, groups = [], []
    for number, mask in enumerate(masks, start=1):
        for z in reversed(range(mask.shape[2])):
            if not mask[..., z].any():
                continue
            position = (lps @ [0, 0, z, 1])[:3]
            groups.append(
                item(
                    PlanePositionSequence=Sequence(
                        [item(ImagePositionPatient=[f"{value:.9f}" for value in position])]
                    ),
                    SegmentIdentificationSequence=Sequence([item(ReferencedSegmentNumber=number)]),
                )
            )
            frames.append((fractions[number - 1] if fractions is not None else mask)[..., z].T)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    pixels = np.stack(frames)
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape
    bits = 1 if kind == "BINARY" else 8
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = bits - 1, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    if kind == "BINARY":
        packed = np.packbits(pixels.ravel(), bitorder="little").tobytes()
        dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    else:
        dataset.PixelData = pixels.astype(np.uint8).tobytes()
    dataset["PixelData"].VR = "OB"
    if kind == "FRACTIONAL":
        dataset.MaximumFractionalValue, dataset.SegmentationFractionalType = 200, "PROBABILITY"
    return save(dataset, path)


OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [12, -20, 33], degrees=True).as_matrix() * [1.5, 1.25, 3]
OBLIQUE[:3, 3] = [40, -70, 12]


@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE], ids=["axial", "oblique"])
def test_a_binary_segmentation_lies_voxel_by_voxel_on_its_scan(tmp_path, affine):
    path = write_seg(tmp_path / "seg.dcm", drawn(), affine)
    require_labels(path)
    found = read_label_file(path, scan=scan(affine))
    np.testing.assert_array_equal(found.volume.array, expected_map())
    assert found.volume.array.dtype == np.uint8
    assert found.remarks[0] == f"{path}: its labels are 1 part 1, 2 part 2"


def test_a_segmentation_on_the_grid_of_a_scan_that_is_cut_and_turned(tmp_path):
    """The scan is stored the other way round and begins later, as after a crop; the labels stay where they were."""
    path = write_seg(tmp_path / "seg.dcm", drawn())
    flipped = AFFINE @ np.array([[-1, 0, 0, 37], [0, 1, 0, 3], [0, 0, -1, 11], [0, 0, 0, 1.0]])
    grid = Volume(np.zeros((36, 30, 11), np.uint8), flipped)
    found = read_label_file(path, scan=LabelledScan(grid, FRAME)).volume.array
    np.testing.assert_array_equal(found, expected_map()[37 - 35 : 38, 3:33, 1:12][::-1, :, ::-1])


@pytest.mark.parametrize(
    ("slices", "gap"), [((2, 9), 3.0), ((2, 9), None), ((4, 7), 3.0), ((4, 7), 0.5)], ids=str
)
def test_frames_far_from_each_other_count_for_their_own_slices(tmp_path, slices, gap):
    """Empty frames are left out by those who write segmentations: two lesions of one slice each stay that thin."""
    masks = np.zeros((1, *SHAPE), dtype=bool)
    masks[0, 5:12, 6:10, slices[0]] = masks[0, 20:25, 9:13, slices[1]] = True
    path = write_seg(tmp_path / "seg.dcm", masks, gap=gap)
    np.testing.assert_array_equal(read_label_file(path, scan=scan()).volume.array, masks[0])


def test_frames_of_one_slice_that_lie_a_little_off_each_other_reach_as_far_as_others(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", drawn())
    dataset = pydicom.dcmread(path)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 2:
            group.PlanePositionSequence[0].ImagePositionPatient[2] += 0.05
    dataset.save_as(path)
    np.testing.assert_array_equal(read_label_file(path, scan=scan()).volume.array, expected_map())


@pytest.mark.parametrize("gap", [6.0, None], ids=str)
def test_frames_of_thicker_slices_than_those_of_the_scan_leave_no_hole(tmp_path, gap):
    masks = np.zeros((1, *SHAPE), dtype=bool)
    masks[0, 5:12, 6:10, [3, 5, 7]] = True
    expected = np.zeros(SHAPE, dtype=bool)
    expected[5:12, 6:10, 2:9] = True
    path = write_seg(tmp_path / "seg.dcm", masks, gap=gap)
    np.testing.assert_array_equal(read_label_file(path, scan=scan()).volume.array, expected)


def test_single_bits_that_are_compressed_are_refused(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", drawn())
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([dataset.PixelData + bytes(len(dataset.PixelData) % 2)])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = RLELossless
    dataset.save_as(path)
    with pytest.raises(InputFileError, match="holds single bits that are packed as RLE Lossless"):
        read_label_file(path, scan=scan())


def test_fractions_that_are_all_below_half_are_told(tmp_path):
    """As of masks of ones that are called fractions of 200."""
    path = write_seg(tmp_path / "seg.dcm", drawn(), kind="FRACTIONAL", fractions=drawn().astype(int))
    with pytest.raises(InputFileError, match="holds fractions of 1 of 200 at most, and half and more counts"):
        read_label_file(path, scan=scan())


def test_half_and_more_of_a_fraction_counts(tmp_path):
    fractions = np.where(drawn(), 100, 0)
    fractions[0, 5:8] = np.where(drawn()[0, 5:8], 99, 0)
    path = write_seg(tmp_path / "seg.dcm", drawn(), kind="FRACTIONAL", fractions=fractions)
    expected = expected_map()
    expected[5:8] = 0
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array, expected)
    assert f"{path}: holds fractions (probability); half and more counts as the label" in found.remarks


def test_a_label_map_object(tmp_path):
    values = expected_map()[np.newaxis]
    path = write_seg(tmp_path / "seg.dcm", values > 0, kind="LABELMAP", fractions=values)
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array, expected_map())
    assert found.remarks == (f"{path}: its labels are 1 part 1, 2 part 2",)  # part 0 is the background


@pytest.mark.parametrize("kind", ["seg", "structures"])
def test_labels_of_another_world_are_refused_and_an_unknown_one_is_said(tmp_path, kind):
    path = tmp_path / "labels.dcm"
    if kind == "seg":
        write_seg(path, drawn(), frame=OTHER_FRAME)
    else:
        write_structures(path, {"disc": disc_contours()}, frame=OTHER_FRAME)
    with pytest.raises(InputFileError, match=f"frame of reference {OTHER_FRAME}, the scan in {FRAME}"):
        read_label_file(path, scan=scan())
    said = read_label_file(path, scan=scan(frame="")).remarks
    assert said[0] == f"{path}: its frame of reference cannot be compared with that of the scan"


def test_labels_beside_the_scan_are_refused_and_a_part_is_said(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", drawn())
    beside = AFFINE + np.array([[0, 0, 0, 300.0]] + [[0] * 4] * 3)
    with pytest.raises(InputFileError, match="100% of the label 'part 1' lies outside the scan"):
        read_label_file(path, scan=scan(beside))
    lower = AFFINE - np.array([[0] * 4, [0] * 4, [0, 0, 0, 18.0], [0] * 4])
    assert any(
        "of the label 'part 1' lies outside" in each
        for each in read_label_file(path, scan=scan(lower)).remarks
    )


def test_other_dicom_objects_are_named(tmp_path):
    path = save(plain_object(UID("1.2.840.10008.5.1.4.1.1.481.2"), modality="RTDOSE"), tmp_path / "dose.dcm")
    with pytest.raises(InputFileError, match=r"is a DICOM object \(RT Dose Storage\)"):
        read_label_file(path, scan=scan())
    with pytest.raises(InputFileError, match="need the scan that they were drawn on"):
        read_label_file(write_seg(tmp_path / "seg.dcm", drawn()))


def test_a_segmentation_that_is_cut_short_is_refused(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", drawn())
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(InputFileError, match="cut short"):
        read_label_file(path, scan=scan())


# Structure sets


def write_structures(path, regions, *, frame=FRAME, kinds=None):
    """Write a structure set of name -> outlines, (M, 3) LPS mm each, closed but for those of kinds."""
    dataset = plain_object(STRUCTURES_CLASS, modality="RTSTRUCT")
    dataset.StructureSetROISequence = Sequence(
        [
            item(ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID=frame)
            for number, name in enumerate(regions, start=3)
        ]
    )
    dataset.ROIContourSequence = Sequence(
        [
            item(
                ReferencedROINumber=number,
                ContourSequence=Sequence(
                    [
                        item(
                            ContourGeometricType=(kinds or {}).get(name, "CLOSED_PLANAR"),
                            NumberOfContourPoints=len(corners),
                            ContourData=[f"{value:.4f}" for value in np.ravel(corners)],
                        )
                        for corners in contours
                    ]
                ),
            )
            for number, (name, contours) in enumerate(regions.items(), start=3)
        ]
    )
    return save(dataset, path)


ANGLES = np.linspace(0, 2 * np.pi, 180, endpoint=False)
CENTRE = np.array([9.137, -7.713])
"""Middle of the discs in LPS x and y, on no voxel and no border."""


def disc_contours(radius=9.3, *, slices=range(3, 9), centre=CENTRE):
    """Return a disc drawn on slices of the scan."""
    circle = centre + radius * np.c_[np.cos(ANGLES), np.sin(ANGLES)]
    return [np.c_[circle, np.full(len(circle), -50.0 + 3.0 * z)] for z in slices]


def disc_voxels(radius=9.3, *, slices=range(3, 9), centre=CENTRE):
    """Return the voxels whose centres lie in the disc."""
    x, y = np.meshgrid(-20 + 1.5 * np.arange(SHAPE[0]), -31 + 1.25 * np.arange(SHAPE[1]), indexing="ij")
    inside = np.zeros(SHAPE, dtype=bool)
    inside[..., list(slices)] = (np.hypot(x - centre[0], y - centre[1]) < radius)[..., np.newaxis]
    return inside


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


@pytest.mark.parametrize("off_mm", [0.02, 0.2])
def test_outlines_of_one_slice_that_lie_a_little_off_each_other_go_together(tmp_path, off_mm):
    """Heights are often rounded to 0.1 mm, and not alike for all: holes stay open, and parts keep their thickness."""
    beside = CENTRE + np.array([-13.0, 18.0])
    others = [*disc_contours(5.0), *disc_contours(4.0, centre=beside)]
    contours = [*disc_contours(), *(corners + np.array([0, 0, off_mm]) for corners in others)]
    path = write_structures(tmp_path / "rs.dcm", {"ring and part": contours})
    expected = (disc_voxels() & ~disc_voxels(5.0)) | disc_voxels(4.0, centre=beside)
    found = read_label_file(path, scan=scan()).volume.array
    np.testing.assert_array_equal(found, 3 * expected)


def test_corners_of_oblique_outlines_may_be_rounded_to_a_tenth_of_a_millimetre(tmp_path):
    lps = np.diag([-1, -1, 1, 1.0]) @ OBLIQUE
    box, hole = (
        np.array([[low, low], [high, low], [high, 20.3], [low, 20.3]])
        for low, high in ((5.2, 25.3), (10.2, 15.3))
    )
    contours = [
        np.round(np.c_[corners, np.full(4, z)] @ lps[:3, :3].T + lps[:3, 3], 1)
        for corners in (box, hole - [0, 3])
        for z in range(3, 9)
    ]
    path = write_structures(tmp_path / "rs.dcm", {"frame": contours})
    expected = np.zeros(SHAPE, dtype=bool)
    expected[6:26, 6:21, 3:9] = True
    expected[11:16, 8:18, 3:9] = False
    np.testing.assert_array_equal(read_label_file(path, scan=scan(OBLIQUE)).volume.array, 3 * expected)


@pytest.mark.parametrize("apart_mm", [0.1, 0.2, 0.25, 0.3])
def test_outlines_on_slices_of_a_much_finer_scan_lie_in_planes_of_their_own(tmp_path, apart_mm):
    """Two neighbours that were taken as of one slice would cancel each other out."""
    slices = np.arange(3, 8 + 1e-6, apart_mm / 3.0)
    contours = [disc_contours(9.3 + 1e-3 * (k % 2), slices=[z])[0] for k, z in enumerate(slices)]
    path = write_structures(tmp_path / "rs.dcm", {"disc": contours})
    found = read_label_file(path, scan=scan()).volume.array
    np.testing.assert_array_equal(found[:, :, :8], 3 * disc_voxels()[:, :, :8])


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


def test_outlines_on_every_other_slice_reach_half_way(tmp_path):
    """Drawn 6 mm apart on slices of 3 mm: slices between two drawings belong to both, the ends reach 3 mm on."""
    path = write_structures(tmp_path / "rs.dcm", {"disc": disc_contours(slices=[3, 5, 7])})
    found = read_label_file(path, scan=scan()).volume.array > 0
    np.testing.assert_array_equal(found, disc_voxels(slices=range(2, 9)))


def test_outlines_far_from_each_other_count_for_their_own_slices(tmp_path):
    path = write_structures(tmp_path / "rs.dcm", {"disc": disc_contours(slices=[1, 6])})
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array > 0, disc_voxels(slices=[1, 6]))
    assert (
        found.remarks[0] == f"{path}: the outlines of 'disc' lie 15 mm apart; each counts for its own slice"
    )


def test_a_gap_between_two_parts_thickens_neither(tmp_path):
    """Three planes, 3 and 9 mm apart: the median of both would reach over the slices between, and beyond the ends."""
    path = write_structures(tmp_path / "rs.dcm", {"disc": disc_contours(slices=[3, 4, 7])})
    found = read_label_file(path, scan=scan()).volume.array > 0
    np.testing.assert_array_equal(found, disc_voxels(slices=[3, 4, 7]))


def test_outlines_in_planes_of_their_own_direction(tmp_path):
    """A disc drawn in coronal planes is a cylinder from front to back."""
    circle = np.array([8.31, -33.7]) + 8.2 * np.c_[np.cos(ANGLES), np.sin(ANGLES)]
    heights = np.arange(-10.0, 10.1, 2.0)
    contours = [np.c_[circle[:, 0], np.full(len(circle), height), circle[:, 1]] for height in heights]
    found = read_label_file(write_structures(tmp_path / "rs.dcm", {"x": contours}), scan=scan()).volume
    x, y, z = (found.world_from_voxel(np.indices(SHAPE).reshape(3, -1).T) * [-1, -1, 1]).T.reshape(3, *SHAPE)
    expected = (np.hypot(x - 8.31, z + 33.7) < 8.2) & (np.abs(y) <= 11.0)
    np.testing.assert_array_equal(found.array > 0, expected)


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


def test_an_outline_that_is_not_flat_is_refused(tmp_path):
    (bent,) = disc_contours(slices=[4])
    bent[::2, 2] += 2.0
    path = write_structures(tmp_path / "rs.dcm", {"bent": [*disc_contours(12.0, slices=[6]), bent]})
    with pytest.raises(InputFileError, match="an outline of 'bent' with corners 1 mm off its plane"):
        read_label_file(path, scan=scan())


def test_corners_on_a_row_of_places_are_crossed_once():
    """A diamond whose corners lie on the rows: crossing a corner must not count twice."""
    diamond = np.array([[0.0, -2.0], [2.0, 0.0], [0.0, 2.0], [-2.0, 0.0]])
    places = np.array([[-3.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [3.0, 0.0], [0.5, 1.0], [1.5, 1.0], [0.0, 5.0]])
    expected = [False, True, True, False, True, False, False]
    np.testing.assert_array_equal(Outlines([diamond]).shows(places), expected)
