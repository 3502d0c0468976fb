"""The questions of a landmark evaluation: where in the target does this point of the template lie."""

from collections.abc import Mapping
from itertools import permutations

import numpy as np
import pandas as pd

from anatomical_embedding.errors import UserError
from anatomical_embedding.evaluation.landmarks.tables import QUESTION_COLUMNS, TRUTH_COLUMNS
from anatomical_embedding.settings.evaluation import MakeQueriesSettings, PairSelectionSettings
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.volume import Volume


def make_queries(
    modality_of: Mapping[str, Modality], landmarks: pd.DataFrame, settings: MakeQueriesSettings
) -> pd.DataFrame:
    """Return one query for each ordered pair of volumes and each landmark that both have.

    Parameters
    ----------
    modality_of : the volumes of the split that is evaluated.
    landmarks : columns volume_id, landmark, x_mm, y_mm, z_mm; rows of other volumes are left alone. Leave out
        landmarks outside the field of view first (`landmarks_in_view`).
    settings : which pairs and landmarks are asked. A sample larger than the number of pairs takes all of them.

    Returns
    -------
    Queries sorted by template, target and landmark; the `query_id` is `template/target/landmark`, so that
    answers to an older list of queries cannot be taken for answers to this one.

    Raises
    ------
    UserError
        if a landmark that is asked is in no volume, or no two volumes share one although there must be queries.
    """
    points = landmarks[landmarks["volume_id"].isin(set(modality_of))]
    if settings.landmarks is not None:
        unknown = sorted(set(settings.landmarks) - set(landmarks["landmark"]))
        if unknown:
            raise UserError(
                f"landmarks: {unknown[0]!r} is in no volume; expected one of "
                f"{', '.join(sorted(set(landmarks['landmark'])))}"
            )
        points = points[points["landmark"].isin(settings.landmarks)]
    pairs = select_pairs(
        {volume_id: modality_of[volume_id] for volume_id in points["volume_id"].unique()}, settings.pairs
    )
    templates = points.rename(
        columns={"volume_id": "template_id", "x_mm": "query_x_mm", "y_mm": "query_y_mm", "z_mm": "query_z_mm"}
    )
    targets = points.rename(
        columns={"volume_id": "target_id", "x_mm": "truth_x_mm", "y_mm": "truth_y_mm", "z_mm": "truth_z_mm"}
    )
    queries = (
        pd.DataFrame(pairs, columns=["template_id", "target_id"], dtype=str)
        .merge(templates, on="template_id")
        .merge(targets, on=["target_id", "landmark"])
        .sort_values(["template_id", "target_id", "landmark"], ignore_index=True)
    )
    if queries.empty and not settings.may_be_empty:
        raise UserError(
            f"split {settings.split!r}: no two volumes share a landmark inside their fields of view; "
            "check the landmark names and that the split holds at least two volumes"
        )
    queries["query_id"] = queries["template_id"] + "/" + queries["target_id"] + "/" + queries["landmark"]
    return queries[[*QUESTION_COLUMNS, *TRUTH_COLUMNS]]


def select_pairs(
    modality_of: Mapping[str, Modality], settings: PairSelectionSettings
) -> list[tuple[str, str]]:
    """Return the ordered pairs of different volumes that are asked, sorted.

    The sample is drawn without replacement and depends on the seed and the sorted ids alone.

    Raises
    ------
    UserError
        if the one template that is asked for is not among the volumes.
    """
    volume_ids = sorted(modality_of)
    if settings.template is not None and settings.template not in modality_of:
        raise UserError(
            f"pairs.template: no volume {settings.template!r} with landmarks in the split; expected one of "
            f"{', '.join(volume_ids)}"
        )
    pairs = [
        (template, target)
        for template, target in permutations(volume_ids, 2)
        if settings.template in (None, template)
        and settings.template_modality in (None, modality_of[template])
        and settings.target_modality in (None, modality_of[target])
    ]
    if settings.num_pairs is None or settings.num_pairs >= len(pairs):
        return pairs
    chosen = np.random.default_rng(settings.seed).choice(len(pairs), size=settings.num_pairs, replace=False)
    return [pairs[index] for index in sorted(chosen)]


def landmarks_in_view(landmarks: pd.DataFrame, volumes: Mapping[str, Volume]) -> pd.DataFrame:
    """Return the landmarks that lie inside the voxel grid of their volume.

    Parameters
    ----------
    landmarks : columns volume_id, landmark, x_mm, y_mm, z_mm.
    volumes : volume_id to volume; landmarks of other volumes are left out.
    """
    kept = [
        rows[volumes[str(volume_id)].contains(rows[["x_mm", "y_mm", "z_mm"]].to_numpy())]
        for volume_id, rows in landmarks.groupby("volume_id", sort=True)
        if str(volume_id) in volumes
    ]
    return pd.concat(kept, ignore_index=True) if kept else landmarks.iloc[:0]
