"""Answers to a list of queries between stored volumes: one row per query, found or failed, and what speaks for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from anatomical_embedding.confidence import FEATURES
from anatomical_embedding.embedding.cut_view import cut_view, cut_volume
from anatomical_embedding.embedding.store import open_store, read_origin
from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.coarse_registration import CoarseRegistration, register_coarsely
from anatomical_embedding.matching.found_points import Scans, Weighing, find_points
from anatomical_embedding.matching.match_evidence import Anchors, find_anchors
from anatomical_embedding.matching.prepared_target import PreparedTarget, prepare_target
from anatomical_embedding.progress import log, track
from anatomical_embedding.registration.deeds_program import RefusedScansError
from anatomical_embedding.settings.match_points import MatchPointsSettings, RefineTableSettings
from anatomical_embedding.settings.registration import CoarseRegistrationSettings
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.nifti import map_volume, read_volume
from anatomical_embedding.volumes.raw_scan import RawScan
from anatomical_embedding.volumes.resample import not_finer
from anatomical_embedding.volumes.volume import Volume

QUERY_POINT = ["query_x_mm", "query_y_mm", "query_z_mm"]
VIEW = ["view_low_mm", "view_high_mm"]
"""Heights between which the target of a query is seen, where not all of it is: see `embedding/cut_view.py`."""
MATCH_COLUMNS = ("query_id", "method", "x_mm", "y_mm", "z_mm", "similarity", "status", "reason")
WHOLE = (-np.inf, np.inf)
"""The view of a target that is seen as it is."""
NUM_SCANS_KEPT = 4
NUM_PREPARED = 8
"""Templates may be searched as well; a prepared volume may hold a matrix of an eighth of its cells."""


@dataclass(frozen=True)
class SearchedScans:
    """The scans that move the matches of queries.

    Attributes
    ----------
    read_scan : volume id to the scan itself.
    images : volume id to the prepared image, by which scans are registered first.
    program : deeds, which registers them; None where the settings want none registered.
    threads : that it uses.
    """

    read_scan: Callable[[str], RawScan]
    images: Mapping[str, Path]
    program: Path | None
    threads: int


def match_queries(
    queries: pd.DataFrame,
    stores: Mapping[str, Path],
    *,
    method: str,
    settings: MatchPointsSettings,
    body_masks: Mapping[str, Path],
    scans: SearchedScans | None = None,
) -> pd.DataFrame:
    """Return the matches of all queries, in their order.

    The columns are `MATCH_COLUMNS`, what else the way of matching tells (`match_by`), and the evidence, where it is
    wanted (`measure_evidence`). With scans `refined` is `yes` or says why a match was not moved to the voxel, and
    `refinement_shift_mm` how far the answer lies from its match. Each target is prepared once and asked by all its
    templates.

    Parameters
    ----------
    queries : query_id, template_id, target_id and query_x_mm, query_y_mm, query_z_mm in the template's world; with
        `view_low_mm` and `view_high_mm` targets are seen only in part, where these are finite.
    stores : volume id to embedding store, all of one model.
    method : name written into every row.
    settings : the way of matching, and the evidence.
    body_masks : volume id to body mask, in which anchors are looked for; read where evidence is wanted.
    scans : read where the settings want matches refined.

    Raises
    ------
    UserError
        if a query names a volume that has no store, or a store is damaged or of another model than the others, or a
        scan cannot be read, or the program does not run.
    """
    require_stores(queries, stores)
    if queries.empty:
        return pd.DataFrame(columns=list(dict.fromkeys([*MATCH_COLUMNS, *FEATURES])))
    model = read_origin(stores[queries["target_id"].iloc[0]]).checkpoint_sha256

    @lru_cache(maxsize=NUM_PREPARED)
    def searchable(volume_id: str, low_mm: float, high_mm: float) -> PreparedTarget:
        embedded = open_store(stores[volume_id], checkpoint_sha256=model)
        if np.isfinite([low_mm, high_mm]).any():
            embedded = cut_view(embedded, low_mm=low_mm, high_mm=high_mm)
        return prepare_target(embedded, settings=settings.matching)

    seen_scans = None if scans is None or settings.refined is None else _SeenScans(scans, settings.refined)
    answers = []
    views = queries.assign(**{name: queries.get(name, np.nan) for name in VIEW})
    views[VIEW] = views[VIEW].fillna(dict(zip(VIEW, WHOLE, strict=True)))
    targets = views.groupby(["target_id", *VIEW], sort=True)
    for (target_id, *view), of_target in track(
        targets, description="matching in volumes", total=len(targets)
    ):
        target = searchable(str(target_id), *view)
        for template_id, rows in of_target.groupby("template_id", sort=True):
            columns = _answers(
                searchable(str(template_id), *WHOLE),
                target,
                rows[QUERY_POINT].to_numpy(dtype=float),
                scans=None
                if seen_scans is None
                else partial(seen_scans.of_pair, str(template_id), str(target_id), *view),
                template_body=body_masks.get(str(template_id)),
                settings=settings,
            )
            answers.append(pd.DataFrame({"method": method} | columns, index=rows.index))
    return pd.concat([queries["query_id"], pd.concat(answers).loc[queries.index]], axis=1)


def _answers(
    template: PreparedTarget,
    target: PreparedTarget,
    points_mm: Points,
    *,
    scans: Callable[[Callable[[], Anchors] | None], Scans] | None,
    template_body: Path | None,
    settings: MatchPointsSettings,
) -> dict[str, object]:
    """Return the columns of one pair of volumes; `scans` gives those of the pair, for its anchors."""
    weighing = None
    if settings.evidence is not None:
        body = None if template_body is None else map_volume(template_body)
        anchors = partial(find_anchors, template, target, template_body=body, settings=settings.evidence)
        weighing = Weighing(body, cache(anchors), settings.evidence)
    seen = None if scans is None else scans(None if weighing is None else weighing.find_anchors)
    found = find_points(
        settings.method, template, target, points_mm, with_way_back=False, scans=seen, weighing=weighing
    )
    matches = found.matches
    columns: dict[str, object] = dict(zip(("x_mm", "y_mm", "z_mm"), matches.points_mm.T, strict=True))
    columns |= {"similarity": matches.similarity, "status": matches.status, "reason": matches.reason}
    moved = {} if seen is None else {"refined": found.refined, "refinement_shift_mm": found.shift_mm}
    return columns | found.columns | (found.evidence or {}) | moved


class _SeenScans:
    """The scans of pairs, of which a few are kept."""

    def __init__(self, scans: SearchedScans, settings: RefineTableSettings) -> None:
        self._scans, self._settings = scans, settings
        self._raw = lru_cache(maxsize=NUM_SCANS_KEPT)(scans.read_scan)
        self._image = lru_cache(maxsize=NUM_SCANS_KEPT)(self._read_image)

    def of_pair(
        self,
        template_id: str,
        target_id: str,
        low_mm: float,
        high_mm: float,
        anchors: Callable[[], Anchors] | None,
    ) -> Scans:
        """Return a pair of scans, registered where there are anchors; the target is seen between two heights."""
        view = partial(cut_volume, low_mm=low_mm, high_mm=high_mm)
        template, target = self._raw(template_id), self._raw(target_id)
        settings, program, register = self._settings.registration, self._scans.program, None
        if settings is not None and program is not None and anchors is not None:
            images = self._image(template_id), view(self._image(target_id))
            modalities = template.modality, target.modality
            pair = f"{template_id} to {target_id}"
            register = partial(
                self._registered, program, images, anchors, modalities, settings=settings, pair=pair
            )
        seen = replace(target, volume=view(target.volume))
        return Scans(template, seen, self._settings.refinement, register)

    def _registered(
        self,
        program: Path,
        images: tuple[Volume, Volume],
        anchors: Callable[[], Anchors],
        modalities: tuple[Modality, Modality],
        *,
        settings: CoarseRegistrationSettings,
        pair: str,
    ) -> CoarseRegistration | None:
        try:
            return register_coarsely(
                program,
                *images,
                anchors(),
                modalities=modalities,
                settings=settings,
                threads=self._scans.threads,
            )
        except RefusedScansError as error:
            log(f"{pair}: not registered, searched where they match: {error}")
            return None
        except UserError as error:
            raise UserError(f"{pair}: {error}") from error

    def _read_image(self, volume_id: str) -> Volume:
        image = read_volume(self._scans.images[volume_id])
        registration = self._settings.registration
        if registration is None or registration.deeds.spacing_mm is None:
            return image
        return not_finer(image, registration.deeds.spacing_mm)


def require_stores(queries: pd.DataFrame, stores: Mapping[str, Path]) -> None:
    """Refuse queries that name a volume without embedding store (`UserError`)."""
    missing = sorted((set(queries["template_id"]) | set(queries["target_id"])) - set(stores))
    if missing:
        raise UserError(
            f"the queries name the volume {missing[0]!r}, which has no embedding store; "
            "export the embeddings of its split"
        )
