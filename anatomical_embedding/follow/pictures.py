"""Pictures of lesions at one visit: the axial plane of the longest diameter, the mask's outline and both axes.

All pictures of a lesion show the same number of millimetres, so that its size can be compared by eye.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import contourpy
import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.history import History, read_scan_of
from anatomical_embedding.follow.measure_folder import masks_in_use
from anatomical_embedding.follow.recent_scans import RecentScans
from anatomical_embedding.follow.records import LesionRow, MeasurementRow, Visit
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.panels import (
    PLANES,
    grey_window,
    picture_of,
    png_address,
    position_in_picture,
    shown_pixels,
)
from anatomical_embedding.volumes.orientation import to_lps
from anatomical_embedding.volumes.volume import Volume

AXIAL = next(plane for plane in PLANES if plane.name == "axial")
SMALLEST_SIDE_MM = 60.0
SIDE_OF_DIAMETER = 2.5
"""Side of a picture in diameters of the lesion."""
INSIDE_LEVEL = 0.5
CROSS_SHARE = 0.06


@dataclass(frozen=True)
class ShownVisit:
    """The scan of a visit with its masks, in the order of pictures.

    Attributes
    ----------
    scan : intensities.
    masks : lesion numbers on the same voxels; None where there are none.
    window : intensities shown as black and white.
    """

    scan: Volume
    masks: Volume | None
    window: tuple[float, float]


def show_visit(
    history: History, visit: Visit, recent: RecentScans, *, sides_mm: Mapping[int, float]
) -> dict[int, Markup]:
    """Return a picture of each lesion that has a place in the view of a visit, by its number.

    Parameters
    ----------
    recent : scans that are in memory already.
    sides_mm : side of the pictures of each lesion, from `side_mm`.

    Raises
    ------
    UserError
        if the scan or the masks cannot be read any more.
    """
    scan = read_scan_of(visit, recent)
    masks = masks_in_use(history.folder, visit)
    volume = to_lps(scan.volume)
    shown = ShownVisit(
        volume, None if masks is None else to_lps(masks), grey_window(volume, modality=scan.modality)
    )
    pictures = {}
    for lesion in history.numbers:
        row, measured = history.row(lesion, visit.name), history.measurement(lesion, visit.name)
        centre_mm = _centre(row, measured)
        if row is not None and centre_mm is not None and volume.contains(centre_mm):
            title = f"lesion {lesion} at {visit.name}"
            pictures[lesion] = _show(
                shown, lesion, measured, centre_mm=centre_mm, side_mm=sides_mm[lesion], title=title
            )
    return pictures


def side_mm(history: History, lesion: int) -> float:
    """Return the side of the pictures of a lesion in mm: that of its largest diameter with room round it."""
    diameters = [row.long_axis_mm for row in history.measurements if row.lesion == lesion]
    return max(SMALLEST_SIDE_MM, SIDE_OF_DIAMETER * max(diameters, default=0.0))


def _centre(row: LesionRow | None, measured: MeasurementRow | None) -> NDArray[np.float64] | None:
    if measured is not None:
        return (np.array(measured.long_start_mm) + np.array(measured.long_end_mm)) / 2.0
    if row is None or not all(map(math.isfinite, row.point_mm)):
        return None
    return np.array(row.point_mm)


def _show(
    shown: ShownVisit,
    lesion: int,
    measured: MeasurementRow | None,
    *,
    centre_mm: NDArray[np.float64],
    side_mm: float,
    title: str,
) -> Markup:
    scan = shown.scan
    index = int(np.clip(np.rint(scan.voxel_from_world(centre_mm)[2]), 0, scan.shape[2] - 1))
    across_mm, down_mm = position_in_picture(scan, AXIAL, centre_mm)
    left_mm, top_mm = across_mm - side_mm / 2.0, down_mm - side_mm / 2.0
    steps_mm = scan.spacing_mm[:2]
    columns, rows = (
        shown_pixels(first, side_mm, step, size)
        for first, step, size in zip((left_mm, top_mm), steps_mm, scan.shape[:2], strict=True)
    )
    picture = picture_of(scan, AXIAL, index=index)[rows, columns]
    image = element(
        "image",
        href=png_address(picture, shown.window),
        x=f"{columns.start * steps_mm[0]:.2f}",
        y=f"{rows.start * steps_mm[1]:.2f}",
        width=f"{picture.shape[1] * steps_mm[0]:.2f}",
        height=f"{picture.shape[0] * steps_mm[1]:.2f}",
        preserveAspectRatio="none",
    )
    drawn = []
    if shown.masks is not None:
        mask = picture_of(shown.masks, AXIAL, index=index)[rows, columns] == lesion
        path = _outline(mask, first=(columns.start, rows.start), steps_mm=steps_mm)
        drawn.append(element("path", d=path, class_="outline") if path else None)
    if measured is None:
        drawn.append(_cross(across_mm, down_mm, reach_mm=CROSS_SHARE * side_mm))
    else:
        drawn.append(_axis(scan, measured.long_start_mm, measured.long_end_mm, kind="long"))
        drawn.append(_axis(scan, measured.short_start_mm, measured.short_end_mm, kind="short"))
    return element(
        "svg",
        image,
        *drawn,
        viewBox=f"{left_mm:.2f} {top_mm:.2f} {side_mm:.2f} {side_mm:.2f}",
        role="img",
        aria_label=title,
    )


def _outline(mask: NDArray[np.bool_], *, first: tuple[int, int], steps_mm: NDArray[np.float64]) -> str:
    """Return the outline of a mask as a path: half way between its pixels and others, as diameters are measured."""
    lines = contourpy.contour_generator(z=np.pad(mask, 1).astype(float)).lines(INSIDE_LEVEL)
    places = [(np.asarray(line) - 1 + np.array(first) + 0.5) * steps_mm for line in lines]
    return " ".join("M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in place) + "Z" for place in places)


def _axis(scan: Volume, start_mm: tuple[float, ...], end_mm: tuple[float, ...], *, kind: str) -> Markup:
    (x1, y1), (x2, y2) = (position_in_picture(scan, AXIAL, np.array(end)) for end in (start_mm, end_mm))
    places = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return element("line", class_=f"axis {kind}", **{name: f"{value:.2f}" for name, value in places.items()})


def _cross(across_mm: float, down_mm: float, *, reach_mm: float) -> Markup:
    path = (
        f"M{across_mm - reach_mm:.2f} {down_mm:.2f}H{across_mm + reach_mm:.2f}"
        f"M{across_mm:.2f} {down_mm - reach_mm:.2f}V{down_mm + reach_mm:.2f}"
    )
    return element("path", d=path, class_="axis long")
