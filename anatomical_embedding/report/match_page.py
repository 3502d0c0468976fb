"""A page to try matching without a model or a server: the points of one pair of volumes, each a click away.

The pair is chosen by its rank, not by hand: the one whose median error is the median of all pairs. The pictures are
those of the report, computed in advance, so that the page opens offline.
"""

import numpy as np
import pandas as pd

from anatomical_embedding.index_file import IndexRow
from anatomical_embedding.report.document import render_document
from anatomical_embedding.report.inputs import EvaluatedMethod, Evaluation
from anatomical_embedding.report.markup import Content, Markup, element
from anatomical_embedding.report.match_panel import describe_marks, describe_match, show_match
from anatomical_embedding.report.names import landmark_words
from anatomical_embedding.report.numbers import millimetres
from anatomical_embedding.report.panels import grey_window, show_overview
from anatomical_embedding.volumes.nifti import map_volume

MOST_POINTS = 16
"""More would make the page heavy: each has six pictures."""

STYLE = """
.choose { display: flex; flex-wrap: wrap; gap: 0.35rem; margin: 0.75rem 0; }
.choose button {
  font: inherit; font-size: 0.9rem; padding: 0.3rem 0.7rem; min-height: 2rem; cursor: pointer; color: var(--ink);
  background: var(--raised); border: 1px solid var(--faint); border-radius: 999px;
}
.choose button[aria-pressed="true"] { border-color: var(--accent); color: var(--accent); font-weight: 600; }
.overviews { display: grid; grid-template-columns: repeat(2, minmax(0, 24rem)); gap: 0.75rem; }
.overviews svg { display: block; width: 100%; height: auto; background: #000000; border-radius: 6px; }
.spot { fill: rgb(0 0 0 / 0.01); stroke-width: 1.5px; vector-effect: non-scaling-stroke; cursor: pointer; }
.spot.query { stroke: #ffe14d; }
.spot.match { stroke: #ff9833; }
.spot.chosen { stroke-width: 4px; }
"""

SCRIPT = """
const figures = [...document.querySelectorAll("[data-figure]")];
const buttons = [...document.querySelectorAll(".choose button")];
const spots = [...document.querySelectorAll(".spot")];
const choose = (number) => {
  figures.forEach((figure) => { figure.hidden = figure.dataset.figure !== number; });
  buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.choose === number)));
  spots.forEach((spot) => spot.classList.toggle("chosen", spot.dataset.choose === number));
};
for (const chosen of [...buttons, ...spots]) chosen.addEventListener("click", () => choose(chosen.dataset.choose));
document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  const now = buttons.findIndex((button) => button.getAttribute("aria-pressed") === "true");
  const next = buttons[(now + step + buttons.length) % buttons.length];
  choose(next.dataset.choose);
  next.focus();
  event.preventDefault();
});
choose("0");
"""


def render_match_page(evaluations: list[Evaluation], *, title: str) -> str:
    """Return the page as the text of an HTML file that opens offline.

    Parameters
    ----------
    evaluations : the first one with an answer of a trained model is shown.
    title : title of the page.
    """
    methods = [evaluation.best_trained for evaluation in evaluations]
    method = next((method for method in methods if method is not None and len(_found(method))), None)
    if method is None:
        nothing = element(
            "p", "No trained model has answered a point in this run; there is nothing to click on."
        )
        return render_document(title, nothing)
    return render_document(title, *_content(method))


def _content(method: EvaluatedMethod) -> list[Content]:
    points = _points_of_one_pair(method)
    template, target = (method.volumes[points[column].iloc[0]] for column in ("template_id", "target_id"))
    rows = points.to_dict("records")
    overviews = [
        _overview("Click here", template, points, kind="query", prefix="query_"),
        _overview("Found here", target, points, kind="match", prefix=""),
    ]
    buttons = [
        element(
            "button", landmark_words(row["landmark"]), type="button", data_choose=number, aria_pressed="false"
        )
        for number, row in enumerate(rows)
    ]
    panels = [
        element(
            "div",
            show_match(
                method, row["query_id"], caption=describe_match(method, row["query_id"], heading="Match")
            ),
            data_figure=number,
            hidden=number > 0,
        )
        for number, row in enumerate(rows)
    ]
    return [
        element("style", Markup(STYLE)),
        _introduction(method, points),
        element("div", *overviews, class_="overviews"),
        element("div", *buttons, class_="choose", role="group", aria_label="Points"),
        element("div", *panels, aria_live="polite"),
        describe_marks(),
        element("script", Markup(SCRIPT)),
    ]


def _overview(title: str, volume: IndexRow, points: pd.DataFrame, *, kind: str, prefix: str) -> Markup:
    """Return a volume from the front with a spot at each point, whose columns begin with a prefix."""
    picture = map_volume(volume.image_path)
    return element(
        "div",
        element("p", f"{title}: {volume.volume_id}", class_="half-title"),
        show_overview(
            picture,
            window=grey_window(picture, modality=volume.modality),
            points_mm=points[[f"{prefix}{axis}_mm" for axis in "xyz"]].to_numpy(),
            kind=kind,
            title=f"{volume.volume_id} from the front",
            names=[landmark_words(landmark) for landmark in points["landmark"]],
        ),
    )


def _introduction(method: EvaluatedMethod, points: pd.DataFrame) -> Markup:
    return element(
        "p",
        f"A click on a point of the first volume shows where it lies in the second, as found by {method.name}. These "
        f"{len(points)} matches were computed in advance. The pair is the typical one of its evaluation, with the "
        "median of all pairs' errors: "
        f"{millimetres(float(points['error_mm'].median()))} mm. For any point of your own scans: ",
        element("code", "anatomical-embedding view A B --checkpoint model.safetensors"),
        ".",
    )


def _found(method: EvaluatedMethod) -> pd.DataFrame:
    """Return the answered queries with their points and errors."""
    errors = method.errors[["query_id", "error_mm"]]
    answers = method.matches[["query_id", "x_mm", "y_mm", "z_mm"]]
    table = method.queries.merge(answers, on="query_id").merge(errors, on="query_id")
    return table[np.isfinite(table[["error_mm", "x_mm"]]).all(axis=1)]


def _points_of_one_pair(method: EvaluatedMethod) -> pd.DataFrame:
    """Return queries of the pair of median rank, from head to foot, thinned evenly where there are many."""
    found = _found(method)
    pairs = found.groupby(["template_id", "target_id"])["error_mm"].median().sort_values(kind="stable")
    template_id, target_id = pairs.index[(len(pairs) - 1) // 2]
    points = found[(found["template_id"] == template_id) & (found["target_id"] == target_id)]
    points = points.sort_values(["query_z_mm", "query_id"], ascending=[False, True])
    kept = np.unique(np.linspace(0, len(points) - 1, min(MOST_POINTS, len(points))).round().astype(int))
    return points.iloc[kept]
