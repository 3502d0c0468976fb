"""From one raw scan to the prepared volume that every later stage reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.settings.volumes import Modality, PrepareVolumeSettings
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.body_mask import body_box, body_mask
from anatomical_embedding.volumes.organ_labels import OrganLabels, merge_masks, read_label_map
from anatomical_embedding.volumes.orientation import to_lps
from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions, read_raw_scan
from anatomical_embedding.volumes.resample import resample_to_spacing
from anatomical_embedding.volumes.scan_checks import remark_on_body
from anatomical_embedding.volumes.volume import Volume, VolumeHeader

Box = tuple[slice, slice, slice]
SPACING_NOISE = 1e-5
MOST_VOXELS = 2**31
"""Of a volume on the working grid: a person at 1 mm has half of them."""


@dataclass(frozen=True)
class PreparedVolume:
    """A scan on the working grid.

    Attributes
    ----------
    image : LPS array order, configured spacing, cropped to the body; CT int16 HU, MR float32.
    body_mask : uint8, 1 in the body, same grid.
    labels : organ of every voxel, same grid; None where the data set has no organs.
    description : what went in and what came out, ready for JSON.
    remarks : what was corrected or chosen, a sentence each that begins with the file.
    """

    image: Volume
    body_mask: Volume
    labels: Volume | None
    description: dict[str, Any]
    remarks: tuple[str, ...]


def prepare_volume(
    image_path: Path | str,
    *,
    label_paths: Mapping[str, Path],
    label_map_path: Path | None = None,
    settings: PrepareVolumeSettings,
) -> PreparedVolume:
    """Return the raw scan in a file or folder prepared; see `read_raw_scan` and `prepare_scan`.

    Raises
    ------
    InputFileError
        naming the file that is unsound, that does not fit its image, or that has no body in it.
    """
    options = ReadingOptions(
        modality=settings.modality,
        geometry=settings.geometry,
        hu_offset=_hu_offset(settings),
        series=settings.series,
        largest_gap_mm=settings.volumes.largest_gap_mm,
    )
    scan = read_raw_scan(image_path, options)
    prepared = prepare_scan(scan, label_paths=label_paths, label_map_path=label_map_path, settings=settings)
    prepared.description["raw"]["sha256"] = scan.sha256
    return prepared


def prepare_scan(
    scan: RawScan,
    *,
    label_paths: Mapping[str, Path],
    label_map_path: Path | None = None,
    settings: PrepareVolumeSettings,
) -> PreparedVolume:
    """Return a raw scan in LPS order, resampled and cropped, with its body mask and the labels of its organs.

    Parameters
    ----------
    scan : of the modality of the settings.
    label_paths : mask file of each organ that has one.
    label_map_path : file that holds all organs in one map, instead of masks.
    settings : grid, crop, body mask, modality and the order of the organs.

    Raises
    ------
    InputFileError
        naming the scan, if it has no body in it or is too large for the working grid, or the label file that does not
        fit its image (`merge_masks`).

    Notes
    -----
    Image and labels are resampled on one grid, corner-aligned in world mm. The published system drops a
    trailing empty plane that its rounding up of sizes makes; here no voxel lies outside the scan, so there is
    none.
    """
    raw = scan.volume
    _require_memory(raw, path=scan.path, settings=settings)
    resampled = _resample(raw, is_label=False, settings=settings)
    try:
        mask = body_mask(resampled, modality=settings.modality, settings=settings.volumes.body_mask)
    except UserError as error:
        raise InputFileError(scan.path, str(error)) from error
    # Spacings come out of affines, 4.0000001 mm and such; a margin of just four voxels must not become five.
    margin_vox = np.ceil(settings.volumes.crop_margin_mm / resampled.spacing_mm - SPACING_NOISE).astype(int)
    box = body_box(mask, margin_vox=margin_vox)
    image = crop_volume(resampled, box=box)
    # Headers hold single precision: the volume in hand and the one read from its file shall lie in the same place.
    affine = image.affine.astype(np.float32).astype(np.float64)
    image = Volume(_storable(image.array, modality=settings.modality), affine)
    description: dict[str, Any] = {
        "modality": settings.modality,
        "raw": _describe_grid(raw),
        "prepared": _describe_grid(image) | {"crop_start_vox": [side.start for side in box]},
        "body_fraction": float(mask[box].mean()),
    }
    remarks = [*scan.notes, *scan.named(filter(None, [remark_on_body(float(mask.mean()))]))]
    labels = None
    if settings.organs:
        found = _organ_labels(raw, label_paths, label_map_path, settings=settings)
        labels = crop_volume(_resample(found.volume, is_label=True, settings=settings), box=box)
        labels = Volume(labels.array, affine)
        description["labels"] = _describe_labels(
            labels,
            found=found,
            label_paths=label_paths if label_map_path is None else {"label_map": label_map_path},
            organs=settings.organs,
        )
        remarks += found.remarks
    description["remarks"] = remarks
    body = Volume(mask[box].astype(np.uint8), affine)
    return PreparedVolume(image, body, labels, description, tuple(remarks))


def _hu_offset(settings: PrepareVolumeSettings) -> float | None:
    """Return the offset of a data set's CTs; its MRs have none."""
    return settings.hu_offset if settings.modality == "ct" else None


def _require_memory(raw: Volume, *, path: Path, settings: PrepareVolumeSettings) -> None:
    """Refuse a scan that no machine holds at the working spacing, before memory for it is asked for."""
    extent_mm = raw.spacing_mm * raw.shape
    num_voxels = extent_mm.prod() / np.prod(settings.volumes.spacing_mm)
    if num_voxels > MOST_VOXELS:
        extent = " x ".join(f"{length:.4g}" for length in extent_mm)
        raise InputFileError(
            path, f"is {extent} mm large, {num_voxels:.2g} voxels at the working spacing; check its spacing"
        )


def _organ_labels(
    raw: Volume,
    label_paths: Mapping[str, Path],
    label_map_path: Path | None,
    *,
    settings: PrepareVolumeSettings,
) -> OrganLabels:
    """Return the organs of a scan in one map on its grid."""
    grid = VolumeHeader(shape=raw.shape, affine=raw.affine)
    organs, bad_labels, geometry = settings.organs, settings.bad_labels, settings.geometry
    if label_map_path is None:
        return merge_masks(label_paths, organs=organs, grid=grid, bad_labels=bad_labels, geometry=geometry)
    return read_label_map(label_map_path, organs=organs, grid=grid, bad_labels=bad_labels, geometry=geometry)


def crop_volume(volume: Volume, *, box: Box) -> Volume:
    """Return the part of a volume inside a box of voxels, every voxel at its old place in the world."""
    affine = volume.affine.copy()
    affine[:3, 3] = transform_points(volume.affine, [side.start for side in box])
    return Volume(volume.array[box], affine)


def _resample(volume: Volume, *, is_label: bool, settings: PrepareVolumeSettings) -> Volume:
    return resample_to_spacing(to_lps(volume), spacing_mm=settings.volumes.spacing_mm, is_label=is_label)


def _storable(array: NDArray[np.float32], *, modality: Modality) -> NDArray:
    """Return CT as whole HU in int16, MR as float32: its units are free, so they stay."""
    if modality == "mr":
        return array
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(array), limits.min, limits.max).astype(np.int16)


def _describe_grid(volume: Volume) -> dict[str, Any]:
    return {
        "shape": list(volume.shape),
        "spacing_mm": [round(float(spacing), 6) for spacing in volume.spacing_mm],
        "affine": volume.affine.tolist(),
    }


def _describe_labels(
    labels: Volume, *, found: OrganLabels, label_paths: Mapping[str, Path], organs: Sequence[str]
) -> dict[str, Any]:
    counts = np.bincount(labels.array.ravel(order="K"), minlength=len(organs) + 1)
    return {
        "sha256": {name: sha256_of_file(path) for name, path in label_paths.items()},
        "num_prepared_vox": {organ: int(count) for organ, count in zip(organs, counts[1:], strict=True)},
        "num_overlapping_vox": found.num_overlapping_vox,
        "missing_organs": list(found.missing_organs),
        "empty_organs": list(found.empty_organs),
        "skipped": dict(found.skipped),
    }
