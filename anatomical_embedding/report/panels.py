"""Slices through a query and its match: three planes of the template, three of the target.

Prepared volumes are ordered right to left, front to back and bottom to top of the patient. Slices are shown
as radiologists do: the patient's left on the right, front or top of the patient up.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.image
import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.volume import Volume

CT_WINDOW_HU = (-160.0, 340.0)
MR_WINDOW_PERCENTILES = (1.0, 99.0)
LARGEST_PICTURE_VOX = 200
"""Longer pictures are thinned: the page stays small."""
SMALLEST_FRAME_MM = 240.0
"""Side of the part of a slice that is shown, if the marks leave it at that."""
SPOT_SHARE = 0.022
"""Radius of a spot in an overview as a share of its width: large enough for a finger."""
FRAME_MARGIN_MM = 40.0
"""Anatomy shown beyond the outermost mark."""


@dataclass(frozen=True)
class Plane:
    """A way to cut a volume.

    Attributes
    ----------
    name : as radiologists call it.
    across, down : array axes that run along the picture's rows and columns; across < down.
    is_flipped : whether the picture's columns run against their axis, as from head to foot.
    """

    name: str
    across: int
    down: int
    is_flipped: bool

    @property
    def through(self) -> int:
        """The array axis that the plane cuts."""
        return 3 - self.across - self.down


PLANES = (
    Plane("axial", across=0, down=1, is_flipped=False),
    Plane("coronal", across=0, down=2, is_flipped=True),
    Plane("sagittal", across=1, down=2, is_flipped=True),
)


@dataclass(frozen=True)
class Mark:
    """A point to show.

    Attributes
    ----------
    kind : `query`, `match` or `truth`; the stylesheet gives each its colour.
    point_mm : (3,) world mm RAS+.
    """

    kind: str
    point_mm: NDArray[np.float64]


@dataclass(frozen=True)
class Arrow:
    """A line from a point to another.

    Attributes
    ----------
    kind : `agrees` or `differs`; the stylesheet gives each its colour.
    start_mm, end_mm : (3,) world mm RAS+.
    """

    kind: str
    start_mm: NDArray[np.float64]
    end_mm: NDArray[np.float64]


def show_planes(
    volume: Volume,
    *,
    window: tuple[float, float],
    centre_mm: NDArray[np.float64],
    marks: list[Mark],
    title: str,
    arrows: Sequence[Arrow] = (),
) -> Markup:
    """Return three slices through a point with marks; marks off a slice are projected onto it.

    Parameters
    ----------
    volume : prepared volume, LPS array order.
    window : intensities shown as black and white.
    centre_mm : (3,) world mm RAS+; the slices run through the voxel nearest to it.
    marks : crosses for query and match, a ring for the truth; all lie inside the pictures.
    title : said in the description of each slice.
    arrows : drawn from end to end, projected onto each slice.
    """
    centre = np.rint(volume.voxel_from_world(centre_mm)).astype(int)
    centre = np.clip(centre, 0, np.array(volume.shape) - 1)
    pictures = [
        _show_plane(
            volume,
            plane,
            index=int(centre[plane.through]),
            window=window,
            marks=marks,
            arrows=arrows,
            title=title,
        )
        for plane in PLANES
    ]
    return element("div", *pictures, class_="planes")


def show_overview(
    volume: Volume,
    *,
    window: tuple[float, float],
    points_mm: NDArray[np.float64],
    kind: str,
    title: str,
    names: Sequence[str],
) -> Markup:
    """Return the volume seen from the front, its depth averaged, with a spot to click at each point.

    Parameters
    ----------
    volume : prepared volume, LPS array order.
    window : intensities that are cut off before averaging.
    points_mm : (N, 3) world mm RAS+.
    kind : `query` or `match`; the stylesheet gives each its colour.
    title : description of the picture.
    names : of the points.
    """
    plane = next(plane for plane in PLANES if plane.name == "coronal")
    clipped = np.clip(np.asarray(volume.array, dtype=np.float32), *window)
    picture = clipped.mean(axis=plane.through).T[::-1]
    width_mm, height_mm = _extent_mm(volume, plane)
    image = element(
        "image",
        href=png_address(picture, (float(picture.min()), float(max(picture.max(), picture.min() + 1.0)))),
        x=0,
        y=0,
        width=f"{width_mm:.1f}",
        height=f"{height_mm:.1f}",
        preserveAspectRatio="none",
    )
    spots = []
    for number, (point_mm, name) in enumerate(zip(points_mm, names, strict=True)):
        across_mm, down_mm = position_in_picture(volume, plane, point_mm)
        place = {"cx": f"{across_mm:.1f}", "cy": f"{down_mm:.1f}", "r": f"{SPOT_SHARE * width_mm:.1f}"}
        spots.append(element("g", element("title", name), _spot(place, kind, number)))
    return element(
        "svg", image, *spots, viewBox=f"0 0 {width_mm:.1f} {height_mm:.1f}", role="img", aria_label=title
    )


def _spot(place: dict[str, str], kind: str, number: int) -> Markup:
    return element("circle", class_=f"spot {kind}", data_choose=number, **place)


def grey_window(volume: Volume, *, modality: Modality) -> tuple[float, float]:
    """Return the intensities shown as black and white: a soft-tissue window for CT, percentiles for MR."""
    if modality == "ct":
        return CT_WINDOW_HU
    low, high = np.percentile(volume.array[::2, ::2, ::2], MR_WINDOW_PERCENTILES)
    return float(low), max(float(high), float(low) + 1.0)


def picture_of(volume: Volume, plane: Plane, *, index: int) -> NDArray:
    """Return the (rows, columns) picture of a slice, the patient's front or head up."""
    # (down, across), a view: np.take would copy a whole array whose axes were swapped.
    picture = np.moveaxis(volume.array, plane.through, 0)[index].T
    return picture[::-1] if plane.is_flipped else picture


@dataclass(frozen=True)
class Frame:
    """The square part of a picture that is shown, in mm from the picture's left and upper edge."""

    left_mm: float
    top_mm: float
    side_mm: float


def frame_round(volume: Volume, plane: Plane, marks: list[Mark]) -> Frame:
    """Return a square round all marks, moved into the picture where it fits; round the picture if there are none."""
    if not marks:
        width_mm, height_mm = _extent_mm(volume, plane)
        side_mm = max(width_mm, height_mm)
        return Frame((width_mm - side_mm) / 2.0, (height_mm - side_mm) / 2.0, side_mm)
    positions = np.array([position_in_picture(volume, plane, mark.point_mm) for mark in marks])
    low, high = positions.min(axis=0), positions.max(axis=0)
    side_mm = max(SMALLEST_FRAME_MM, float((high - low).max()) + 2.0 * FRAME_MARGIN_MM)
    corner = []
    for middle, extent_mm in zip((low + high) / 2.0, _extent_mm(volume, plane), strict=True):
        room_mm = extent_mm - side_mm
        centred = float(np.clip(middle - side_mm / 2.0, 0.0, max(room_mm, 0.0)))
        corner.append(room_mm / 2.0 if room_mm < 0.0 else centred)
    return Frame(corner[0], corner[1], side_mm)


def _show_plane(
    volume: Volume,
    plane: Plane,
    *,
    index: int,
    window: tuple[float, float],
    marks: list[Mark],
    arrows: Sequence[Arrow],
    title: str,
) -> Markup:
    frame = frame_round(volume, plane, marks)
    picture = picture_of(volume, plane, index=index)
    column_mm, row_mm = volume.spacing_mm[plane.across], volume.spacing_mm[plane.down]
    columns = shown_pixels(frame.left_mm, frame.side_mm, column_mm, picture.shape[1])
    rows = shown_pixels(frame.top_mm, frame.side_mm, row_mm, picture.shape[0])
    picture = picture[rows, columns]
    image = element(
        "image",
        href=png_address(picture, window),
        x=f"{columns.start * column_mm:.1f}",
        y=f"{rows.start * row_mm:.1f}",
        width=f"{picture.shape[1] * column_mm:.1f}",
        height=f"{picture.shape[0] * row_mm:.1f}",
        preserveAspectRatio="none",
    )
    kinds = f" with {', '.join(mark.kind for mark in marks)}" if marks else ""
    drawn = [_draw_arrow(arrow, volume, plane) for arrow in arrows]
    drawn += [_draw(mark, volume, plane, size_mm=frame.side_mm) for mark in marks]
    return element(
        "svg",
        image,
        *drawn,
        viewBox=f"{frame.left_mm:.1f} {frame.top_mm:.1f} {frame.side_mm:.1f} {frame.side_mm:.1f}",
        role="img",
        aria_label=f"{title}: {plane.name} slice{kinds}",
    )


def shown_pixels(start_mm: float, side_mm: float, spacing_mm: float, length: int) -> slice:
    """Return the pixels of one axis of a picture that a frame shows; one at least."""
    first = int(np.clip(np.floor(start_mm / spacing_mm), 0, length - 1))
    return slice(first, int(np.clip(np.ceil((start_mm + side_mm) / spacing_mm), first + 1, length)))


def _extent_mm(volume: Volume, plane: Plane) -> tuple[float, float]:
    """Return width and height of the pictures of a plane."""
    extent_mm = np.array(volume.shape) * volume.spacing_mm
    return float(extent_mm[plane.across]), float(extent_mm[plane.down])


def _draw(mark: Mark, volume: Volume, plane: Plane, *, size_mm: float) -> Markup:
    across_mm, down_mm = position_in_picture(volume, plane, mark.point_mm)
    inner, outer = size_mm * 0.018, size_mm * 0.05
    if mark.kind == "truth":
        return element(
            "circle",
            cx=f"{across_mm:.1f}",
            cy=f"{down_mm:.1f}",
            r=f"{size_mm * 0.03:.1f}",
            class_="mark truth",
        )
    arms = [(-1, 0), (1, 0), (0, -1), (0, 1)]  # a cross that leaves the point itself free
    path = " ".join(
        f"M{across_mm + x * inner:.1f} {down_mm + y * inner:.1f}"
        f"L{across_mm + x * outer:.1f} {down_mm + y * outer:.1f}"
        for x, y in arms
    )
    return element("path", d=path, class_=f"mark {mark.kind}")


def _draw_arrow(arrow: Arrow, volume: Volume, plane: Plane) -> Markup:
    """Return a line with a dot where it begins."""
    places = [position_in_picture(volume, plane, end) for end in (arrow.start_mm, arrow.end_mm)]
    (x1, y1), (x2, y2) = [(f"{across:.1f}", f"{down:.1f}") for across, down in places]
    dot = element("circle", cx=x1, cy=y1, r=1.5)
    return element("g", dot, element("line", x1=x1, y1=y1, x2=x2, y2=y2), class_=f"arrow {arrow.kind}")


def position_in_picture(volume: Volume, plane: Plane, point_mm: NDArray[np.float64]) -> tuple[float, float]:
    """Return where a world point falls in a picture, in mm from its left and upper edge."""
    steps_mm = (volume.voxel_from_world(point_mm) + 0.5) * volume.spacing_mm
    down_mm = steps_mm[plane.down]
    if plane.is_flipped:
        down_mm = _extent_mm(volume, plane)[1] - down_mm
    return float(steps_mm[plane.across]), float(down_mm)


def png_address(picture: NDArray, window: tuple[float, float]) -> str:
    """Return a picture as the address of a PNG that holds itself."""
    step = -(-max(picture.shape) // LARGEST_PICTURE_VOX)
    stream = io.BytesIO()
    matplotlib.image.imsave(
        stream, np.asarray(picture[::step, ::step]), cmap="gray", vmin=window[0], vmax=window[1], format="png"
    )
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
