"""Registered pairs: checkerboards of fixed and moving volume before and after, and the overlap of every organ."""

import numpy as np

from anatomical_embedding.registration.starting_position import on_fixed_grid
from anatomical_embedding.report.inputs import RegisteredPair, ReportInputs
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.panels import show_planes
from anatomical_embedding.report.tables import Cell, number_cell, render_table
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.volume import Volume

TILE_MM = 40.0
"""Edge of a field of the checkerboard."""


def registrations(inputs: ReportInputs) -> Markup | None:
    """Return the section `Registrations`, None if nothing was registered."""
    if not inputs.registrations:
        return None
    note = element(
        "p",
        "Fields of the checkerboard show the fixed volume and the moving one in turn; edges run on from field to "
        "field where the two agree. The Dice overlap is between the organs of the fixed volume and those that were "
        "carried over.",
        class_="note",
    )
    return element(
        "section",
        element("h2", "Registrations"),
        note,
        *[_show_pair(pair) for pair in inputs.registrations],
        id="registrations",
    )


def checkerboard(first: Volume, second: Volume, *, tile_mm: float) -> Volume:
    """Return the two volumes in alternating cubes.

    Parameters
    ----------
    first, second : volumes on one grid; the cube at the origin shows the first.
    tile_mm : edge length of the cubes.
    """
    tiles = [
        np.floor(np.arange(size) * spacing / tile_mm).astype(int)
        for size, spacing in zip(first.shape, first.spacing_mm, strict=True)
    ]
    is_second = (tiles[0][:, None, None] + tiles[1][None, :, None] + tiles[2][None, None, :]) % 2 == 1
    return Volume(np.where(is_second, second.array, first.array), first.affine)


def _show_pair(pair: RegisteredPair) -> Markup:
    overlap = pair.overlap
    title = f"{overlap.registration}: {overlap.moving} onto {overlap.fixed}"
    fixed, moving, after = (
        read_volume(path) for path in (pair.fixed_path, pair.moving_path, pair.deformed_path)
    )
    low = float(moving.array.min())
    before = on_fixed_grid(moving, fixed, start=pair.start, is_label=False, fill_value=low)
    return element(
        "div",
        element("h3", title),
        element(
            "figure",
            element("figcaption", title),
            element(
                "div",
                _half("Before", fixed, before, title=f"{title}, before"),
                _half("After", fixed, after, title=f"{title}, after"),
                class_="halves",
            ),
            class_="example",
        ),
        _table(pair, caption=f"Overlap of organs: {title}"),
    )


def _half(name: str, fixed: Volume, other: Volume, *, title: str) -> Markup:
    centre_mm = fixed.world_from_voxel((np.array([fixed.shape]) - 1) / 2.0)[0]
    planes = show_planes(
        checkerboard(fixed, other, tile_mm=TILE_MM), modality="ct", centre_mm=centre_mm, marks=[], title=title
    )
    return element("div", element("p", name, class_="half-title"), planes)


def _table(pair: RegisteredPair, *, caption: str) -> Markup:
    mean_before, mean_after = pair.overlap.mean_dice
    rows = [
        [
            Cell(organ.organ),
            _number(organ.dice_before, 3),
            _number(organ.dice_after, 3),
            _number(organ.mean_distance_mm_after, 1),
            Cell(organ.reason),
        ]
        for organ in pair.overlap.organs
    ]
    rows.append([Cell("mean"), _number(mean_before, 3), _number(mean_after, 3), Cell(""), Cell("")])
    return render_table(
        ("Organ", "Dice before", "Dice after", "Surface distance mm", "Note"), rows, caption=caption
    )


def _number(value: float | None, decimals: int) -> Cell:
    return Cell("") if value is None else number_cell(value, f"{value:.{decimals}f}")
