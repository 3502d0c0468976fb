"""The volumes of a training, opened from index files: memory-mapped, so that their number is not limited by memory."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from anatomical_embedding.errors import InputFileError, SettingsError
from anatomical_embedding.index_file import IndexRow, read_index
from anatomical_embedding.patches.pair_batches import HeadGeometry, TrainingVolume
from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.training import TrainingSettings
from anatomical_embedding.settings.volumes import IntensitySettings
from anatomical_embedding.volumes.intensity import intensity_window
from anatomical_embedding.volumes.nifti import map_volume


def open_split(
    index_paths: Mapping[str, Path], *, split: str, intensity: IntensitySettings
) -> dict[str, list[TrainingVolume]]:
    """Return data set name -> its volumes of a split.

    Raises
    ------
    InputFileError
        if a data set has no volume of the split.
    """
    volumes = {}
    for name, path in index_paths.items():
        rows = [row for row in read_index(path) if row.split == split]
        if not rows:
            raise InputFileError(path, f"has no volume of the split '{split}'; see datasets.{name}.split")
        volumes[name] = [open_volume(row, intensity=intensity) for row in rows]
    return volumes


def open_volume(row: IndexRow, *, intensity: IntensitySettings) -> TrainingVolume:
    """Return one prepared volume, memory-mapped."""
    image = map_volume(row.image_path)
    return TrainingVolume(
        image=image,
        body_mask=map_volume(row.body_mask_path),
        window=intensity_window(image.array, modality=row.modality, settings=intensity),
        intensity=intensity,
    )


def head_geometries(
    network: NetworkSettings, training: TrainingSettings
) -> tuple[HeadGeometry, HeadGeometry]:
    """Return the cells of the fine and of the coarse head for the patches of a training.

    Raises
    ------
    SettingsError
        if a patch is no whole number of coarse cells, because the coarse map could not be brought to the fine grid.
    """
    patch_zyx = _reversed(training.views.patch_size_vox)
    if any(size % stride for size, stride in zip(patch_zyx, network.coarse_stride_zyx, strict=True)):
        raise SettingsError(
            f"training.views.patch_size_vox: is {list(training.views.patch_size_vox)}, expected multiples of the "
            f"network's coarse stride {list(_reversed(network.coarse_stride_zyx))} (x, y, z)"
        )
    shapes = network.level_shapes(patch_zyx)
    return (
        HeadGeometry(stride_vox=_reversed(network.fine_stride_zyx), size=_reversed(shapes[0])),
        HeadGeometry(stride_vox=_reversed(network.coarse_stride_zyx), size=_reversed(shapes[-1])),
    )


def _reversed(triple: Iterable[int]) -> tuple[int, int, int]:
    first, second, third = triple
    return third, second, first
