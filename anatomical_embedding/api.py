"""The library for a user of a trained model: embed scans, find points, carry labels.

docs/api.md shows it in use. Points are (N, 3) world mm RAS+; scans are NIfTI files or folders of one DICOM series; a
model is the file `model.safetensors` of a run, which holds all settings that its use needs. The command line
`anatomical-embedding` is a thin layer over these functions.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK
from numpy.typing import ArrayLike

from anatomical_embedding.embedding.export import (
    STORE_SUFFIX,
    StoreEmbedder,
    holds_no_other_volume,
    is_stored,
)
from anatomical_embedding.embedding.store import (
    EmbeddedVolume,
    Provenance,
    open_store,
    write_store,
)
from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.files import canonical_json, require_writable_folder, sha256_of_text
from anatomical_embedding.matching.answers import Answers, answer_points, refine_answers
from anatomical_embedding.matching.grid_points import match_grid
from anatomical_embedding.matching.nearest import similarity_map
from anatomical_embedding.matching.prepared_target import PreparedTarget, prepare_target
from anatomical_embedding.matching.propagation import CarriedLabels, require_labels_in
from anatomical_embedding.matching.propagation import propagate_labels as carry_by_points
from anatomical_embedding.model_card import ModelCard, read_model_card
from anatomical_embedding.progress import track
from anatomical_embedding.registration.deeds_program import require_program
from anatomical_embedding.registration.deformation import deform
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.guided_start import GuidedStart, find_start
from anatomical_embedding.registration.itk_transform import (
    forward_transform,
    inverse_transform,
    resample_by_itk,
)
from anatomical_embedding.settings.matching import MatchingSettings
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.registration import MatchGridSettings
from anatomical_embedding.settings.volumes import Geometry, Modality, PrepareVolumeSettings
from anatomical_embedding.versions import __version__
from anatomical_embedding.volumes.dicom_labels import LabelledScan
from anatomical_embedding.volumes.file_names import is_volume_name
from anatomical_embedding.volumes.labels import LabelFile, read_label_file
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.prepare import PreparedVolume, prepare_scan
from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions, read_raw_scan
from anatomical_embedding.volumes.scan import (
    distinct_names,
    folder_name,
    scan_name,
    sha256_of_scan,
)
from anatomical_embedding.volumes.straight_grid import straight_grid
from anatomical_embedding.volumes.volume import Volume
from anatomical_embedding.volumes.volume_file import read_file_header

__all__ = [
    "EmbeddedScan",
    "MatchMethod",
    "Model",
    "ScanRegistration",
    "__version__",
    "covered_mm",
    "describe_model",
    "embed_scan",
    "embed_scans",
    "load_model",
    "map_similarity",
    "match_points",
    "open_embedding",
    "open_or_embed",
    "propagate_labels",
    "read_labels_of",
    "register_scans",
    "require_readable",
    "save_embedding",
]

MatchMethod = Literal["nearest", "stable_points"]
BODY_MASK_SUFFIX = ".body_mask.nii.gz"


@dataclass(frozen=True)
class Model:
    """A trained model; its weights are read when a scan is embedded for the first time.

    Attributes
    ----------
    path : its file.
    card : what it is.
    network : shape of the network.
    """

    path: Path
    card: ModelCard
    network: NetworkSettings

    @cached_property
    def embedder(self) -> StoreEmbedder:
        """The network, ready to embed prepared volumes."""
        return StoreEmbedder(self.path, settings=self.card.usage.export())


@dataclass(frozen=True)
class EmbeddedScan:
    """A scan ready to be asked and searched.

    Attributes
    ----------
    embedded : its vectors, with their place in the world of the scan.
    body_mask : 1 in the body, on the grid that was embedded; None where a store came without.
    matching : settings that it is searched with, the same for two scans that are matched.
    modality : kind of scan; None for a store, which does not say it.
    scan_grid : the raw scan's own grid, zeros that take no memory; None for a store.
    scan : the raw scan with its voxels, where they were asked for; they are what matches are refined by.
    remarks : what was mended or chosen when the scan was read, a sentence each that begins with its path.
    frame_of_reference : UID of the world of a DICOM series, by which labels are known to be its own; else empty.
    """

    embedded: EmbeddedVolume
    body_mask: Volume | None
    matching: MatchingSettings
    modality: Modality | None = None
    scan_grid: Volume | None = None
    scan: Volume | None = None
    remarks: tuple[str, ...] = ()
    frame_of_reference: str = ""

    @property
    def name(self) -> str:
        """What the scan is called."""
        return self.embedded.volume_id

    @cached_property
    def searchable(self) -> PreparedTarget:
        """The vectors made ready for searching, once."""
        return prepare_target(self.embedded, settings=self.matching)


def describe_model(checkpoint: Path | str) -> ModelCard:
    """Return what a model is: data, settings, accuracy and limits; the weights are not read.

    Raises
    ------
    InputFileError
        if the file is not a checkpoint or holds no model card.
    """
    return read_model_card(checkpoint)[0]


def load_model(checkpoint: Path | str) -> Model:
    """Return a model for the other functions.

    Raises
    ------
    InputFileError
        if the file is not a checkpoint or holds no model card.
    """
    card, network = read_model_card(checkpoint)
    return Model(Path(checkpoint), card, network)


def embed_scan(
    model: Model,
    scan: Path | str,
    *,
    modality: Modality | None,
    geometry: Geometry | None = None,
    hu_offset: float | None = None,
    series: str | None = None,
    keep_voxels: bool = False,
) -> EmbeddedScan:
    """Return a raw scan prepared as in the training, and embedded.

    Parameters
    ----------
    model : from `load_model`.
    scan : file, or folder of one DICOM series; docs/scans.md says what is accepted, mended and refused.
    modality : kind of scan; None to take it from the DICOM header or from the values.
    geometry : form that places a NIfTI file whose header states two places; None refuses such a file.
    hu_offset : number that makes HU of the values of a CT; None to look at the values.
    series : number or UID of the DICOM series to take where a folder holds several.
    keep_voxels : keep the scan in memory, so that matches can be refined by it.

    Raises
    ------
    UserError
        if the scan cannot be read, has no body in it, or is of a kind that the model does not know.
    """
    options = ReadingOptions(modality, geometry, hu_offset, series)
    raw = _read_known(model, Path(scan), options)
    embedded = _embed_raw(model, raw, options)[1]
    return replace(embedded, scan=raw.volume) if keep_voxels else embedded


def require_readable(
    model: Model,
    scans: Iterable[Path | str],
    *,
    modality: Modality | None,
    geometry: Geometry | None = None,
    hu_offset: float | None = None,
    series: str | None = None,
    with_voxels: bool = False,
) -> None:
    """Refuse scans and stores that cannot be used, before the first is embedded.

    Parameters
    ----------
    model : from `load_model`.
    scans : raw scans and stores.
    modality, geometry, hu_offset, series : as in `embed_scan`.
    with_voxels : read the scans whole, some seconds each; else what shows in the voxels alone, and all about DICOM
        series, is told when the scan is embedded.

    Raises
    ------
    UserError
        naming the first scan that cannot be read, or of a kind that the model does not know, or the first store that
        is none of this model.
    """
    options = ReadingOptions(modality, geometry, hu_offset, series)
    for scan in map(Path, scans):
        if scan.suffix == STORE_SUFFIX:
            open_store(scan, checkpoint_sha256=model.card.checkpoint_sha256)
        elif with_voxels:
            _read_known(model, scan, options)
        else:
            if modality is not None:
                _require_known(model, scan, modality, told=True)
            if is_volume_name(scan.name):
                read_file_header(scan, geometry=geometry)


def _read_known(model: Model, scan: Path, options: ReadingOptions) -> RawScan:
    """Return a raw scan of a kind that the model knows."""
    raw = read_raw_scan(scan, options)
    _require_known(model, scan, raw.modality, told=options.modality is not None)
    return raw


def _require_known(model: Model, scan: Path, modality: Modality, *, told: bool) -> None:
    """Refuse a kind of scan that the model has not seen."""
    if modality in model.card.modalities:
        return
    how = "" if told else ", judging by its header or its values; give --modality if that is wrong"
    raise InputFileError(
        scan,
        f"is a scan of modality {modality}{how}; the model {model.card.name} knows "
        f"{', '.join(model.card.modalities)} only",
    )


def _embed_raw(model: Model, raw: RawScan, options: ReadingOptions) -> tuple[PreparedVolume, EmbeddedScan]:
    """Return a raw scan prepared as in the training, and its embedding."""
    prepared = prepare_scan(
        raw,
        label_paths={},
        settings=PrepareVolumeSettings(
            volumes=model.card.usage.volumes, modality=raw.modality, organs=(), bad_labels="refuse"
        ),
    )
    try:
        embedded = model.embedder.embed(
            prepared.image,
            modality=raw.modality,
            volume_id=scan_name(raw.path),
            origin=_origin(model, raw.path, modality=raw.modality, options=options),
        )
    except InputFileError:
        raise
    except UserError as error:  # of a volume without a name
        raise InputFileError(raw.path, str(error)) from error
    scan = EmbeddedScan(
        embedded,
        prepared.body_mask,
        model.card.usage.matching,
        modality=raw.modality,
        scan_grid=raw.grid,
        remarks=prepared.remarks,
        frame_of_reference=raw.frame_of_reference,
    )
    return prepared, scan


@dataclass(frozen=True)
class StoredScan:
    """A scan whose embedding is on disk.

    Attributes
    ----------
    scan : its file or folder.
    store : where its embedding lies.
    remarks : what a user should know of it, a sentence each.
    """

    scan: Path
    store: Path
    remarks: tuple[str, ...]


def embed_scans(
    model: Model,
    scans: Iterable[Path | str],
    *,
    folder: Path | str,
    modality: Modality | None,
    geometry: Geometry | None = None,
    hu_offset: float | None = None,
    series: str | None = None,
) -> list[StoredScan]:
    """Embed scans and write one store for each; what is stored already is left alone.

    A store is called after its scan. Where a store of this name holds another scan, the name of the scan's folder
    comes before it; a store of another scan is never written over.

    Raises
    ------
    UserError
        as `embed_scan`, and if two scans have one name.
    """
    paths = [Path(scan) for scan in scans]
    named = list(zip(paths, distinct_names(paths), strict=True))
    require_writable_folder(folder)
    require_readable(model, paths, modality=modality, geometry=geometry)
    options = ReadingOptions(modality, geometry, hu_offset, series)
    stored: list[StoredScan] = []
    for path, name in track(named, description="embedding scans", total=len(named)):
        raw = None if modality else _read_known(model, path, options)
        origin = _origin(model, path, modality=raw.modality if raw else modality, options=options)
        taken = {other.store for other in stored}
        place = _place_of_store(path, name, Path(folder), taken=taken, volume_sha256=origin.volume_sha256)
        remarks = raw.notes if raw else ()
        if not is_stored(place.store, origin):
            _, scan = _embed_raw(model, raw or _read_known(model, path, options), options)
            save_embedding(scan, place.store)
            remarks = scan.remarks
        stored.append(replace(place, remarks=(*remarks, *place.remarks)))
    return stored


def _place_of_store(
    scan: Path, name: str, folder: Path, *, taken: set[Path], volume_sha256: str
) -> StoredScan:
    """Return where the store of a scan goes: under the first name under which no other scan lies."""
    parent = folder_name(scan)
    stores = [folder / f"{name}{STORE_SUFFIX}", folder / f"{parent}_{name}{STORE_SUFFIX}"]
    for place, store in enumerate(stores):
        if store not in taken and holds_no_other_volume(store, volume_sha256=volume_sha256):
            remark = f"{stores[0]} holds another scan, or {scan} as it was before; it is stored as {store}"
            return StoredScan(scan, store, (remark,) if place else ())
    raise UserError(
        f"{scan}: {' and '.join(map(str, stores))} hold other scans, or this one as it was before; remove those that "
        "are not needed any more, or give another folder"
    )


def save_embedding(scan: EmbeddedScan, store: Path | str) -> None:
    """Write the store of a scan with what was said of it, and its body mask beside it."""
    if scan.body_mask is not None:
        write_volume(scan.body_mask, _body_mask_path(Path(store)))
    said = replace(scan.embedded, remarks=scan.remarks, frame_of_reference=scan.frame_of_reference)
    write_store(store, said)


def open_embedding(model: Model, store: Path | str) -> EmbeddedScan:
    """Return the scan in a store, memory-mapped, with the body mask if one lies beside it.

    Raises
    ------
    InputFileError
        if the file is no store, or of another model.
    """
    embedded = open_store(store, checkpoint_sha256=model.card.checkpoint_sha256)
    mask_path = _body_mask_path(Path(store))
    mask = read_volume(mask_path, require_contrast=False) if mask_path.exists() else None
    return EmbeddedScan(
        embedded,
        mask,
        model.card.usage.matching,
        remarks=embedded.remarks,
        frame_of_reference=embedded.frame_of_reference,
    )


def open_or_embed(
    model: Model,
    path: Path | str,
    *,
    modality: Modality | None,
    geometry: Geometry | None = None,
    hu_offset: float | None = None,
    series: str | None = None,
    keep_voxels: bool = False,
) -> EmbeddedScan:
    """Return the scan in a store, or embed a raw scan; a store is told by its ending `.safetensors`.

    Raises
    ------
    UserError
        as `open_embedding` and `embed_scan`.
    """
    if Path(path).suffix == STORE_SUFFIX:
        return open_embedding(model, path)
    return embed_scan(
        model,
        path,
        modality=modality,
        geometry=geometry,
        hu_offset=hu_offset,
        series=series,
        keep_voxels=keep_voxels,
    )


def match_points(
    model: Model,
    template: EmbeddedScan,
    target: EmbeddedScan,
    points_mm: ArrayLike,
    *,
    method: MatchMethod = "nearest",
    refine: bool = False,
) -> Answers:
    """Return where points of one scan lie in another, and how far each answer can be relied on.

    Parameters
    ----------
    template, target : scans embedded by this model; they may be the same.
    points_mm : (N, 3) mm RAS+ in the template's world.
    method : the most similar place, or `stable_points`, where the neighbours of a point decide together.
    refine : move each match from its cell to the voxel, where the scans themselves tell the place; both have to be of
        one modality and embedded with `keep_voxels`.

    Raises
    ------
    UserError
        if a scan was embedded by another model, or cannot refine matches.
    """
    _require_scans_of(model, template, target)
    usage = model.card.usage
    answers = answer_points(
        template.searchable,
        target.searchable,
        points_mm,
        template_body=template.body_mask,
        matching=target.matching,
        stable_points=usage.stable_points if method == "stable_points" else None,
        confidence=model.card.confidence.get(method),
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
            f"the model {model.path} was packed before matches were refined; pack it again, or do without"
        )
    if template.scan is None or target.scan is None:
        cell_only = template if template.scan is None else target
        raise UserError(
            f"{cell_only.name} is a store, which answers in cells; name the scan itself to refine matches by it"
        )
    if template.modality != target.modality:
        raise UserError(
            f"{template.name} is a scan of modality {template.modality}, {target.name} of {target.modality}; matches "
            "are refined between scans of one modality only"
        )
    return refine_answers(answers, template.scan, target.scan, points_mm, settings=settings)


def map_similarity(model: Model, template: EmbeddedScan, target: EmbeddedScan, point_mm: ArrayLike) -> Volume:
    """Return how similar each fine cell of the target is to one point of the template, float32 in [-1, 1].

    Raises
    ------
    UserError
        if the point lies outside the template, or a scan was embedded by another model.
    """
    _require_scans_of(model, template, target)
    return similarity_map(template.embedded, target.searchable, point_mm, settings=target.matching)


def read_labels_of(
    template: EmbeddedScan, labels: Path | str, *, geometry: Geometry | None = None
) -> LabelFile:
    """Return the label map in a file, which must show something in the scan, and what was mended in it.

    Parameters
    ----------
    template : scan that it belongs to.
    labels : NIfTI, NRRD, MetaImage, `.seg.nrrd`, DICOM SEG or RTSTRUCT.
    geometry : form that places a file whose header states two places; None refuses it.

    Raises
    ------
    InputFileError
        if the labels hold no whole numbers from 0 to 65535, are all zero, or lie mostly outside the scan.
    """
    grid = template.scan_grid or _grid_of(template)
    scan = LabelledScan(grid, template.frame_of_reference)
    numbers = read_label_file(labels, geometry=geometry, scan=scan)
    try:
        require_labels_in(template.embedded, numbers.volume)
    except UserError as error:
        raise InputFileError(labels, str(error)) from error
    return numbers


def _grid_of(scan: EmbeddedScan) -> Volume:
    """Return the grid that was embedded, a volume of zeros that takes no memory."""
    return Volume(np.broadcast_to(np.zeros((), np.uint8), scan.embedded.shape), scan.embedded.affine)


def propagate_labels(
    model: Model,
    template: EmbeddedScan,
    labels: Path | str | Volume,
    target: EmbeddedScan,
    *,
    grid: Volume | None = None,
) -> CarriedLabels:
    """Return an organ or lesion mask of one scan carried to another, and what became of each label.

    Parameters
    ----------
    template, target : scans embedded by this model.
    labels : whole numbers on any grid in the world of the template, as a file or from `read_labels_of`; 0 is no
        label.
    grid : the labels are wanted on its voxels, such as `target.scan_grid`; None for those that were embedded.

    Raises
    ------
    UserError
        if the labels hold no whole numbers from 0 to 65535 or lie outside the template, or a scan was embedded by
        another model.
    """
    _require_scans_of(model, template, target)
    if grid is None:
        grid = _grid_of(target)
    return carry_by_points(
        template.searchable,
        target.searchable,
        labels if isinstance(labels, Volume) else read_labels_of(template, labels).volume,
        template_body=template.body_mask,
        grid=grid,
        matching=target.matching,
        settings=model.card.usage.propagation,
    )


@dataclass(frozen=True)
class ScanRegistration:
    """Two registered scans.

    Attributes
    ----------
    start : the map that matches agree on, or why there is none; then the bodies were centred on one another.
    field : deformation in the fixed world, before the start.
    fixed, moving : the raw scans.
    remarks : what was mended or chosen when they were read, a sentence each that begins with the path.
    """

    start: GuidedStart
    field: DisplacementField
    fixed: Volume
    moving: Volume
    remarks: tuple[str, ...] = ()

    @cached_property
    def forward(self) -> SimpleITK.Transform:
        """ITK transform of fixed to moving points, LPS mm; with it ITK resamples the moving scan onto the fixed."""
        return forward_transform(self.start.matrix, self.field)

    @cached_property
    def inverse(self) -> SimpleITK.Transform:
        """ITK transform of moving to fixed points, LPS mm."""
        return inverse_transform(self.start.matrix, self.field)

    def warped(self) -> Volume:
        """Return the moving scan on the grid of the fixed one, interpolated once.

        Where the axes of the fixed scan are skewed the grid is one with right angles that covers it: ITK programs would
        refuse the file.
        """
        return resample_by_itk(self.forward, self.moving, straight_grid(self.fixed))


def register_scans(
    model: Model,
    fixed: Path | str,
    moving: Path | str,
    *,
    program: Path | str,
    folder: Path | str,
    modality: Modality | None,
    threads: int,
    geometry: Geometry | None = None,
    hu_offset: float | None = None,
    series: str | None = None,
) -> ScanRegistration:
    """Return two raw scans registered: a start by matched embeddings, then deeds where both show the body.

    Parameters
    ----------
    model : from `load_model`; it knows both kinds of scan.
    fixed, moving : NIfTI files, or folders of one DICOM series.
    program : the built program deeds.
    folder : for the program's files, which stay there.
    modality : kind of both scans; None to find it for each scan.
    threads : for the program.
    geometry, hu_offset, series : as in `embed_scan`, of both scans.

    Raises
    ------
    UserError
        as `embed_scan`, and if the scans share no place, the program does not run or refuses them, or the folder cannot
        be written; what shows before the scans are embedded is told then.
    """
    settings = model.card.usage.scan_registration
    require_program(Path(program))
    require_writable_folder(folder)
    options = ReadingOptions(modality, geometry, hu_offset, series)
    raw = [_read_known(model, Path(path), options) for path in (fixed, moving)]
    prepared, embedded = zip(
        *(
            _embed_raw(model, scan, options)
            for scan in track(raw, description="embedding scans", total=len(raw))
        ),
        strict=True,
    )
    fixed_body, moving_body = (volume.body_mask for volume in prepared)
    found = match_grid(
        embedded[0].embedded,
        embedded[1].embedded,
        fixed_body=fixed_body,
        moving_body=moving_body,
        settings=MatchGridSettings(grid=settings.grid, matching=model.card.usage.matching),
    )
    start = find_start(found, fixed_body=fixed_body, moving_body=moving_body, settings=settings.fit)
    deformation = deform(
        Path(program),
        prepared[0].image,
        prepared[1].image,
        matrix=start.matrix,
        moving_labels=None,
        settings=settings.deeds,
        output_stem=Path(folder) / "deeds",
        threads=threads,
    )
    remarks = (*embedded[0].remarks, *embedded[1].remarks)
    return ScanRegistration(start, deformation.field, raw[0].volume, raw[1].volume, remarks)


def covered_mm(scan: EmbeddedScan) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest (3,) world mm RAS+ of the part of a scan that is embedded."""
    last = np.array(scan.embedded.shape) - 1
    corners = np.stack(np.meshgrid(*[(0, end) for end in last], indexing="ij"), axis=-1).reshape(-1, 3)
    corners_mm = corners @ scan.embedded.affine[:3, :3].T + scan.embedded.affine[:3, 3]
    return corners_mm.min(axis=0), corners_mm.max(axis=0)


def _require_scans_of(model: Model, *scans: EmbeddedScan) -> None:
    """Refuse scans that another model embedded: the similarities would mean nothing."""
    for scan in scans:
        found = scan.embedded.provenance.checkpoint_sha256
        if found != model.card.checkpoint_sha256:
            raise UserError(
                f"{scan.name} was embedded by another model ({found[:12]}) than {model.card.name} "
                f"({model.card.checkpoint_sha256[:12]}); embed it with this one"
            )


def _origin(model: Model, scan: Path, *, modality: Modality | None, options: ReadingOptions) -> Provenance:
    """Return what the store of a raw scan is made from."""
    usage = model.card.usage
    settings: dict[str, Any] = {
        "modality": modality,
        "volumes": usage.volumes.model_dump(mode="json"),
        "intensity": usage.intensity.model_dump(mode="json"),
        "precision": usage.embedding.precision,
        "with_semantic_map": usage.embedding.with_semantic_map,
        "store": usage.store.model_dump(mode="json"),
    }
    told = {"geometry": options.geometry, "hu_offset": options.hu_offset}
    settings |= {name: value for name, value in told.items() if value is not None}
    volume_sha256 = sha256_of_scan(scan)
    if options.series is not None and scan.is_dir():  # the folder holds other scans too
        volume_sha256 = sha256_of_text(f"{volume_sha256} {options.series}")
    return Provenance(
        checkpoint_sha256=model.card.checkpoint_sha256,
        volume_sha256=volume_sha256,
        preprocessing_sha256=sha256_of_text(canonical_json(settings)),
    )


def _body_mask_path(store: Path) -> Path:
    return store.with_name(store.name.removesuffix(STORE_SUFFIX) + BODY_MASK_SUFFIX)
