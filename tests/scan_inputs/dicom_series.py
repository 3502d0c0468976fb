"""The marked scan as a folder of DICOM slices."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from tests.dicom_edits import edited
from tests.dicom_slices import (
    DOSE_CLASS,
    MR_CLASS,
    OTHER_SERIES,
    PET_CLASS,
    REPORT_CLASS,
    SECONDARY_CAPTURE_CLASS,
    SERIES,
    Layout,
    Stack,
    plain_object,
    save,
)
from tests.scan_inputs.marked_scan import DIRECTIONS, HU, LPS, MARKS_VOX, ORIGIN_MM, SPACING_MM, ScanInput
from tests.scan_inputs.written_files import changed


def stack(**changes: Any) -> Stack:
    """Return the scan as a series of slices; stored numbers are HU plus 1024."""
    steps = DIRECTIONS * LPS[:, np.newaxis]
    defaults: dict[str, Any] = {
        "stored": (HU + 1024).transpose(2, 1, 0).astype(np.int64),
        "orientation": (*steps[:, 0], *steps[:, 1]),
        "origin_mm": tuple(ORIGIN_MM * LPS),
        "step_mm": tuple(steps[:, 2] * SPACING_MM[2]),
        "between_rows_mm": SPACING_MM[1],
        "between_columns_mm": SPACING_MM[0],
    }
    return Stack(**(defaults | changes))


def series(**changes: Any) -> Callable[[Path], Path]:
    """Return a writer of a folder of slices."""
    return lambda folder: stack(**changes).write(folder / "series")


def beside(*extras: Callable[[Path], Any], **changes: Any) -> Callable[[Path], Path]:
    """Return a writer of a folder of slices with other files beside them."""

    def write(folder: Path) -> Path:
        path = series(**changes)(folder)
        for extra in extras:
            extra(path)
        return path

    return write


def other_series(folder: Path) -> None:
    """Write another series of three slices of another body."""
    stack(
        stored=np.full((3, 44, 48), 900) + np.arange(48), series=OTHER_SERIES, name="b{:d}.dcm".format
    ).write(folder)


def localizer(folder: Path) -> None:
    """Write a localizer of the same series."""
    dataset = stack().dataset(3)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    save(dataset, folder / "scout.dcm")


def single(sop_class: Any, modality: str, name: str) -> Callable[[Path], Any]:
    """Return a writer of an object that is no slice."""
    return lambda folder: save(plain_object(sop_class, modality=modality), folder / name)


def padded() -> NDArray[np.int64]:
    """Return stored numbers with the padding -2000 around the field of view, without its sign."""
    stored = HU.T.astype(np.int64) + 1024
    stored[:, :8] = stored[:, -8:] = -2000 % 65536
    return stored


def blobs() -> NDArray[np.int64]:
    """Return stored numbers of a body that is the same everywhere, with the marks as soft balls."""
    x, y, z = np.meshgrid(*map(np.arange, HU.shape), indexing="ij")
    values = np.full(HU.shape, 50.0)
    values[:3], values[:, :3] = -1000.0, -1000.0
    for mark in MARKS_VOX:
        distance = (np.stack([x, y, z], axis=-1) - mark) * SPACING_MM
        values += 900 * np.exp(-(distance**2).sum(axis=-1) / (2 * 3.0**2))
    return np.rint(values + 1024).astype(np.int64).transpose(2, 1, 0)


def tilted(degrees: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the step of a tilted gantry in LPS mm, and the marks when every slice is shifted by it."""
    lean = np.tan(np.radians(degrees)) * SPACING_MM[2]
    step = DIRECTIONS[:, 2] * SPACING_MM[2] + DIRECTIONS[:, 1] * lean
    marks_mm = ORIGIN_MM + MARKS_VOX[:, :2] * SPACING_MM[:2] @ DIRECTIONS[:, :2].T + MARKS_VOX[:, 2:] * step
    return step * LPS, marks_mm


def missing(*numbers: int) -> Callable[[Path], Any]:
    """Return what takes slices out of a folder."""

    def remove(folder: Path) -> None:
        for number in numbers:
            (folder / f"IM{number:04d}.dcm").unlink()

    return remove


def another_acquisition(folder: Path) -> None:
    """Write an acquisition of the same series that begins within the scan, between its slices."""
    start_mm = ORIGIN_MM + DIRECTIONS[:, 2] * SPACING_MM[2] * 10.4
    stack(origin_mm=tuple(start_mm * LPS), name="B{:04d}.dcm".format, edit=edited(AcquisitionNumber=2)).write(
        folder
    )


def thin_slices(folder: Path) -> None:
    """Write a thinner reconstruction of the same series that begins within the scan, between its slices."""
    start_mm = ORIGIN_MM + DIRECTIONS[:, 2] * SPACING_MM[2] * 10.4
    stack(origin_mm=tuple(start_mm * LPS), name="B{:04d}.dcm".format, edit=edited(SliceThickness="1")).write(
        folder
    )


def in_turns(keyword: str, *values: Any) -> Callable[[Dataset, int], None]:
    """Return an edit that gives slices two values of a tag in turn, 1 and 2 unless others are given."""
    return lambda dataset, k: setattr(dataset, keyword, (values or (1, 2))[k % 2])


def every_second_enhanced() -> NDArray[np.int64]:
    """Return the stored numbers of a body of which every second slice shows contrast agent."""
    values = blobs()
    values[1::2][values[1::2] > 500] += 150
    return values


def of_two_patients(dataset: Dataset, k: int) -> None:
    """Say of the upper slices that they are another patient's."""
    dataset.PatientID = "A" if k < HU.shape[2] // 2 else "B"


TILT_STEP, TILTED_MARKS_MM = tilted(15.0)

DICOM_INPUTS = {
    "dicom": ScanInput(series()),
    "dicom names in another order": ScanInput(series(name=lambda k: f"IM{(7 * k) % 20:04d}")),
    "dicom implicit": ScanInput(series(layout=Layout(syntax=ImplicitVRLittleEndian))),
    "dicom big-endian": ScanInput(series(layout=Layout(syntax=ExplicitVRBigEndian))),
    "dicom RLE": ScanInput(series(layout=Layout(syntax=RLELossless))),
    "dicom 12 bits in the middle": ScanInput(series(layout=Layout(bits_stored=12, high_bit=13))),
    "dicom every slice its own rescale": ScanInput(
        series(
            stored=np.stack(
                [(plane + 1024) * (1 + k % 3) for k, plane in enumerate(HU.transpose(2, 1, 0))]
            ).astype(int),
            slope=lambda k: 1.0 / (1 + k % 3),
        )
    ),
    "dicom without rescale, in HU": ScanInput(
        series(
            stored=HU.transpose(2, 1, 0).astype(int),
            layout=Layout(is_signed=True),
            slope=lambda k: None,
            intercept=lambda k: None,
        ),
        remarks=("it gives no rescale; its values look like HU",),
    ),
    "dicom without rescale, stored numbers": ScanInput(
        series(slope=lambda k: None, intercept=lambda k: None), remarks=("1024",)
    ),
    "dicom downwards": ScanInput(
        series(
            stored=(HU[..., ::-1] + 1024).transpose(2, 1, 0).astype(int),
            origin_mm=tuple((ORIGIN_MM + DIRECTIONS[:, 2] * 3.0 * (HU.shape[2] - 1)) * LPS),
            step_mm=tuple(-DIRECTIONS[:, 2] * 3.0 * LPS),
        )
    ),
    "dicom with a localizer": ScanInput(beside(localizer), remarks=("Left out scout.dcm: a localizer",)),
    "dicom with a copy": ScanInput(
        beside(lambda folder: shutil.copy(folder / "IM0003.dcm", folder / "copy.dcm")),
        remarks=("the same as",),
    ),
    "dicom with a report, a dose and notes": ScanInput(
        beside(
            single(REPORT_CLASS, "SR", "report"),
            single(DOSE_CLASS, "RTDOSE", "dose"),
            lambda folder: (folder / "notes.txt").write_text("seen", encoding="utf-8"),
        ),
        remarks=("RT Dose Storage", "Basic Text SR Storage", "notes.txt: not a DICOM file"),
    ),
    "dicom two series": ScanInput(beside(other_series), refusal="holds 2 DICOM series, expected one"),
    "dicom two series, one told": ScanInput(
        beside(other_series), options={"series": "1"}, remarks=("images of series 2",)
    ),
    "dicom two series, told by UID": ScanInput(
        beside(other_series), options={"series": SERIES}, remarks=("images of series 2",)
    ),
    "dicom two series, another told": ScanInput(
        beside(other_series), options={"series": "9"}, refusal="holds no series 9, but series 1"
    ),
    "dicom gantry tilt": ScanInput(
        series(stored=blobs(), step_mm=tuple(TILT_STEP)),
        remarks=("gantry tilt of 15.0 degrees; resampled onto a straight grid",),
        is_resampled=True,
        marks_mm=TILTED_MARKS_MM,
    ),
    "dicom two slices missing": ScanInput(
        beside(missing(1, 18), stored=blobs()),
        remarks=("has unequal slice gaps: 6.000 mm",),
        is_resampled=True,
    ),
    "dicom many slices missing": ScanInput(
        beside(missing(5, 6, 7, 8)),
        refusal="has unequal slice gaps: 15.000 mm between IM0004.dcm and IM0009.dcm",
    ),
    "dicom positions of four digits": ScanInput(
        series(
            edit=lambda dataset, k: setattr(
                dataset, "ImagePositionPatient", [f"{float(x):.4f}" for x in dataset.ImagePositionPatient]
            )
        )
    ),
    "dicom slice distances that lie": ScanInput(
        series(edit=edited(SpacingBetweenSlices="1", SliceThickness="9", SliceLocation="7"))
    ),
    "dicom padding without a sign": ScanInput(
        series(stored=padded(), edit=edited(PixelPaddingValue=63536)),
        refusal="values below 0 were stored without their sign",
    ),
    "dicom numbers with exponents": ScanInput(
        series(edit=edited(RescaleSlope="1E0", RescaleIntercept="-1.024E+03"))
    ),
    "dicom another acquisition among its slices": ScanInput(
        beside(another_acquisition, edit=edited(AcquisitionNumber=1)),
        refusal="holds 2 acquisitions whose slices lie among each other at unequal distances",
    ),
    "dicom taken in turns": ScanInput(
        series(edit=in_turns("AcquisitionNumber")),
        remarks=("holds 2 acquisitions whose slices lie among each other", "they are taken as one volume"),
    ),
    "dicom of two acquisitions in turns": ScanInput(
        series(edit=in_turns("AcquisitionNumber"), stored=every_second_enhanced()),
        refusal="their images differ more than those of each alone; put the slices of one in a folder",
    ),
    "dicom of two echoes in turns": ScanInput(
        series(edit=in_turns("EchoTime"), stored=every_second_enhanced()),
        refusal="holds 2 stacks whose slices lie among each other, such as IM0000.dcm (EchoTime 1",
    ),
    "dicom of two kernels in turns": ScanInput(
        series(edit=in_turns("ConvolutionKernel", "B30f", "B70f"), stored=every_second_enhanced()),
        refusal="holds 2 stacks whose slices lie among each other, such as IM0000.dcm (ConvolutionKernel B30f",
    ),
    "dicom of thick and thin slices at unequal distances": ScanInput(
        beside(thin_slices, edit=edited(SliceThickness="3")),
        refusal="(SliceThickness 3) and B0000.dcm (1); put the slices of one in a folder of its own",
    ),
    "dicom projections": ScanInput(
        series(edit=edited(ImageType=["DERIVED", "SECONDARY", "MIN IP"])),
        remarks=("a projection through several slices",),
    ),
    "dicom of two patients": ScanInput(
        series(edit=of_two_patients), refusal="IM0010.dcm: is of another patient than IM0000.dcm"
    ),
    "dicom mosaics": ScanInput(
        series(
            modality="MR",
            sop_class=MR_CLASS,
            edit=edited(ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]),
        ),
        refusal="is a mosaic of all slices of a volume, which does not state their positions, expected grey slices",
    ),
    "dicom in metres": ScanInput(
        series(
            step_mm=tuple(DIRECTIONS[:, 2] * 0.003 * LPS), between_rows_mm=0.0015, between_columns_mm=0.002
        ),
        refusal="is 0.096 mm long by its header",
    ),
    "dicom in micrometres": ScanInput(
        series(
            step_mm=tuple(DIRECTIONS[:, 2] * 3000.0 * LPS), between_rows_mm=1500.0, between_columns_mm=2000.0
        ),
        refusal="is 96000 mm long by its header",
    ),
    "dicom far away": ScanInput(
        series(origin_mm=(1e7, 0.0, 0.0)), refusal="by its header, which is not a valid position"
    ),
    "dicom cut short": ScanInput(
        beside(lambda folder: changed(folder / "IM0007.dcm", lambda content: content[:-300])),
        refusal="IM0007.dcm: is cut short",
    ),
    "dicom PET": ScanInput(
        series(sop_class=PET_CLASS, modality="PT"), refusal="PT (Positron Emission Tomography Image Storage)"
    ),
    "dicom PET that does not say so": ScanInput(
        series(sop_class=PET_CLASS, edit=edited(Modality="")),
        refusal="PT (Positron Emission Tomography Image Storage)",
    ),
    "dicom ultrasound": ScanInput(
        series(
            sop_class="1.2.840.10008.5.1.4.1.1.6.1",
            modality="US",
            edit=edited(ImagePositionPatient=None, ImageOrientationPatient=None),
        ),
        refusal="Ultrasound Image Storage",
    ),
    "dicom captures": ScanInput(
        series(
            sop_class=SECONDARY_CAPTURE_CLASS,
            edit=edited(ImagePositionPatient=None, ImageOrientationPatient=None),
        ),
        refusal="Secondary Capture Image Storage that does not state its position",
    ),
    "dicom one slice": ScanInput(
        lambda folder: series()(folder) / "IM0003.dcm", refusal="is one slice of a series; name the folder"
    ),
    "dicom empty folder": ScanInput(lambda folder: folder, refusal="The folder is empty"),
}
