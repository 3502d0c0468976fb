"""Labels that are DICOM objects: segmentations (SEG) and structure sets (RTSTRUCT), brought to the voxels of a scan.

Both lie in the world of the series that they were drawn on, their frame of reference, and know nothing of its voxels
(DICOM PS3.3 C.8.20.2 and C.8.8.6).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.dicom_files import LABEL_MAP_STORAGE
from anatomical_embedding.volumes.dicom_frames import SHARED, read_frames
from anatomical_embedding.volumes.dicom_header import (
    FRAMES,
    DicomFile,
    name_of_uid,
    read_dataset,
    read_dicom_header,
    read_pixel_data,
    without_warnings,
)
from anatomical_embedding.volumes.dicom_outlines import outlined_regions
from anatomical_embedding.volumes.dicom_pixels import UNPACKED, read_all_stored
from anatomical_embedding.volumes.dicom_place import require_equal_slices
from anatomical_embedding.volumes.grid import Grid
from anatomical_embedding.volumes.label_planes import (
    Pixels,
    PlanarSegment,
    are_apart,
    same_plane_mm,
    step_along,
)
from anatomical_embedding.volumes.segments import (
    LabelledScan,
    Segment,
    label_map_of,
    names_by_number,
    usable_numbers,
)
from anatomical_embedding.volumes.volume import FoundVolume

BACKGROUND = 0
"""Number of the segment of a label map that is none."""
MOST_OUTSIDE, SAID_OUTSIDE = 0.5, 0.001


def is_dicom_labels(path: Path) -> bool:
    """Say whether a file is a DICOM object, and refuse one that holds no labels.

    Raises
    ------
    InputFileError
        naming what it is.
    """
    file = read_dicom_header(path)
    if file is None:
        return False
    if file.text("SOPClassUID") not in {SegmentationStorage, LABEL_MAP_STORAGE, RTStructureSetStorage}:
        kind = name_of_uid(file.text("SOPClassUID")) or "unknown kind"
        raise InputFileError(path, f"is a DICOM object ({kind}), expected a segmentation or a structure set")
    return True


def read_dicom_labels(path: Path, scan: LabelledScan) -> FoundVolume:
    """Return the label map of a DICOM segmentation or structure set on the voxels of its scan.

    Raises
    ------
    InputFileError
        if the object is broken, belongs to another frame of reference, or lies mostly outside the scan.
    """
    file = read_dicom_header(path)
    if file is None:
        raise InputFileError(path, "is not a DICOM object")
    dataset = read_dataset(path, stop_before_pixels=True)
    remarks: list[str] = []
    try:
        with without_warnings():
            _require_frame(dataset, scan, path=path, remarks=remarks)
            if file.text("SOPClassUID") == RTStructureSetStorage:
                drawn = outlined_regions(dataset, scan, path=path, remarks=remarks)
            else:
                drawn = _masked(file, dataset, scan.grid, remarks=remarks)
    except InputFileError:
        raise
    except Exception as error:  # of tags that are not there or not what they should be, in any way
        reason = " ".join(str(error).split())
        raise InputFileError(
            path, f"is not a sound DICOM object of labels ({reason}); export it again"
        ) from error
    if not drawn:
        raise InputFileError(path, " ".join(["shows no label.", *remarks]))
    _require_inside(drawn, scan.grid, path=path, remarks=remarks)
    segments = [Segment(each.number, each.name, each.voxels_on(scan.grid)) for each in drawn]
    volume, on_map = label_map_of(segments, grid=scan.grid)
    names = {each.number: each.name for each in drawn if each.name}
    return FoundVolume(volume, (*remarks, *on_map), names)


def _require_frame(dataset: Dataset, scan: LabelledScan, *, path: Path, remarks: list[str]) -> None:
    """Refuse labels of another world than the scan's; say where that is not known."""
    frames = {str(dataset.get("FrameOfReferenceUID") or "")}
    for sequence, keyword in (
        ("ReferencedFrameOfReferenceSequence", "FrameOfReferenceUID"),
        ("StructureSetROISequence", "ReferencedFrameOfReferenceUID"),
    ):
        frames |= {str(item.get(keyword) or "") for item in dataset.get(sequence) or []}
    frames -= {""}
    if not frames or not scan.frame_of_reference:
        remarks.append("its frame of reference cannot be compared with that of the scan")
        if len(frames) > 1:
            remarks.append(
                f"its labels lie in {len(frames)} frames of reference; some are drawn on another scan"
            )
    elif scan.frame_of_reference not in frames:
        raise InputFileError(
            path,
            f"lies in the frame of reference {sorted(frames)[0]}, the scan in {scan.frame_of_reference}: these labels "
            "were drawn on another scan; give those of this one",
        )


def _require_inside(drawn: Sequence[PlanarSegment], grid: Grid, *, path: Path, remarks: list[str]) -> None:
    """Refuse labels that lie mostly outside the scan; say what else does."""
    outside = [(each.name or str(each.number), each.share_outside(grid)) for each in drawn if each.planes]
    name, share = min(outside, key=lambda item: item[1], default=("", 0.0))
    if share > MOST_OUTSIDE:
        raise InputFileError(
            path,
            f"{share:.0%} of the label {name!r} lies outside the scan, and more of the others; give its own labels",
        )
    remarks += [
        f"{share:.0%} of the label {name!r} lies outside the scan"
        for name, share in outside
        if share > SAID_OUTSIDE
    ]


def _masked(file: DicomFile, dataset: Dataset, grid: Grid, *, remarks: list[str]) -> list[PlanarSegment]:
    """Return the segments of a segmentation object."""
    frames = read_frames(file)
    require_equal_slices(frames)
    axes = _axes(frames[0])
    between_rows, between_columns = frames[0].numbers("PixelSpacing", 2)
    spacing_mm = np.array([between_columns, between_rows])
    names = names_by_number(
        [(item.SegmentNumber, item.get("SegmentLabel")) for item in dataset.SegmentSequence], path=file.path
    )
    masks = _frame_masks(file, dataset, frames, remarks=remarks)
    background = set()
    if file.text("SOPClassUID") == LABEL_MAP_STORAGE:
        background = {BACKGROUND, int(dataset.get("PixelPaddingValue") or BACKGROUND)}
    unnamed = sorted({number for shown in masks for number in shown} - set(names) - background)
    if unnamed:
        raise InputFileError(
            file.path, f"draws a segment of the number {unnamed[0]} that it does not name; export it again"
        )
    numbers = [number for number in names if number not in background]
    places = [frame.numbers("ImagePositionPatient", 3) @ axes.T for frame in frames]
    reach_mm = _frame_gap_mm(dataset, [place[2] for place in places], step_along(grid, axes[2])) / 2.0
    return [
        PlanarSegment(
            label,
            names[number],
            axes,
            [
                (float(place[2]), Pixels(mask, place[:2], spacing_mm))
                for place, shown in zip(places, masks, strict=True)
                for of_segment, mask in shown.items()
                if of_segment == number
            ],
            reach_mm,
        )
        for label, number in zip(usable_numbers(numbers), numbers, strict=True)
    ]


def _frame_gap_mm(dataset: Dataset, heights_mm: Sequence[float], step_mm: float) -> float:
    """Return the distance of the slices that frames were drawn on, of which empty ones may be left out.

    It is stated, or that of the nearest two frames. A statement below the step of the scan, such as the gap between
    two slices instead of their distance, would leave holes.
    """
    gaps_mm = np.diff(sorted(heights_mm))
    within_mm = same_plane_mm(heights_mm, step_mm=step_mm)
    nearest_mm = min((gap for gap in gaps_mm if gap > within_mm), default=step_mm)
    groups = [*(dataset.get(SHARED) or []), *(dataset.get(FRAMES) or [])]
    measures = [measure for group in groups for measure in group.get("PixelMeasuresSequence") or []]
    stated_mm = float(next((measure.get("SpacingBetweenSlices") or 0.0 for measure in measures), 0.0))
    if stated_mm > 0:
        return min(nearest_mm, max(stated_mm, step_mm))
    return step_mm if are_apart(nearest_mm, step_mm=step_mm) else nearest_mm


def _axes(frame: DicomFile) -> NDArray[np.float64]:
    """Return the (3, 3) directions of columns, of rows and of their normal, LPS, a row each."""
    along_row, along_column = frame.numbers("ImageOrientationPatient", 6).reshape(2, 3)
    return np.stack([along_row, along_column, np.cross(along_row, along_column)])


def _frame_masks(
    file: DicomFile, dataset: Dataset, frames: Sequence[DicomFile], *, remarks: list[str]
) -> list[dict[int, NDArray[np.bool_]]]:
    """Return what each frame shows: segment number -> (rows, columns) mask, none that is empty."""
    if file.text("SOPClassUID") == LABEL_MAP_STORAGE:
        return [
            {int(number): pixels == number for number in np.unique(pixels) if number}
            for pixels in _stored(frames)
        ]
    numbers = [int(frame.number("ReferencedSegmentNumber")) for frame in frames]
    if str(dataset.SegmentationType) == "FRACTIONAL":
        highest = float(dataset.MaximumFractionalValue)
        stored = _stored(frames)
        most = max(int(pixels.max()) for pixels in stored)
        if 2.0 * most < highest:
            raise InputFileError(
                file.path,
                f"holds fractions of {most} of {highest:g} at most, and half and more counts as a label; export it as "
                "a binary segmentation",
            )
        masks = [2.0 * pixels >= highest for pixels in stored]
        kind = str(dataset.get("SegmentationFractionalType") or "fraction").lower()
        remarks.append(f"holds fractions ({kind}); half and more counts as the label")
    elif int(dataset.BitsAllocated) == 1:
        masks = _bits(file, shape=(len(frames), int(dataset.Rows), int(dataset.Columns)))
    else:
        masks = [pixels > 0 for pixels in _stored(frames)]
    return [{number: mask} if mask.any() else {} for number, mask in zip(numbers, masks, strict=True)]


def _stored(frames: Sequence[DicomFile]) -> list[NDArray]:
    """Return the stored numbers of all frames."""
    stored = []
    for pixels in read_all_stored(frames):
        if isinstance(pixels, InputFileError):
            raise pixels
        stored.append(pixels)
    return stored


def _bits(file: DicomFile, *, shape: tuple[int, int, int]) -> list[NDArray[np.bool_]]:
    """Return masks of one bit a pixel, which are packed over the borders of frames (DICOM PS3.5 8.1.1).

    Raises
    ------
    InputFileError
        if they are cut short, or compressed: nothing here unpacks single bits.
    """
    syntax = file.text("TransferSyntaxUID")
    if syntax not in UNPACKED:
        raise InputFileError(
            file.path,
            f"holds single bits that are packed as {name_of_uid(syntax)}; convert it first (to Explicit VR Little "
            "Endian)",
        )
    packed = np.frombuffer(read_pixel_data(file.path).PixelData, dtype=np.uint8)
    count = int(np.prod(shape))
    if len(packed) * 8 < count:
        raise InputFileError(file.path, f"is cut short: {len(packed) * 8} of {count} pixels; copy it again")
    return list(np.unpackbits(packed, count=count, bitorder="little").astype(bool).reshape(shape))
