"""Points of one scan found in another."""

from numpy.typing import ArrayLike

from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.answers import Answers, answer_points, refine_answers
from anatomical_embedding.matching.nearest import similarity_map
from anatomical_embedding.usage.model import Model
from anatomical_embedding.usage.scans import EmbeddedScan, require_scans_of
from anatomical_embedding.volumes.volume import Volume


def match_points(
    model: Model,
    template: EmbeddedScan,
    target: EmbeddedScan,
    points_mm: ArrayLike,
    *,
    method: str | None = None,
    refine: bool = False,
) -> Answers:
    """Return where points of one scan lie in another, and how far each answer can be relied on.

    Parameters
    ----------
    template, target : scans embedded by this model; they may be the same.
    points_mm : (N, 3) mm RAS+ in the template's world.
    method : name of one of the model's ways of matching, such as `nearest` or `stable_points`; None for its own choice.
    refine : move each match from its cell to the voxel, where the scans themselves tell the place; both have to be
        scans of one modality, not stores.

    Raises
    ------
    UserError
        if the model has no such way of matching, or a scan was embedded by another model, or cannot refine matches.
    """
    require_scans_of(model, template, target)
    usage = model.card.usage
    name = method or usage.answers.method
    answers = answer_points(
        template.searchable,
        target.searchable,
        points_mm,
        template_body=template.body_mask,
        method=usage.method(name),
        confidence=model.card.confidence.get(name),
        settings=usage.answers,
    )
    return _refined(model, template, target, points_mm, answers) if refine else answers


def _refined(
    model: Model, template: EmbeddedScan, target: EmbeddedScan, points_mm: ArrayLike, answers: Answers
) -> Answers:
    """Return answers moved to the voxel by the scans."""
    settings = model.card.usage.answers.refinement
    if settings is None:
        raise UserError(
            f"the model {model.path} was packaged by a version that did not refine matches; package it again, or "
            "leave refine out"
        )
    if template.raw is None or target.raw is None:
        cell_only = template if template.raw is None else target
        raise UserError(
            f"{cell_only.name} is a store, which answers in cells; name the scan itself to refine matches by it"
        )
    if template.modality != target.modality:
        raise UserError(
            f"{template.name} is a scan of modality {template.modality}, {target.name} of {target.modality}; matches "
            "are refined between scans of one modality only"
        )
    return refine_answers(answers, template.raw.volume, target.raw.volume, points_mm, settings=settings)


def map_similarity(model: Model, template: EmbeddedScan, target: EmbeddedScan, point_mm: ArrayLike) -> Volume:
    """Return how similar each fine cell of the target is to one point of the template, float32 in [-1, 1].

    Raises
    ------
    UserError
        if the point lies outside the template, or a scan was embedded by another model.
    """
    require_scans_of(model, template, target)
    return similarity_map(template.embedded, target.searchable, point_mm, settings=target.matching)
