"""Labels as other programs keep them, written by hand on one grid: `.seg.nrrd`, DICOM SEG and RTSTRUCT."""

import numpy as np
from pydicom.sequence import Sequence
from pydicom.uid import UID
from scipy.spatial.transform import Rotation

from anatomical_embedding.volumes.segments import LabelledScan
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
