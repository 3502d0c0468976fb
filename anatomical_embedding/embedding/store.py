"""The embedding of a volume in one file: memory-mapped, with its geometry and its origin in the header.

A store is a `safetensors` file. Its tensors are the heads, channels last so that the vector of a cell is contiguous,
in fp16 or in int8 with one fp16 scale per cell; the length of the upsampled coarse vectors on the fine grid, which
makes exact matching cheap; and a header with the geometry and three checksums: of the checkpoint, of the volume
and of the preprocessing. The coarse head is fp16 in both formats: it is below one percent of the file.
Nothing here needs torch.
"""

import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from anatomical_embedding.canonical_text import canonical_json
from anatomical_embedding.embedding.upsampling import grid_interpolation, norms_of_upsampled
from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.settings.matching import StoreSettings
from anatomical_embedding.volumes.cell_centres import affine_of_cells
from anatomical_embedding.volumes.grid import Grid

FORMAT_VERSION = 1
METADATA_KEY = "anatomical_embedding_store"
INT8_LIMIT = 127
_NUMPY_TYPES = {"F16": np.float16, "F32": np.float32, "I8": np.int8}

Size = tuple[int, int, int]


@dataclass(frozen=True)
class HeadMap:
    """The vectors of one head on its grid of cells.

    Attributes
    ----------
    values : (Z, Y, X, C) float16, or int8 when `scale` is given.
    scale : (Z, Y, X) float16 or None; the vector of a cell is `values * scale`.
    stride_vox : stride of the cells in input voxels along x, y, z.
    cell_affine : (4, 4), cell index (x, y, z) to world mm RAS+.
    """

    values: NDArray
    scale: NDArray[np.float16] | None
    stride_vox: Size
    cell_affine: NDArray[np.float64]

    @property
    def shape_zyx(self) -> Size:
        """Number of cells along z, y and x."""
        return self.values.shape[:3]  # type: ignore[return-value]

    @property
    def stride_zyx(self) -> Size:
        """Stride in input voxels in the order of the axes of `values`."""
        return self.stride_vox[::-1]

    def vectors_at(self, cells_zyx: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the (N, C) float32 vectors of (N, 3) cell indices in the order z, y, x."""
        index = tuple(np.moveaxis(cells_zyx, -1, 0))
        return decode(self.values[index], scale=None if self.scale is None else self.scale[index])


@dataclass(frozen=True)
class Origin:
    """What an embedding was made from: equal checksums mean an equal embedding, within what precisions differ by."""

    checkpoint_sha256: str
    volume_sha256: str
    preprocessing_sha256: str


@dataclass(frozen=True)
class EmbeddedVolume(Grid):
    """The embedding of one volume with its geometry.

    Attributes
    ----------
    volume_id : id in the index.
    fine, coarse : the two heads that every network has.
    semantic : third head on the grid of `fine`, or None.
    coarse_norm : (Z, Y, X) float32 on the fine grid, length of the upsampled coarse vectors.
    shape : voxels of the embedded volume along x, y, z.
    affine : (4, 4), voxel to world mm RAS+ of the embedded volume.
    origin : what it was made from.
    remarks : what was corrected or chosen when its scan was read, a sentence each.
    frame_of_reference : UID of the world of a DICOM series; empty for other scans.
    precision : that the network computed in; empty where that is not known, as in older stores.
    """

    volume_id: str
    fine: HeadMap
    coarse: HeadMap
    semantic: HeadMap | None
    coarse_norm: NDArray[np.float32]
    shape: Size
    affine: NDArray[np.float64]
    origin: Origin
    remarks: tuple[str, ...] = ()
    frame_of_reference: str = ""
    precision: str = ""


def quantise(vectors: NDArray) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Return int8 values and a scale per vector that restore unit vectors.

    Each vector is stretched until its largest component is 127 and rounded. The scale is the inverse length of the
    rounded vector, so that rounding turns a vector a little but does not lengthen it.

    Parameters
    ----------
    vectors : (..., C) unit vectors; zero vectors stay zero.

    Returns
    -------
    (..., C) int8 and (...,) float16.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    values = np.rint(vectors * (INT8_LIMIT / np.where(largest > 0, largest, 1))).astype(np.int8)
    length = np.linalg.norm(values.astype(np.float32), axis=-1)
    return values, (1.0 / np.maximum(length, 1.0)).astype(np.float16)


def decode(values: NDArray, *, scale: NDArray[np.float16] | None) -> NDArray[np.float32]:
    """Return stored values as float32 vectors; `scale` has the shape of `values` without channels."""
    vectors = values.astype(np.float32)
    return vectors if scale is None else vectors * scale[..., None].astype(np.float32)


def embedded_volume(
    fine: NDArray,
    coarse: NDArray,
    semantic: NDArray | None,
    *,
    fine_stride_vox: Size,
    coarse_stride_vox: Size,
    volume_id: str,
    shape: Size,
    affine: NDArray[np.float64],
    origin: Origin,
    settings: StoreSettings,
) -> EmbeddedVolume:
    """Return what a store holds, made from the heads of the network.

    Parameters
    ----------
    fine, coarse, semantic : (Z, Y, X, C) unit vectors in any float type; strides in order x, y, z.
    shape, affine : of the volume that was embedded, axes x, y, z.

    Raises
    ------
    UserError
        if a head holds NaN or infinity.
    """
    for name, head in (("fine", fine), ("coarse", coarse), ("semantic", semantic)):
        if head is not None and not all(np.isfinite(plane).all() for plane in head):
            raise UserError(
                f"volume {volume_id}: the {name} embedding holds values that are not finite; "
                "check the volume, and whether the training of the model diverged"
            )
    fine_cells = affine_of_cells(affine, stride_vox=fine_stride_vox)

    def on_fine_grid(head: NDArray) -> HeadMap:
        if settings.format == "fp16":
            return HeadMap(head.astype(np.float16, copy=False), None, fine_stride_vox, fine_cells)
        values = np.empty(head.shape, dtype=np.int8)
        scale = np.empty(head.shape[:3], dtype=np.float16)
        for index, plane in enumerate(head):  # plane by plane, because float32 copies of a head are large
            values[index], scale[index] = quantise(plane)
        return HeadMap(values, scale, fine_stride_vox, fine_cells)

    coarse_cells = affine_of_cells(affine, stride_vox=coarse_stride_vox)
    coarse_map = HeadMap(coarse.astype(np.float16, copy=False), None, coarse_stride_vox, coarse_cells)
    axes = grid_interpolation(
        fine.shape[:3],
        coarse.shape[:3],
        stride_fine=fine_stride_vox[::-1],
        stride_coarse=coarse_stride_vox[::-1],
    )
    return EmbeddedVolume(
        volume_id=volume_id,
        fine=on_fine_grid(fine),
        coarse=coarse_map,
        semantic=None if semantic is None else on_fine_grid(semantic),
        coarse_norm=norms_of_upsampled(coarse_map.values, axes=axes),
        shape=shape,
        affine=np.asarray(affine, dtype=np.float64),
        origin=origin,
    )


def write_store(path: Path | str, embedded: EmbeddedVolume) -> None:
    """Write an embedding as one file, atomically."""
    tensors: dict[str, NDArray] = {"coarse_norm": embedded.coarse_norm}
    for name, head in _heads(embedded).items():
        tensors[f"{name}.values"] = head.values
        if head.scale is not None:
            tensors[f"{name}.scale"] = head.scale
    header = {
        "format_version": FORMAT_VERSION,
        "volume_id": embedded.volume_id,
        "shape": [int(size) for size in embedded.shape],
        "affine": embedded.affine.tolist(),
        "stride_vox": {name: list(head.stride_vox) for name, head in _heads(embedded).items()},
        "provenance": asdict(embedded.origin),
    }
    known = {
        "remarks": list(embedded.remarks),
        "frame_of_reference": embedded.frame_of_reference,
        "precision": embedded.precision,
    }
    header |= {key: value for key, value in known.items() if value}
    with written_atomically(path) as temporary:
        contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata={METADATA_KEY: canonical_json(header)})


def open_store(path: Path | str, *, checkpoint_sha256: str | None = None) -> EmbeddedVolume:
    """Return the embedding in a store, memory-mapped: only what is looked at is read.

    Parameters
    ----------
    path : the store.
    checkpoint_sha256 : the model that the store must come from, or None for any.

    Raises
    ------
    InputFileError
        if the file is absent, cut off, not a store, of another format version, or of another model.
    """
    path = Path(path)
    header = _read_header(path)
    origin = Origin(**header["provenance"])
    if checkpoint_sha256 is not None and origin.checkpoint_sha256 != checkpoint_sha256:
        raise InputFileError(
            path,
            f"is a store of model {origin.checkpoint_sha256[:12]}, expected model {checkpoint_sha256[:12]}; "
            "export the embeddings again with this model",
        )
    tensors = _memory_map(path)
    affine = np.array(header["affine"], dtype=np.float64)

    def head(name: str) -> HeadMap:
        stride_vox = tuple(header["stride_vox"][name])
        cells = affine_of_cells(affine, stride_vox=stride_vox)
        return HeadMap(tensors[f"{name}.values"], tensors.get(f"{name}.scale"), stride_vox, cells)

    return EmbeddedVolume(
        volume_id=header["volume_id"],
        fine=head("fine"),
        coarse=head("coarse"),
        semantic=head("semantic") if "semantic" in header["stride_vox"] else None,
        coarse_norm=tensors["coarse_norm"],
        shape=tuple(header["shape"]),
        affine=affine,
        origin=origin,
        remarks=tuple(header.get("remarks", ())),
        frame_of_reference=header.get("frame_of_reference", ""),
        precision=header.get("precision", ""),
    )


def read_origin(path: Path | str) -> Origin:
    """Return what a store was made from; reads the header only.

    Raises
    ------
    InputFileError
        if the file is absent, cut off, not a store, or of another format version.
    """
    return Origin(**_read_header(Path(path))["provenance"])


def _heads(embedded: EmbeddedVolume) -> dict[str, HeadMap]:
    heads = {"fine": embedded.fine, "coarse": embedded.coarse}
    return heads if embedded.semantic is None else heads | {"semantic": embedded.semantic}


def _read_header(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputFileError(path, "no such file; export the embeddings first")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise InputFileError(
            path, f"is cut off or not an embedding store ({error}); delete it and export again"
        ) from error
    if METADATA_KEY not in metadata:
        raise InputFileError(path, "is a safetensors file but not an embedding store")
    header = json.loads(metadata[METADATA_KEY])
    if header["format_version"] != FORMAT_VERSION:
        raise InputFileError(
            path,
            f"has store format {header['format_version']}, expected {FORMAT_VERSION}; export the embeddings again",
        )
    return header


def _memory_map(path: Path) -> dict[str, NDArray]:
    # safe_open copies every tensor that it returns. Its file layout is 8 bytes with the length of a JSON index,
    # the index, and the tensors; safe_open has already checked that index and file agree.
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        index = json.loads(stream.read(length))
    return {
        name: np.asarray(
            np.memmap(
                path,
                dtype=_NUMPY_TYPES[entry["dtype"]],
                mode="c",  # private and writable, because torch refuses read-only memory; the file never changes
                offset=8 + length + entry["data_offsets"][0],
                shape=tuple(entry["shape"]),
            )
        )
        for name, entry in index.items()
        if name != "__metadata__"
    }
