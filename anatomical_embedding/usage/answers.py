"""Points of one scan found in another."""

from dataclasses import replace

from numpy.typing import ArrayLike

from anatomical_embedding.arguments import point_array
from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.answers import Answers, answer_points
from anatomical_embedding.matching.found_points import Scans
from anatomical_embedding.matching.nearest import similarity_map
from anatomical_embedding.settings.matching import Refinement
from anatomical_embedding.usage.model import Model
from anatomical_embedding.usage.refinement import refined_pair
from anatomical_embedding.usage.scans import EmbeddedScan, require_scans_of
from anatomical_embedding.volumes.volume import Volume


def match_points(
    model: Model,
    template: EmbeddedScan,
    target: EmbeddedScan,
    points_mm: ArrayLike,
    *,
    method: str | None = None,
    refinement: Refinement | None = None,
) -> Answers:
    """Return where points of one scan lie in another, and how far each answer can be relied on.

    Parameters
    ----------
    template, target : scans embedded by this model; they may be the same.
    points_mm : (N, 3) mm RAS+ in the template's world.
    method : name of one of the model's ways of matching, such as `nearest` or `stable_points`; None for its own choice.
    refinement : how a match moves on from its cell; None as the settings of the scans say, which for delivered models
        is `voxel` where two raw scans are asked, and else `parabolic`; `refined` says which it was.

    Raises
    ------
    UserError
        if the model has no such way of matching, or a scan was embedded by another model, or `voxel` is asked for and
        one of them is a store, or the points are of another shape.
    """
    require_scans_of(model, template, target)
    pair = refined_pair(template, target, refinement)
    usage = model.card.usage
    name = method or usage.answers.method
    answers = answer_points(
        pair.template.searchable,
        pair.target.searchable,
        point_array(points_mm),
        template_body=template.body_mask,
        method=usage.method(name),
        confidence=model.card.confidence.get(name),
        find_anchors=lambda: pair.template.anchors_to(pair.target, settings=usage.confidence.evidence),
        scans=pair.scans
        and Scans(
            *pair.scans,
            settings=usage.answers.refinement,
            register=lambda: pair.template.registered_to(pair.target, usage=usage),
        ),
        settings=usage.confidence,
    )
    if pair.scans is None:
        return replace(answers, refined=(pair.in_cells,) * len(answers.refined))
    return answers


def map_similarity(model: Model, template: EmbeddedScan, target: EmbeddedScan, point_mm: ArrayLike) -> Volume:
    """Return how similar each fine cell of the target is to one point of the template, float32 in [-1, 1].

    Raises
    ------
    UserError
        if the point lies outside the template or is none, or a scan was embedded by another model.
    """
    require_scans_of(model, template, target)
    points_mm = point_array(point_mm)
    if len(points_mm) != 1:
        raise UserError(f"a similarity map shows one point, got {len(points_mm)}")
    return similarity_map(template.embedded, target.searchable, points_mm[0], settings=target.matching)
