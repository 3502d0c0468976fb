"""Embed the volumes of an index and store each as soon as it is done; what is stored already is left alone."""

from collections.abc import Callable, Iterable
from pathlib import Path

from numpy.typing import NDArray
from torch import Tensor

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.files import canonical_json, sha256_of_file, sha256_of_text
from anatomical_embedding.identifiers import quote_some
from anatomical_embedding.index_file import IndexRow
from anatomical_embedding.matching.embed_volume import VolumeEmbedder
from anatomical_embedding.matching.embedding_store import (
    EmbeddedVolume,
    Provenance,
    embedded_volume,
    read_provenance,
    write_store,
)
from anatomical_embedding.networks.checkpoint import load_checkpoint
from anatomical_embedding.progress import log, track
from anatomical_embedding.settings.export import ExportSettings
from anatomical_embedding.volumes.intensity import network_array, normalise_intensity
from anatomical_embedding.volumes.nifti import map_volume

STORE_SUFFIX = ".safetensors"


def export_embeddings(
    rows: Iterable[IndexRow], *, checkpoint: Path, store_folder: Path, settings: ExportSettings
) -> dict[str, Path]:
    """Return the store of every volume, made now where it is missing or was made from something else.

    The model is loaded once, and only if some volume needs it. A volume that cannot be embedded is told and left out,
    and the others are still stored, so that the next run has only that one to do.

    Parameters
    ----------
    rows : volumes to embed.
    checkpoint : the model.
    store_folder : where stores lie, `<volume_id>.safetensors`.

    Raises
    ------
    UserError
        naming the volumes that could not be embedded, after all others are stored.
    """
    rows = list(rows)
    stores = {row.volume_id: store_folder / f"{row.volume_id}{STORE_SUFFIX}" for row in rows}
    checkpoint_sha256 = sha256_of_file(checkpoint)
    origins = {
        row.volume_id: expected_provenance(row, checkpoint_sha256=checkpoint_sha256, settings=settings)
        for row in rows
    }
    to_do = [row for row in rows if not is_stored(stores[row.volume_id], origins[row.volume_id])]
    log(f"{len(rows)} volumes, {len(rows) - len(to_do)} of them stored already")
    if not to_do:
        return stores
    embed = volume_embedding(checkpoint, settings=settings)
    faults: dict[str, UserError] = {}
    for row in track(to_do, description="embedding volumes", total=len(to_do)):
        try:
            write_store(stores[row.volume_id], embed(row, origins[row.volume_id]))
        except UserError as error:
            log(f"{row.volume_id}: {error}")
            faults[row.volume_id] = error
    if faults:
        first = next(iter(faults))
        raise UserError(
            f"could not embed {quote_some(faults)}; the other {len(rows) - len(faults)} volumes are stored; "
            f"first fault: {first}: {faults[first]}"
        )
    return stores


def expected_provenance(row: IndexRow, *, checkpoint_sha256: str, settings: ExportSettings) -> Provenance:
    """Return what the store of a volume must have been made from.

    Everything that changes a store counts as preprocessing: intensities, precision, heads and format. The device and
    the memory limit do not.
    """
    preprocessing = {
        "modality": row.modality,
        "intensity": settings.intensity.model_dump(mode="json"),
        "precision": settings.embedding.precision,
        "with_semantic_map": settings.embedding.with_semantic_map,
        "store": settings.store.model_dump(mode="json"),
    }
    return Provenance(
        checkpoint_sha256=checkpoint_sha256,
        volume_sha256=row.sha256,
        preprocessing_sha256=sha256_of_text(canonical_json(preprocessing)),
    )


def is_stored(path: Path, origin: Provenance) -> bool:
    """Say whether a whole store of this origin exists; a damaged or foreign file counts as none."""
    try:
        return read_provenance(path) == origin
    except InputFileError:
        return False


def volume_embedding(
    checkpoint: Path, *, settings: ExportSettings
) -> Callable[[IndexRow, Provenance], EmbeddedVolume]:
    """Return a function that embeds the volume of an index row with one loaded model."""
    network, _ = load_checkpoint(checkpoint)
    embedder = VolumeEmbedder(network, settings=settings.embedding)

    def embed(row: IndexRow, origin: Provenance) -> EmbeddedVolume:
        volume = map_volume(row.image_path)
        array = normalise_intensity(network_array(volume), modality=row.modality, settings=settings.intensity)
        maps = embedder.embed(array)
        fine_z, fine_y, fine_x = network.settings.fine_stride_zyx
        coarse_z, coarse_y, coarse_x = network.settings.coarse_stride_zyx
        return embedded_volume(
            _channels_last(maps.fine),
            _channels_last(maps.coarse),
            None if maps.semantic is None else _channels_last(maps.semantic),
            fine_stride_vox=(fine_x, fine_y, fine_z),
            coarse_stride_vox=(coarse_x, coarse_y, coarse_z),
            volume_id=row.volume_id,
            shape=volume.shape,
            affine=volume.affine,
            provenance=origin,
            settings=settings.store,
        )

    return embed


def _channels_last(head: Tensor) -> NDArray:
    """Return the (Z, Y, X, C) view of the (1, C, Z, Y, X) map of one volume."""
    return head[0].permute(1, 2, 3, 0).numpy()
