"""Scans ready to be asked and searched: raw scans are read once and embedded, stores are opened."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Unpack

import numpy as np

from anatomical_embedding.arguments import require_choice
from anatomical_embedding.embedding.export import STORE_SUFFIX, preprocessing_sha256
from anatomical_embedding.embedding.store import EmbeddedVolume, Origin, open_store
from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.matching.match_evidence import Anchors, find_anchors
from anatomical_embedding.matching.prepared_target import PreparedTarget, prepare_target
from anatomical_embedding.registration.installed_program import program_if_installed
from anatomical_embedding.settings.confidence import AnchorSettings
from anatomical_embedding.settings.matching import MatchingSettings, Refinement
from anatomical_embedding.settings.usage import UsageSettings
from anatomical_embedding.settings.volumes import Modality, PrepareVolumeSettings
from anatomical_embedding.usage.model import Model
from anatomical_embedding.volumes.grid import corners_vox
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.raw_scan import RawScan, Reading, ReadingOptions, read_raw_scan
from anatomical_embedding.volumes.resample import not_finer
from anatomical_embedding.volumes.scan import scan_name
from anatomical_embedding.volumes.volume import Volume, VolumeHeader

if TYPE_CHECKING:
    from anatomical_embedding.matching.coarse_registration import CoarseRegistration
    from anatomical_embedding.volumes.prepare import PreparedVolume

BODY_MASK_SUFFIX = ".body_mask.nii.gz"


@dataclass(frozen=True)
class EmbeddedScan:
    """A scan ready to be asked and searched.

    Attributes
    ----------
    embedded : its vectors, with their place in the world of the scan.
    body_mask : 1 in the body, on the grid that was embedded; None where a store came without.
    matching : settings that it is searched with, the same for two scans that are matched.
    raw : the scan itself, which matches are refined by; None for a store.
    remarks : what was corrected or chosen when the scan was read, a sentence each that begins with its path.
    coarse : the prepared scan on the grid that it is registered on; None for a store, or where none are registered.
    """

    embedded: EmbeddedVolume
    body_mask: Volume | None
    matching: MatchingSettings
    raw: RawScan | None = None
    remarks: tuple[str, ...] = ()
    coarse: Volume | None = None
    _anchors: dict[Origin, Anchors] = field(default_factory=dict, compare=False, repr=False)
    _registrations: "dict[Origin, _Tried]" = field(default_factory=dict, compare=False, repr=False)
    """Of other scans to this one, which goes before them where one scan is searched for in many."""

    @property
    def name(self) -> str:
        """What the scan is called."""
        return self.embedded.volume_id

    @property
    def modality(self) -> Modality | None:
        """Kind of scan; None for a store, which does not say it."""
        return None if self.raw is None else self.raw.modality

    @property
    def scan_grid(self) -> VolumeHeader | None:
        """The raw scan's own grid; None for a store."""
        return None if self.raw is None else self.raw.grid

    def refined_by(self, refinement: Refinement) -> "EmbeddedScan":
        """Return the scan with another way to move matches on from their cells; a `UserError` if there is none so."""
        require_choice("refinement", refinement, Refinement)
        if refinement == self.matching.refinement:
            return self
        return replace(self, matching=self.matching.model_copy(update={"refinement": refinement}))

    @property
    def frame_of_reference(self) -> str:
        """UID of the world of a DICOM series, by which labels are known to be its own; else empty."""
        return self.embedded.frame_of_reference if self.raw is None else self.raw.frame_of_reference

    @cached_property
    def searchable(self) -> PreparedTarget:
        """The vectors made ready for searching, once."""
        return prepare_target(self.embedded, settings=self.matching)

    def anchors_to(self, target: "EmbeddedScan", *, settings: AnchorSettings) -> Anchors:
        """Return the points of both scans by which answers between them are judged, looked for once."""
        known = self._anchors.get(target.embedded.origin)
        if known is None:
            known = find_anchors(
                self.searchable, target.searchable, template_body=self.body_mask, settings=settings
            )
            self._anchors[target.embedded.origin] = known
        return known

    def registered_to(self, target: "EmbeddedScan", *, usage: UsageSettings) -> "CoarseRegistration | None":
        """Return the scan registered coarsely to another, once.

        None where the settings want none, one is a store, both show too little of one place, this installation has no
        program for it, or that fails (`why_not_registered_to`).
        """
        settings, program = usage.coarse_registration(), program_if_installed()
        if settings is None or program is None or self.coarse is None or target.coarse is None:
            return None
        if self.modality is None or target.modality is None:
            return None
        origin = self.embedded.origin
        if origin not in target._registrations:
            # Stores, which cannot be registered, are asked before this is loaded.
            from anatomical_embedding.matching.coarse_registration import register_coarsely  # noqa: PLC0415

            anchors, found, problem = self.anchors_to(target, settings=usage.confidence.evidence), None, ""
            try:
                found = register_coarsely(
                    program,
                    self.coarse,
                    target.coarse,
                    anchors,
                    modalities=(self.modality, target.modality),
                    settings=settings,
                    threads=len(os.sched_getaffinity(0)),
                )
            except (
                UserError,
                OSError,
                RuntimeError,
            ) as error:  # answers need it no more than the program itself
                problem = str(error)
            target._registrations[origin] = _Tried(found, problem)
        return target._registrations[origin].found

    def why_not_registered_to(self, target: "EmbeddedScan") -> str:
        """Return how the program failed on the scan and another; empty where it did not, or was not asked."""
        tried = target._registrations.get(self.embedded.origin)
        return "" if tried is None else tried.problem


class _Tried(NamedTuple):
    """What came of a registration, and how the program failed on it; empty where it did not."""

    found: "CoarseRegistration | None"
    problem: str


def read_scan(
    model: Model,
    scan: Path | str,
    **reading: Unpack[Reading],
) -> RawScan:
    """Return a raw scan of a kind that the model knows; every other function takes it in place of its path.

    Parameters
    ----------
    model : from `load_model`.
    scan : file, or folder of one DICOM series; docs/scans.md says what is accepted, corrected and refused.
    reading : what the scan does not say itself, see `ReadingOptions`.

    Raises
    ------
    UserError
        if the scan cannot be read, or is of a kind that the model does not know.
    """
    options = ReadingOptions(**reading)
    if options.largest_gap_mm is None:
        options = replace(options, largest_gap_mm=model.card.usage.volumes.largest_gap_mm)
    raw = read_raw_scan(scan, options)
    require_known(model, raw.path, raw.modality, is_stated=options.modality is not None)
    return raw


def read_scans(
    model: Model,
    scans: Iterable[Path | str],
    **reading: Unpack[Reading],
) -> "dict[Path, RawScan | EmbeddedScan]":
    """Return scans read whole and stores opened, each once, by their paths; nothing is embedded yet.

    All are in memory together, so that what is wrong with the last one is told before work is done for the first.

    Parameters
    ----------
    model : from `load_model`.
    scans : raw scans and stores; a store is told by its ending `.safetensors`.
    reading : as in `read_scan`.

    Raises
    ------
    UserError
        naming the first scan that cannot be read, or of a kind that the model does not know, or the first store that
        is none of this model.
    """
    read: dict[Path, RawScan | EmbeddedScan] = {}
    for path in map(Path, scans):
        if path in read:
            continue
        if path.suffix == STORE_SUFFIX:
            read[path] = open_embedding(model, path)
        else:
            read[path] = read_scan(model, path, **reading)
    return read


def embed_scan(
    model: Model,
    scan: Path | str | RawScan,
    **reading: Unpack[Reading],
) -> EmbeddedScan:
    """Return a raw scan prepared as in the training, and embedded.

    Parameters
    ----------
    model : from `load_model`.
    scan : its path, or the scan from `read_scan`.
    reading : as in `read_scan`, of a scan that is named by its path.

    Raises
    ------
    UserError
        as `read_scan`, and if there is no body in the scan.
    """
    if not isinstance(scan, RawScan):
        scan = read_scan(model, scan, **reading)
    return embed_raw_scan(model, scan)[1]


def open_embedding(model: Model, store: Path | str) -> EmbeddedScan:
    """Return the scan in a store, memory-mapped, with the body mask if one lies beside it, called after the store.

    Raises
    ------
    InputFileError
        if the file is no store, or of another model.
    """
    embedded = open_store(store, checkpoint_sha256=model.card.checkpoint_sha256)
    mask_path = body_mask_path(store)
    mask = read_volume(mask_path, require_contrast=False) if mask_path.exists() else None
    called = replace(embedded, volume_id=Path(store).name.removesuffix(STORE_SUFFIX))
    return EmbeddedScan(called, mask, model.card.usage.matching, remarks=embedded.remarks)


def open_or_embed(
    model: Model,
    scan: Path | str | RawScan | EmbeddedScan,
    **reading: Unpack[Reading],
) -> EmbeddedScan:
    """Return the scan in a store, or embed a raw scan; what `read_scans` returned is taken as well.

    Raises
    ------
    UserError
        as `open_embedding` and `embed_scan`.
    """
    if isinstance(scan, EmbeddedScan):
        return scan
    if not isinstance(scan, RawScan) and Path(scan).suffix == STORE_SUFFIX:
        return open_embedding(model, scan)
    return embed_scan(model, scan, **reading)


def covered_mm(scan: EmbeddedScan | RawScan) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest (3,) world mm RAS+ of the part of a scan that is embedded, or of a raw scan."""
    grid = scan.embedded if isinstance(scan, EmbeddedScan) else scan.grid
    corners_mm = grid.world_from_voxel(corners_vox(grid.shape))
    return corners_mm.min(axis=0), corners_mm.max(axis=0)


def require_known(model: Model, scan: Path, modality: Modality, *, is_stated: bool) -> None:
    """Refuse a kind of scan that the model has not seen with an `InputFileError`."""
    if modality in model.card.modalities:
        return
    how = "" if is_stated else ", judging by its header or its values; give --modality if that is wrong"
    raise InputFileError(
        scan,
        f"is a scan of modality {modality}{how}; the model {model.card.name} knows "
        f"{', '.join(model.card.modalities)} only",
    )


def require_raw(scan: RawScan | EmbeddedScan) -> RawScan:
    """Return a scan with its voxels; a store is refused with a `UserError`."""
    if isinstance(scan, RawScan):
        return scan
    if scan.raw is None:
        raise UserError(f"{scan.name} is a store, which holds no image; name the scan itself")
    return scan.raw


def require_scans_of(model: Model, *scans: EmbeddedScan) -> None:
    """Refuse scans that another model embedded with a `UserError`: the similarities would mean nothing."""
    for scan in scans:
        found = scan.embedded.origin.checkpoint_sha256
        if found != model.card.checkpoint_sha256:
            raise UserError(
                f"{scan.name} was embedded by another model ({found[:12]}) than {model.card.name} "
                f"({model.card.checkpoint_sha256[:12]}); embed it with this one"
            )


def embed_raw_scan(
    model: Model, raw: RawScan, *, origin: Origin | None = None, within_body: bool = False
) -> "tuple[PreparedVolume, EmbeddedScan]":
    """Return a raw scan prepared as in the training, and its embedding.

    Parameters
    ----------
    origin : what the embedding is made from, where that is known already.
    within_body : whether vectors are wanted in and round the body alone; not for stores.

    Raises
    ------
    InputFileError
        if there is no body in the scan, or it cannot be embedded.
    """
    prepared = prepare_raw_scan(model, raw)
    return prepared, embed_prepared(model, raw, prepared, origin=origin, within_body=within_body)


def embed_prepared(
    model: Model,
    raw: RawScan,
    prepared: "PreparedVolume",
    *,
    origin: Origin | None = None,
    within_body: bool = False,
) -> EmbeddedScan:
    """Return the embedding of a raw scan from what it was prepared to; see `embed_raw_scan`."""
    try:
        embedded = model.embedder.embed(
            prepared.image,
            modality=raw.modality,
            volume_id=scan_name(raw.path),
            origin=origin or origin_of(model, raw.sha256, modality=raw.modality, options=raw.options),
            body=prepared.body_mask if within_body else None,
        )
    except InputFileError:
        raise
    except UserError as error:  # of a volume without a name
        raise InputFileError(raw.path, str(error)) from error
    usage = model.card.usage
    spacing_mm = usage.answers.registration_spacing_mm
    coarse = None if spacing_mm is None else not_finer(prepared.image, spacing_mm)
    return EmbeddedScan(embedded, prepared.body_mask, usage.matching, raw, prepared.remarks, coarse)


def prepare_raw_scan(model: Model, raw: RawScan) -> "PreparedVolume":
    """Return a raw scan prepared as in the training, or raise an `InputFileError` if there is no body in it."""
    # Stores, which need no preparation, are opened before this is loaded.
    from anatomical_embedding.volumes.prepare import prepare_scan  # noqa: PLC0415

    return prepare_scan(
        raw,
        label_paths={},
        settings=PrepareVolumeSettings(
            volumes=model.card.usage.volumes, modality=raw.modality, organs=(), bad_labels="refuse"
        ),
    )


def origin_of(
    model: Model, volume_sha256: str, *, modality: Modality | None, options: ReadingOptions
) -> Origin:
    """Return what the store of a raw scan is made from."""
    usage = model.card.usage
    chosen = {"geometry": options.geometry, "hu_offset": options.hu_offset}
    return Origin(
        checkpoint_sha256=model.card.checkpoint_sha256,
        volume_sha256=volume_sha256,
        preprocessing_sha256=preprocessing_sha256(
            usage.export(),
            modality=modality,
            volumes=usage.volumes.model_dump(mode="json"),
            **{name: value for name, value in chosen.items() if value is not None},
        ),
    )


def body_mask_path(store: Path | str) -> Path:
    """Return where the body mask of a store lies."""
    store = Path(store)
    return store.with_name(store.name.removesuffix(STORE_SUFFIX) + BODY_MASK_SUFFIX)
