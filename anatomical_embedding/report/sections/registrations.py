"""Registered pairs: what became of each, and for some the volumes on one another, the matches and the map."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from anatomical_embedding.evaluation.registration.landmark_errors import (
    AFFINE,
    BODY_BOXES,
    DEFORMABLE,
    START,
    jacobian_determinant,
)
from anatomical_embedding.evaluation.registration.organ_overlap import PairOverlap
from anatomical_embedding.registration.displacement_field import read_field
from anatomical_embedding.registration.guided_start import body_boxes_centred
from anatomical_embedding.registration.shared_view import seen_from
from anatomical_embedding.registration.starting_position import on_fixed_grid
from anatomical_embedding.report.figures import Chart, legend
from anatomical_embedding.report.inputs import ReportInputs
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.numbers import millimetres
from anatomical_embedding.report.panels import Arrow, grey_window, show_planes
from anatomical_embedding.report.registration_inputs import Guide, RegisteredPair
from anatomical_embedding.report.tables import Cell, known_cell, number_cell, render_table
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.affine import invert_affine, transform_points
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.volume import Volume

TILE_MM = 40.0
"""Edge of a field of the checkerboard."""
NUM_SHOWN = 3
"""Pairs of a registration that are shown in full: those that failed, then those with the largest errors."""
NUM_ARROWS = 150
NUM_BINS = 40
WHITE = 255.0
ONE_DECIMAL, THREE_DECIMALS = "{:.1f}".format, "{:.3f}".format
JACOBIAN_WINDOW = (0.0, 2.0)
MAPS = {
    START: "before",
    BODY_BOXES: "bodies centred",
    AFFINE: "affine",
    DEFORMABLE: "deformable",
}


def registrations(inputs: ReportInputs) -> Markup | None:
    """Return the section `Registrations`, None if nothing was registered."""
    if not inputs.registrations:
        return None
    note = element(
        "p",
        "Squares of the checkerboard show the fixed volume and the moving one in turn; edges continue from square "
        "to square where the two agree. The Dice overlap is between the organs of the fixed volume and those that were "
        "carried over; distances are median errors of landmarks that both volumes show, after each step, of those that "
        "the run file calls the headline where it names some. A pair "
        "whose correspondences do not agree on a map fails: it starts with the bodies centred on one another and "
        "is not used for training.",
        class_="note",
    )
    groups = groupby(inputs.registrations, key=lambda pair: pair.overlap.registration)
    return element(
        "section",
        element("h2", "Registrations"),
        note,
        *[_show_registration(name, list(pairs)) for name, pairs in groups],
        id="registrations",
    )


def registration_sentence(name: str, pairs: Sequence[RegisteredPair]) -> str:
    """Return the outcome of one registration in a sentence."""
    failed = sum(pair.guide is not None and pair.guide.start.status == "failed" for pair in pairs)
    text = f"Registration {name}: {len(pairs)} pairs"
    if pairs[0].guide is not None:
        text += f", {failed} failed"
    errors = [
        f"{title} {millimetres(float(np.median(medians)))} mm"
        for key, title in MAPS.items()
        if (medians := [pair.errors.shown[key].median_mm for pair in pairs if key in pair.errors.shown])
    ]
    return f"{text}; median landmark error {', '.join(errors)}." if errors else f"{text}."


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


def _show_registration(name: str, pairs: list[RegisteredPair]) -> Markup:
    return element(
        "div",
        element("h3", name),
        element("p", registration_sentence(name, pairs)),
        _pair_table(pairs, caption=f"Pairs of {name}"),
        *[_show_pair(pair) for pair in sorted(pairs, key=_concern, reverse=True)[:NUM_SHOWN]],
    )


def _concern(pair: RegisteredPair) -> tuple[bool, float]:
    """Return what pairs are sorted by: failed ones, then those with the largest error after registration."""
    has_failed = pair.guide is not None and pair.guide.start.status == "failed"
    errors = pair.errors.shown.get(DEFORMABLE)
    return has_failed, errors.median_mm if errors else 0.0


def _pair_table(pairs: Sequence[RegisteredPair], *, caption: str) -> Markup:
    maps = [key for key in MAPS if any(key in pair.errors.shown for pair in pairs)]
    is_guided = any(pair.guide for pair in pairs)
    headers = ["Pair", *(["Start", "Share of matches that agree"] if is_guided else [])]
    headers += [f"{MAPS[key].capitalize()} mm" for key in maps]
    headers += ["Dice before deeds", "Dice after", "Folding"]
    rows = []
    for pair in pairs:
        row = [Cell(f"{pair.overlap.moving} onto {pair.overlap.fixed}")]
        if is_guided:
            start = pair.guide.start if pair.guide else None
            row += [
                Cell(f"{start.status}: {start.reason}" if start and start.reason else "found"),
                known_cell(start.num_inliers / max(start.num_kept, 1) if start else None, "{:.2f}".format),
            ]
        row += [
            known_cell(pair.errors.shown[key].median_mm if key in pair.errors.shown else None, ONE_DECIMAL)
            for key in maps
        ]
        row += [known_cell(mean, THREE_DECIMALS) for mean in pair.overlap.mean_dice]
        row.append(number_cell(pair.errors.folding_share, f"{100 * pair.errors.folding_share:.2f} %"))
        rows.append(row)
    return render_table(headers, rows, caption=caption)


def _show_pair(pair: RegisteredPair) -> Markup:
    title = pair.title
    fixed, moving, after = (
        read_volume(path) for path in (pair.fixed.image_path, pair.moving.image_path, pair.deformed_path)
    )
    grid = on_fixed_grid(fixed, after, start="world", is_label=False, fill_value=float(fixed.array.min()))
    fixed_shades = shades(grid, like=fixed, modality=pair.fixed.modality)
    halves = [
        _half(name, checkerboard(fixed_shades, other, tile_mm=TILE_MM), title=f"{title}, {name}")
        for name, other in _positions(pair, moving=moving, after=after).items()
    ]
    determinant = Volume(jacobian_determinant(read_field(pair.field_path)), after.affine)
    halves.append(
        _half(
            "Jacobian determinant: grey keeps the volume, black folds, white doubles it",
            determinant,
            window=JACOBIAN_WINDOW,
            title=f"{title}, Jacobian determinant",
        )
    )
    parts = [element("div", *halves, class_="halves")]
    if pair.guide is not None:
        parts += _show_guide(pair.guide, fixed, modality=pair.fixed.modality, title=title)
    if pair.overlap.organs:
        parts.append(
            element(
                "details",
                element("summary", "Overlap of each organ"),
                organ_table(pair.overlap, caption=f"Overlap of organs: {title}"),
            )
        )
    return element("figure", element("figcaption", title), *parts, class_="example")


def shades(volume: Volume, *, like: Volume, modality: Modality) -> Volume:
    """Return the volume in shades from 0, black, to 255, white, by the window of another one, such as the whole."""
    low, high = grey_window(like, modality=modality)
    return Volume(((volume.array - low) / (high - low)).clip(0.0, 1.0) * WHITE, volume.affine)


def _positions(pair: RegisteredPair, *, moving: Volume, after: Volume) -> dict[str, Volume]:
    """Return the moving volume at each stage on the registered grid, in shades."""
    low = float(moving.array.min())
    on_grid = {}
    if pair.guide is None:
        on_grid["Before"] = on_fixed_grid(moving, after, start=pair.lay_at, is_label=False, fill_value=low)
    else:
        bodies = (
            read_volume(row.body_mask_path, require_contrast=False) for row in (pair.fixed, pair.moving)
        )
        for name, matrix in (
            ("Bodies centred on one another", body_boxes_centred(*bodies)),
            ("After the start found by the embeddings", pair.guide.start.matrix),
        ):
            placed = seen_from(moving, matrix)
            on_grid[name] = on_fixed_grid(placed, after, start="world", is_label=False, fill_value=low)
    on_grid["After deeds"] = after
    return {
        name: shades(volume, like=moving, modality=pair.moving.modality) for name, volume in on_grid.items()
    }


def _half(name: str, volume: Volume, *, title: str, window: tuple[float, float] = (0.0, WHITE)) -> Markup:
    planes = show_planes(volume, window=window, centre_mm=volume.centre_mm, marks=[], title=title)
    return element("div", element("p", name, class_="half-title"), planes)


def _show_guide(guide: Guide, fixed: Volume, *, modality: Modality, title: str) -> list[Markup]:
    """Return arrows from matched points to where the start takes their matches back, and two histograms."""
    found, start = guide.correspondences, guide.start
    returned = transform_points(invert_affine(start.matrix), found.moving_mm)
    residual_mm = np.linalg.norm(returned - found.fixed_mm, axis=1)
    agrees = residual_mm <= guide.inlier_distance_mm
    kept = np.flatnonzero(found.is_kept)
    arrows = [
        Arrow("agrees" if agrees[index] else "differs", found.fixed_mm[index], returned[index])
        for index in kept[:: max(1, len(kept) // NUM_ARROWS)]
    ]
    key = element(
        "p",
        "Matches: lines run from points of the fixed volume to where the start takes their matches back, ",
        element("span", "green", class_="key agrees"),
        " if they agree with it, ",
        element("span", "red", class_="key differs"),
        " if not.",
        class_="half-title",
    )
    planes = show_planes(
        fixed,
        window=grey_window(fixed, modality=modality),
        centre_mm=fixed.centre_mm,
        marks=[],
        arrows=arrows,
        title=f"{title}, matches",
    )
    charts = [
        _histogram(
            found.similarity,
            found.similarity[found.is_kept],
            "Similarity (mean cosine)",
            f"{title}: similarity",
        ),
        _histogram(
            residual_mm, residual_mm[found.is_kept], "Residual mm", f"{title}: residuals of the start"
        ),
    ]
    return [
        element("div", key, planes),
        legend([(1, "all matches"), (0, "similar and consistent ones")]),
        element("div", *charts, class_="charts"),
    ]


def _histogram(everything: np.ndarray, kept: np.ndarray, label: str, caption: str) -> Markup:
    """Return the histograms of all matches and of those that were kept."""
    chart = Chart(description=caption, x_label=label, y_label="Matches")
    edges = np.linspace(everything.min(), np.percentile(everything, 99.0) + 1e-6, NUM_BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2.0
    for values, series in ((everything, 1), (kept, 0)):
        chart.line(middles, np.histogram(values, edges)[0], series=series)
    return chart.render(caption=caption)


def organ_table(overlap: PairOverlap, *, caption: str) -> Markup:
    """Return a table of the organs of a pair and their mean, whose cells are empty where nothing is known."""
    rows = [
        [
            Cell(organ.organ),
            known_cell(organ.dice_before, THREE_DECIMALS),
            known_cell(organ.dice_after, THREE_DECIMALS),
            known_cell(organ.mean_distance_mm_after, ONE_DECIMAL),
            known_cell(organ.p95_distance_mm_after, ONE_DECIMAL),
            Cell(organ.reason),
        ]
        for organ in overlap.organs
    ]
    means = [known_cell(mean, THREE_DECIMALS) for mean in overlap.mean_dice]
    rows.append([Cell("mean"), *means, Cell(""), Cell(""), Cell("")])
    headers = ("Organ", "Dice before", "Dice after", "Surfaces apart mm", "95th percentile mm", "Note")
    return render_table(headers, rows, caption=caption)
