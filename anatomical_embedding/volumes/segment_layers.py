"""Segmentations of 3D Slicer (`.seg.nrrd`): layers of label maps, and what their segments are called.

Each segment is a value in a layer. Layers are the first axis of the file, where there are several; segments of one
layer do not overlap. Files of Slicer before 4.11 state neither layer nor value: every segment is a layer of ones.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes import voxels
from anatomical_embedding.volumes.nifti_geometry import require_extent
from anatomical_embedding.volumes.nrrd import read_nrrd_header
from anatomical_embedding.volumes.segments import Segment, label_map_of, usable_numbers
from anatomical_embedding.volumes.text_header import TextHeader, read_stored
from anatomical_embedding.volumes.volume import FoundVolume, Volume

SEGMENTATION_SUFFIXES = (".seg.nrrd", ".seg.nhdr")
MOST_VALUES = 10
"""That are said."""
KEY = re.compile(r"Segment(\d+)_(ID|Name|LabelValue|Layer)")


def read_layers(path: Path) -> FoundVolume:
    """Return the label map of a segmentation of 3D Slicer.

    Raises
    ------
    InputFileError
        if the file is no sound NRRD, says of no segment what it is, of two the same, or of a layer that is not there.
    """
    header = read_nrrd_header(path)
    layers = _layers(header)
    stated: dict[int, dict[str, str]] = {}
    for key, text in header.keys.items():
        found = KEY.fullmatch(key)
        if found is not None:
            stated.setdefault(int(found[1]), {})[found[2]] = text
    if not stated:
        raise InputFileError(path, "names no segment (Segment0_ID), expected a segmentation of 3D Slicer")
    places = [_layer_and_value(stated[number], number, path=path) for number in sorted(stated)]
    for place in places:
        if places.count(place) > 1:
            raise InputFileError(
                path, f"has the value {place[1]} in layer {place[0]} for two segments; export it again"
            )
    numbers = usable_numbers([value for _, value in places])
    segments = []
    for entry, number, (layer, value) in zip(
        (stated[key] for key in sorted(stated)), numbers, places, strict=True
    ):
        if layer >= len(layers):
            raise InputFileError(
                path, f"has {len(layers)} layers and a segment in layer {layer}; export it again"
            )
        inside = np.flatnonzero(layers[layer] == value)
        segments.append(Segment(number, entry.get("Name", entry.get("ID", "")), inside))
    grid = Volume(layers[0], header.affine)
    require_extent(grid.affine, shape=grid.shape, unit="mm", path=path)
    volume, remarks = label_map_of(segments, grid=grid)
    names = {segment.number: segment.name for segment in segments if segment.name}
    return FoundVolume(volume, (*header.remarks, *remarks, *_unnamed(layers, places)), names)


def _unnamed(layers: Sequence[NDArray], places: Sequence[tuple[int, int]]) -> list[str]:
    """Return sentences on voxels of values that no segment has."""
    said = []
    for number, layer in enumerate(layers):
        known = [0, *(value for place, value in places if place == number)]
        unknown = layer[~np.isin(layer, known)]
        if len(unknown):
            values = ", ".join(map(str, np.unique(unknown)[:MOST_VALUES]))
            said.append(
                f"{len(unknown)} voxels of layer {number} were left out: no segment has their value ({values})"
            )
    return said


def _layers(header: TextHeader) -> list[NDArray]:
    """Return the (X, Y, Z) layers of a file of three axes in space and at most one of layers."""
    others = [axis for axis in range(len(header.shape)) if axis not in header.spatial_axes]
    if len(others) > 1:
        raise InputFileError(header.path, f"has shape {header.shape}, expected one axis of layers at most")
    voxels.require_one_volume([header.shape[axis] for axis in header.spatial_axes], path=header.path)
    ordered = np.moveaxis(read_stored(header), header.spatial_axes, range(3))
    stack = ordered[..., np.newaxis] if not others else ordered
    return [stack[..., layer] for layer in range(stack.shape[-1])]


def _layer_and_value(entry: dict[str, str], number: int, *, path: Path) -> tuple[int, int]:
    """Return where a segment is: its layer, by its order where it states none, and its value there."""
    try:
        return int(entry.get("Layer", number)), int(entry.get("LabelValue", 1))
    except ValueError as error:
        raise InputFileError(path, f"has a segment {number} whose layer or value is not a number") from error
