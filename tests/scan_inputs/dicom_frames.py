"""The marked scan as multi-frame DICOM."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from tests.dicom_edits import item
from tests.dicom_slices import ENHANCED_CT_CLASS, OTHER_SERIES, REPORT_CLASS, SERIES, Layout, decimal, save
from tests.scan_inputs.dicom_series import (
    TILT_STEP,
    TILTED_MARKS_MM,
    blobs,
    every_second_enhanced,
    single,
    stack,
)
from tests.scan_inputs.marked_scan import HU, ScanInput
from tests.scan_inputs.written_files import changed, in_folder


def enhanced(
    name: str = "enhanced.dcm",
    *,
    order: tuple[int, ...] = tuple(range(HU.shape[2])),
    has_own_rescale: bool = False,
    orientation_of_frames: bool = False,
    num_frames: int | None = None,
    edit: Callable[[Dataset], None] = lambda dataset: None,
    **changes: Any,
) -> Callable[[Path], Path]:
    """Return a writer of one enhanced CT whose frames are slices of the scan in some order."""

    def write(folder: Path) -> Path:
        slices = stack(**changes)
        factor = [1 + k % 3 if has_own_rescale else 1 for k in range(len(slices.stored))]
        dataset = slices.dataset(0)
        dataset.SOPClassUID = ENHANCED_CT_CLASS
        orientation = item(ImageOrientationPatient=[decimal(value) for value in slices.orientation])
        measures = item(PixelSpacing=[decimal(slices.between_rows_mm), decimal(slices.between_columns_mm)])
        for keyword in (
            *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
            *("RescaleSlope", "RescaleIntercept"),
        ):
            delattr(dataset, keyword)
        shared = item(PixelMeasuresSequence=Sequence([measures]))
        if not orientation_of_frames:
            shared.PlaneOrientationSequence = Sequence([orientation])
        if not has_own_rescale:
            rescale = item(RescaleSlope="1", RescaleIntercept="-1024", RescaleType="HU")
            shared.PixelValueTransformationSequence = Sequence([rescale])
        groups = []
        for k in order:
            position = np.array(slices.origin_mm) + k * np.array(slices.step_mm)
            place = item(ImagePositionPatient=[decimal(value) for value in position])
            group = item(PlanePositionSequence=Sequence([place]))
            if orientation_of_frames:
                group.PlaneOrientationSequence = Sequence([orientation])
            if has_own_rescale:
                rescale = item(
                    RescaleSlope=decimal(1 / factor[k]), RescaleIntercept="-1024", RescaleType="HU"
                )
                group.PixelValueTransformationSequence = Sequence([rescale])
            groups.append(group)
        dataset.SharedFunctionalGroupsSequence = Sequence([shared])
        dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
        pixels = np.stack([slices.stored[k] * factor[k] for k in order])
        slices.layout.set(dataset, pixels[0])
        big_endian = slices.layout.syntax == ExplicitVRBigEndian
        dataset.PixelData = pixels.astype(">u2" if big_endian else "<u2").tobytes()
        dataset.NumberOfFrames = len(order) if num_frames is None else num_frames
        edit(dataset)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        return save(dataset, path, syntax=slices.layout.syntax)

    return write


def kernels_of_frames(dataset: Dataset) -> None:
    """Say of every second frame that it was made with another kernel."""
    for k, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        kernel = item(ConvolutionKernel="B70f" if k % 2 else "B30f")
        group.CTReconstructionSequence = Sequence([kernel])


def in_two_parts(number: int) -> Callable[[Path], Path]:
    """Return a writer of one half of an enhanced CT that was divided into two files, a concatenation."""

    def edit(dataset: Dataset) -> None:
        dataset.ConcatenationUID, dataset.SOPInstanceUID = f"{SERIES}.9", f"{SERIES}.{90 + number}"
        dataset.InConcatenationNumber, dataset.InConcatenationTotalNumber = number, 2

    half = HU.shape[2] // 2
    frames = tuple(range(half * (number - 1), half * number))
    return enhanced(f"part{number}.dcm", order=frames, edit=edit)


def _shuffled() -> tuple[int, ...]:
    return tuple(int(k) for k in np.random.default_rng(3).permutation(HU.shape[2]))


MULTI_FRAME_INPUTS = {
    "multi-frame": ScanInput(enhanced()),
    "multi-frame without an ending": ScanInput(enhanced("1.2.3.4")),
    "multi-frame in any order": ScanInput(enhanced(order=_shuffled())),
    "multi-frame every frame its own rescale": ScanInput(enhanced(has_own_rescale=True, order=_shuffled())),
    "multi-frame every frame its own orientation": ScanInput(enhanced(orientation_of_frames=True)),
    "multi-frame big-endian": ScanInput(enhanced(layout=Layout(syntax=ExplicitVRBigEndian))),
    "multi-frame RLE": ScanInput(enhanced(order=_shuffled(), layout=Layout(syntax=RLELossless))),
    "multi-frame alone in its folder": ScanInput(in_folder(enhanced())),
    "multi-frame with a report in its folder": ScanInput(
        in_folder(enhanced(), single(REPORT_CLASS, "SR", "report.dcm")), remarks=("Basic Text SR Storage",)
    ),
    "multi-frame one frame a file": ScanInput(
        in_folder(*(enhanced(f"{k}.dcm", order=(k,)) for k in range(HU.shape[2])))
    ),
    "multi-frame with a file of one frame": ScanInput(
        in_folder(enhanced(), enhanced("scout.dcm", order=(0,), series=OTHER_SERIES)),
        remarks=("Left out scout.dcm: the one image of",),
    ),
    "multi-frame one frame in a file beside plain slices": ScanInput(
        in_folder(lambda folder: stack().write(folder), enhanced("AAA.dcm", order=(0,))),
        remarks=("Left out AAA.dcm: the one image of",),
    ),
    "multi-frame a frame is missing": ScanInput(
        enhanced(order=tuple(k for k in range(HU.shape[2]) if k != 1), stored=blobs()),
        remarks=("between enhanced.dcm frame 1 and enhanced.dcm frame 2",),
        is_resampled=True,
    ),
    "multi-frame tilted": ScanInput(
        enhanced(stored=blobs(), step_mm=tuple(TILT_STEP)),
        remarks=("gantry tilt of 15.0 degrees",),
        is_resampled=True,
        marks_mm=TILTED_MARKS_MM,
    ),
    "multi-frame two phases": ScanInput(
        enhanced(
            order=(*range(20), *range(20)),
            edit=lambda dataset: setattr(
                dataset,
                "PixelData",
                dataset.PixelData[: len(dataset.PixelData) // 2] + bytes(20 * 48 * 44 * 2),
            ),
        ),
        refusal="lies at the same place as",
    ),
    "multi-frame frames that are not there": ScanInput(
        enhanced(num_frames=25), refusal="holds 25 frames and says of 20 where they lie"
    ),
    "multi-frame cut short": ScanInput(
        lambda folder: changed(enhanced()(folder), lambda content: content[:-5000]), refusal="cut short"
    ),
    "multi-frame without places": ScanInput(
        enhanced(edit=lambda dataset: delattr(dataset, "PerFrameFunctionalGroupsSequence")),
        refusal="is a multi-frame file (20 frames, Enhanced CT Image Storage) that does not state their positions",
    ),
    "two multi-frame files": ScanInput(
        in_folder(enhanced("a.dcm"), enhanced("b.dcm")), refusal="holds 2 DICOM series, expected one"
    ),
    "multi-frame in two files": ScanInput(in_folder(in_two_parts(2), in_two_parts(1))),
    "multi-frame in two files, one named": ScanInput(
        in_two_parts(1), refusal="is one part of an image in 2 files, of which number 2 is not here"
    ),
    "multi-frame in two files, one there": ScanInput(
        in_folder(in_two_parts(2)), refusal="is one part of an image in 2 files, of which number 1 is not"
    ),
    "multi-frame two kernels in turns": ScanInput(
        enhanced(stored=every_second_enhanced(), edit=kernels_of_frames),
        refusal="frame 2 (B70f), and their images differ more than those of each alone; write the frames of one as",
    ),
    "multi-frame beside a series": ScanInput(
        in_folder(lambda folder: stack().write(folder), enhanced("b.dcm", series=OTHER_SERIES)),
        options={"series": "1"},
        remarks=("Left out b.dcm: the one image of series 2",),
    ),
}
