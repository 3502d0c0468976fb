"""Embed the volumes of an index and store each as soon as it is done; what is stored already is left alone."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from torch import Tensor

from anatomical_embedding.canonical_text import canonical_json, sha256_of_text
from anatomical_embedding.checkpoint_header import model_sha256
from anatomical_embedding.embedding.embed_volume import VolumeEmbedder
from anatomical_embedding.embedding.store import (
    EmbeddedVolume,
    Origin,
    embedded_volume,
    read_origin,
    write_store,
)
from anatomical_embedding.errors import InputFileError, OutputFileError, UserError
from anatomical_embedding.identifiers import quote_some
from anatomical_embedding.index_file import IndexRow
from anatomical_embedding.networks.checkpoint import load_checkpoint
from anatomical_embedding.networks.number_formats import notes_on_precision
from anatomical_embedding.processes import ALONE, Processes
from anatomical_embedding.progress import log, track
from anatomical_embedding.provenance import note_remarks
from anatomical_embedding.settings.export import ExportSettings
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.intensity import network_array, normalise_intensity
from anatomical_embedding.volumes.nifti import map_volume
from anatomical_embedding.volumes.volume import Volume

STORE_SUFFIX = ".safetensors"


def export_embeddings(
    rows: Iterable[IndexRow],
    *,
    checkpoint: Path,
    store_folder: Path,
    settings: ExportSettings,
    processes: Processes = ALONE,
) -> dict[str, Path]:
    """Return the store of every volume, made now where it is missing or was made from something else.

    The model is loaded once, and only if some volume needs it. A volume that cannot be embedded is told and left out,
    and the others are still stored, so that the next run has only that one to do. Of several processes each embeds
    every n-th of the volumes that are missing, and all return when the last one is done.

    Parameters
    ----------
    rows : volumes to embed.
    checkpoint : the model.
    store_folder : where stores lie, `<volume_id>.safetensors`.
    settings : intensities, precision, heads and format.
    processes : that divide the volumes; they talk by gloo.

    Raises
    ------
    UserError
        naming the volumes that could not be embedded, after all others are stored.
    OutputFileError
        naming the store for which there is no room; what is stored already stays.
    """
    rows = list(rows)
    stores = {row.volume_id: store_folder / f"{row.volume_id}{STORE_SUFFIX}" for row in rows}
    checkpoint_sha256 = model_sha256(checkpoint)
    origins = {
        row.volume_id: expected_origin(row, checkpoint_sha256=checkpoint_sha256, settings=settings)
        for row in rows
    }
    # One process says what is missing: on a network disk the others may see an older state of the folder.
    missing = processes.first_says(
        [not is_stored(stores[row.volume_id], origins[row.volume_id]) for row in rows]
    )
    to_do = [row for row, is_missing in zip(rows, missing, strict=True) if is_missing]
    if processes.is_first:
        log(f"{len(rows)} volumes, {len(rows) - len(to_do)} of them stored already")
    part = [to_do[place] for place in processes.places(len(to_do))]
    faults = _embed_and_store(part, stores, origins, checkpoint=checkpoint, settings=settings)
    num_faults = processes.count(len(faults))
    if faults:
        first = next(iter(faults))
        raise UserError(
            f"could not embed {quote_some(faults)}; the other {len(rows) - num_faults} volumes are stored; "
            f"first fault: {first}: {faults[first]}"
        )
    if num_faults:
        raise UserError(
            f"{num_faults} volumes could not be embedded; the process that tried says which and why"
        )
    return stores


def _embed_and_store(
    rows: list[IndexRow],
    stores: Mapping[str, Path],
    origins: Mapping[str, Origin],
    *,
    checkpoint: Path,
    settings: ExportSettings,
) -> dict[str, UserError]:
    """Embed volumes, store each as soon as it is done, and return the faults of those that can't be embedded."""
    faults: dict[str, UserError] = {}
    if not rows:
        return faults
    embedder = StoreEmbedder(checkpoint, settings=settings)
    note_remarks(
        notes_on_precision(settings.embedding.precision, embedder.precision, key="embedding.precision")
    )
    for row in track(rows, description="embedding volumes", total=len(rows)):
        try:
            embedded = embedder.embed(
                map_volume(row.image_path),
                modality=row.modality,
                volume_id=row.volume_id,
                origin=origins[row.volume_id],
            )
            write_store(stores[row.volume_id], embedded)
        except OutputFileError:  # a full disk takes no other store either
            raise
        except UserError as error:
            log(f"{row.volume_id}: {error}")
            faults[row.volume_id] = error
    return faults


def expected_origin(row: IndexRow, *, checkpoint_sha256: str, settings: ExportSettings) -> Origin:
    """Return what the store of a volume must have been made from."""
    return Origin(
        checkpoint_sha256=checkpoint_sha256,
        volume_sha256=row.sha256,
        preprocessing_sha256=preprocessing_sha256(settings, modality=row.modality),
    )


def preprocessing_sha256(settings: ExportSettings, *, modality: Modality | None, **others: Any) -> str:
    """Return the checksum of all that changes the store of a volume beside the volume and the weights.

    That is intensities, precision, heads and format; the device and the memory limit do not count. Nor does it count
    that a processor computes bf16 in fp32, so that processors of both kinds can share a folder of stores.

    Parameters
    ----------
    others : what else a store was made with, JSON-able.
    """
    counting = {
        "modality": modality,
        "intensity": settings.intensity.model_dump(mode="json"),
        "precision": settings.embedding.precision,
        "with_semantic_map": settings.embedding.with_semantic_map,
        "store": settings.store.model_dump(mode="json"),
    }
    return sha256_of_text(canonical_json(counting | others))


def is_stored(path: Path, origin: Origin) -> bool:
    """Say whether a whole store of this origin exists; a damaged or foreign file counts as none."""
    try:
        return read_origin(path) == origin
    except InputFileError:
        return False


def holds_no_other_volume(path: Path, *, volume_sha256: str) -> bool:
    """Say whether a store may be written there: nothing lies there yet, or a store of this very volume."""
    if not path.exists():
        return True
    try:
        return read_origin(path).volume_sha256 == volume_sha256
    except InputFileError:  # a file of another kind, such as a model
        return False


class StoreEmbedder:
    """A loaded model that turns prepared volumes into embeddings ready to be stored or searched.

    Parameters
    ----------
    checkpoint : the model.
    settings : intensities, precision, heads and format.

    Attributes
    ----------
    precision : that the network computes in here.

    Raises
    ------
    InputFileError
        if the checkpoint cannot be used.
    """

    def __init__(self, checkpoint: Path, *, settings: ExportSettings):
        network, _ = load_checkpoint(checkpoint)
        self._network_settings = network.settings
        self._embedder = VolumeEmbedder(network, settings=settings.embedding)
        self.precision = self._embedder.precision
        self._settings = settings

    def embed(
        self,
        volume: Volume,
        *,
        modality: Modality,
        volume_id: str,
        origin: Origin,
        body: Volume | None = None,
    ) -> EmbeddedVolume:
        """Return the embedding of one prepared volume.

        Parameters
        ----------
        body : mask on its grid; vectors of the fine and the semantic head are then made alone for cells that touch it
            and their neighbours. None makes all.

        Raises
        ------
        UserError
            if the volume is smaller than a cell or has no contrast.
        """
        array = normalise_intensity(
            network_array(volume), modality=modality, settings=self._settings.intensity
        )
        region = None
        if body is not None:
            reach = [2 * stride + 1 for stride in self._network_settings.fine_stride_zyx]
            region = maximum_filter(network_array(body), size=reach, mode="constant") > 0
        maps = self._embedder.embed(array, region=region)
        fine_z, fine_y, fine_x = self._network_settings.fine_stride_zyx
        coarse_z, coarse_y, coarse_x = self._network_settings.coarse_stride_zyx
        embedded = embedded_volume(
            _channels_last(maps.fine),
            _channels_last(maps.coarse),
            None if maps.semantic is None else _channels_last(maps.semantic),
            fine_stride_vox=(fine_x, fine_y, fine_z),
            coarse_stride_vox=(coarse_x, coarse_y, coarse_z),
            volume_id=volume_id,
            shape=volume.shape,
            affine=volume.affine,
            origin=origin,
            settings=self._settings.store,
        )
        return replace(embedded, precision=self.precision)


def _channels_last(head: Tensor) -> NDArray:
    """Return the (Z, Y, X, C) view of the (1, C, Z, Y, X) map of one volume."""
    return head[0].permute(1, 2, 3, 0).numpy()
