"""What the report shows of registered pairs, read from the files of their stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.registration.landmark_errors import (
    RegistrationErrors,
    read_registration_errors,
)
from anatomical_embedding.evaluation.registration.organ_overlap import PairOverlap, read_pair_overlap
from anatomical_embedding.index_file import IndexRow, read_index
from anatomical_embedding.registration.correspondences import Correspondences, read_correspondences
from anatomical_embedding.registration.guided_start import GuidedStart, read_start
from anatomical_embedding.settings.registration import RegistrationSettings


@dataclass(frozen=True)
class Guide:
    """How a guided pair found its start.

    Attributes
    ----------
    start : the map, or why there is none.
    correspondences : what it was fitted to.
    inlier_distance_mm : largest residual of those that agree.
    """

    start: GuidedStart
    correspondences: Correspondences
    inlier_distance_mm: float


@dataclass(frozen=True)
class RegisteredPair:
    """One registered pair.

    Attributes
    ----------
    overlap : of the organs, before and after; without organs if the data set has none.
    errors : of landmarks, and of the map.
    fixed, moving : index rows of the prepared volumes.
    deformed_path : the moving volume on the registered part of the fixed grid.
    field_path : the whole map.
    lay_at : what lay on one another before, for a pair without a guide.
    guide : None for a pair without one.
    """

    overlap: PairOverlap
    errors: RegistrationErrors
    fixed: IndexRow
    moving: IndexRow
    deformed_path: Path
    field_path: Path
    lay_at: Literal["world", "centres"]
    guide: Guide | None

    @property
    def title(self) -> str:
        """How the report calls the pair."""
        return f"{self.overlap.registration}: {self.overlap.moving} onto {self.overlap.fixed}"


def read_pair_results(
    folders: Sequence[Path], indices: Sequence[Path], *, settings: Mapping[str, RegistrationSettings]
) -> list[RegisteredPair]:
    """Return what is known of each pair.

    Parameters
    ----------
    folders : `registrations/<registration>/<fixed>__<moving>` of each pair.
    indices : index of the data set of each.
    settings : of the registrations.

    Raises
    ------
    InputFileError
        if a file is missing or malformed, or the registration is not configured.
    """
    volumes = {path: {row.volume_id: row for row in read_index(path)} for path in set(indices)}
    return [
        _read_pair(folder, volumes[index], settings=settings)
        for folder, index in zip(folders, indices, strict=True)
    ]


def _read_pair(
    folder: Path, volumes: Mapping[str, IndexRow], *, settings: Mapping[str, RegistrationSettings]
) -> RegisteredPair:
    overlap = read_pair_overlap(folder / "overlap.json")
    if overlap.registration not in settings:
        raise InputFileError(
            folder / "overlap.json",
            f"is of the registration {overlap.registration!r}, which is not configured",
        )
    registration = settings[overlap.registration]
    guide = None
    if registration.guide is not None:
        guide = Guide(
            read_start(folder / "start.json"),
            read_correspondences(folder / "correspondences.csv"),
            registration.guide.fit.inlier_distance_mm,
        )
    return RegisteredPair(
        overlap=overlap,
        errors=read_registration_errors(folder / "errors.json"),
        fixed=volumes[overlap.fixed],
        moving=volumes[overlap.moving],
        deformed_path=folder / "pair_deformed.nii.gz",
        field_path=folder / "displacement_field.nii.gz",
        lay_at=registration.deeds.start,
        guide=guide,
    )
