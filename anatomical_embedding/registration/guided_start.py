"""Where a registration begins: the map that correspondences agree on, or a plain one with the reason why not."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import write_json
from anatomical_embedding.registration.correspondences import Correspondences
from anatomical_embedding.registration.image_evidence import weigh_images
from anatomical_embedding.registration.robust_fit import (
    FittedMap,
    fit_map,
    has_plausible_scales,
    lies_flat,
    rotation_angle_rad,
)
from anatomical_embedding.settings.registration import AffineFitSettings, ImageEvidenceSettings
from anatomical_embedding.volumes.volume import Volume


@dataclass(frozen=True)
class GuidedStart:
    """The start of one pair.

    Attributes
    ----------
    status : `found`, `given` by the user, or `failed`; a pair that failed starts with its bodies' boxes centred on one
        another and is used for no training.
    reason : why it failed; empty where it was found.
    matrix : (4, 4) fixed to moving, world mm RAS+.
    num_queries : points that were matched.
    num_kept : matches that were similar and consistent enough.
    num_inliers : those that the map explains.
    confidence : share of the kept matches that the map explains; 0 where it failed or was given.
    median_residual_mm : of the inliers; None where there are none.
    evidence : that share and, where images are asked, by how much they agree better there than elsewhere, weighted;
        0 where it failed or was given.
    """

    status: Literal["found", "given", "failed"]
    reason: str
    matrix: NDArray[np.float64]
    num_queries: int
    num_kept: int
    num_inliers: int
    confidence: float
    median_residual_mm: float | None
    evidence: float = 0.0


def find_start(
    correspondences: Correspondences,
    *,
    fixed_body: Volume,
    moving_body: Volume,
    settings: AffineFitSettings,
    images: tuple[Volume, Volume] | None = None,
) -> GuidedStart:
    """Return the map that the correspondences agree on, or a failed start.

    Parameters
    ----------
    correspondences : matches of a lattice of points.
    fixed_body, moving_body : body masks, for the start of a pair that fails.
    settings : the fit and what is believed.
    images : fixed and moving, on the grids of the masks; needed where `settings.images` asks them.
    """
    kept = correspondences.is_kept
    fixed_mm, moving_mm = correspondences.fixed_mm[kept], correspondences.moving_mm[kept]
    fitted, evidence, reason = None, 0.0, _too_few(int(kept.sum()), settings=settings)
    if not reason:
        fitted = fit_map(fixed_mm, moving_mm, settings=settings)
        evidence = float(fitted.is_inlier.mean())
        reason = why_not_believed(fitted, fixed_mm, settings=settings) or _unlike(
            correspondences.similarity[kept][fitted.is_inlier], settings=settings
        )
    if fitted is not None and not reason and settings.images is not None:
        gain, reason = _asked_images(
            fitted, images, bodies=(fixed_body, moving_body), settings=settings.images
        )
        evidence += gain
    num_inliers = 0 if fitted is None else int(fitted.is_inlier.sum())
    residual = None
    if fitted is not None and num_inliers:
        residual = float(np.median(fitted.residual_mm[fitted.is_inlier]))
    return GuidedStart(
        status="failed" if reason else "found",
        reason=reason,
        matrix=body_boxes_centred(fixed_body, moving_body) if reason or fitted is None else fitted.matrix,
        num_queries=len(kept),
        num_kept=int(kept.sum()),
        num_inliers=num_inliers,
        confidence=0.0 if reason else num_inliers / int(kept.sum()),
        median_residual_mm=residual,
        evidence=0.0 if reason else evidence,
    )


def agreed_map(
    correspondences: Correspondences, *, settings: AffineFitSettings
) -> NDArray[np.float64] | None:
    """Return the (4, 4) map from fixed to moving that most correspondences agree on, believed or not.

    None where there are fewer than `settings.min_inliers`.
    """
    kept = correspondences.is_kept
    if kept.sum() < settings.min_inliers:
        return None
    return fit_map(correspondences.fixed_mm[kept], correspondences.moving_mm[kept], settings=settings).matrix


def given_start(matrix: NDArray[np.float64]) -> GuidedStart:
    """Return a start that nothing was matched for.

    Parameters
    ----------
    matrix : (4, 4) fixed to moving, world mm RAS+.
    """
    return GuidedStart("given", "", matrix, 0, 0, 0, confidence=0.0, median_residual_mm=None)


def why_not_believed(fitted: FittedMap, fixed_mm: NDArray[np.float64], *, settings: AffineFitSettings) -> str:
    """Return why a fitted map is implausible, empty if it is not.

    Parameters
    ----------
    fitted : of the correspondences.
    fixed_mm : (N, 3) their fixed points.
    settings : limits.
    """
    num_inliers = int(fitted.is_inlier.sum())
    few = _too_few(num_inliers, settings=settings)
    if few:
        return f"agreeing: {few}"
    share = num_inliers / len(fixed_mm)
    if share < settings.min_inlier_fraction:
        return (
            f"{share:.0%} of the correspondences agree, expected {settings.min_inlier_fraction:.0%} or more"
        )
    if lies_flat(fitted, fixed_mm, settings=settings):
        return f"the agreeing correspondences lie on one {'plane' if fitted.kind == 'affine' else 'line'}"
    left, scales, right = np.linalg.svd(fitted.matrix[:3, :3])
    if not has_plausible_scales(fitted.matrix, settings=settings):
        return f"the map scales by {scales.min():.2f} to {scales.max():.2f}"
    degrees = np.rad2deg(rotation_angle_rad(left @ right))
    if degrees > settings.max_rotation_degrees:
        return f"the map rotates by {degrees:.0f} degrees, expected {settings.max_rotation_degrees:g} at most"
    return ""


def _asked_images(
    fitted: FittedMap,
    images: tuple[Volume, Volume] | None,
    *,
    bodies: tuple[Volume, Volume],
    settings: ImageEvidenceSettings,
) -> tuple[float, str]:
    """Return the weighted gain of the images at a map, and why matches and images together do not support it, if so."""
    if images is None:
        raise ValueError("the settings ask the images of the pair; pass them")
    fixed, moving = images
    seen = weigh_images(
        fixed,
        moving,
        fixed_body=bodies[0],
        moving_body=bodies[1],
        matrix=fitted.matrix,
        settings=settings,
    )
    share, gain = float(fitted.is_inlier.mean()), settings.weight * seen.gain
    if share + gain >= settings.min_evidence:
        return gain, ""
    return gain, (
        f"{share:.0%} of the correspondences agree, the images by {seen.agreement:.2f}, by {seen.elsewhere:.2f} if "
        f"{seen.where}: evidence {share + gain:.2f}, expected {settings.min_evidence:g} or more"
    )


def body_boxes_centred(fixed_body: Volume, moving_body: Volume) -> NDArray[np.float64]:
    """Return the (4, 4) shift that puts the centres of the boxes round two body masks on one another."""
    matrix = np.eye(4)
    matrix[:3, 3] = _box_centre_mm(moving_body) - _box_centre_mm(fixed_body)
    return matrix


def write_start(start: GuidedStart, path: Path, *, scans: Mapping[str, Any] | None = None) -> None:
    """Write a start as JSON, atomically.

    Parameters
    ----------
    scans : what tells the two scans again, from `registered_scans.described_scans`; None leaves it out.
    """
    of_scans = {} if scans is None else {"scans": scans}
    write_json(path, asdict(start) | {"matrix": start.matrix.tolist()} | of_scans)


def read_start(path: Path) -> GuidedStart:
    """Return the start in a file.

    Raises
    ------
    InputFileError
        if it is not one that `write_start` wrote.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        matrix = np.array(content.pop("matrix"), dtype=np.float64).reshape(4, 4)
        content.pop("scans", None)
        return GuidedStart(**content, matrix=matrix)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputFileError(path, f"is not the start of a registration ({error}); write it again") from error


def _too_few(number: int, *, settings: AffineFitSettings) -> str:
    least = settings.min_inliers
    return "" if number >= least else f"{number} correspondences, expected {least} or more"


def _unlike(similarity: NDArray[np.floating], *, settings: AffineFitSettings) -> str:
    """Return that agreeing correspondences are not similar enough, empty if they are."""
    least, half = settings.min_agreeing_similarity, float(np.median(similarity))
    if least is None or half >= least:
        return ""
    return (
        f"half of the agreeing correspondences are less similar than {half:.2f}, expected {least:g} or more"
    )


def _box_centre_mm(body: Volume) -> NDArray[np.float64]:
    inside = np.argwhere(body.array > 0)
    return body.world_from_voxel(((inside.min(axis=0) + inside.max(axis=0)) / 2.0)[None])[0]
