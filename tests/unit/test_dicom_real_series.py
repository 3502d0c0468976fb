"""Two real DICOM series, held to the tags of their slices."""

import re

import numpy as np
import pydicom
import pytest
from scipy.ndimage import map_coordinates

from tests.dicom_slices import read_series
from tests.reference.dicom_by_tags import place_by_tags, value_by_tags
from tests.unit.samples import real_data


@pytest.mark.real_data
def test_the_real_series_is_where_its_tags_say():
    folder = real_data("dicom/head_phantom_5mm")
    series = read_series(folder)
    assert (series.modality, series.has_rescale, series.remarks) == ("ct", True, ())
    paths = sorted(folder.iterdir())
    assert series.volume.shape == (512, 512, len(paths))
    pixels = np.random.default_rng(0).integers(0, 512, (40, 2))
    for path in paths:
        dataset = pydicom.dcmread(path)
        places = [place_by_tags(dataset, row=row, column=column) for row, column in pixels]
        nearest = np.rint(series.volume.voxel_from_world(places)).astype(int)
        np.testing.assert_allclose(series.volume.world_from_voxel(nearest), places, atol=0.01)
        values = [value_by_tags(dataset, row=int(row), column=int(column)) for row, column in pixels]
        np.testing.assert_array_equal(series.volume.array[tuple(nearest.T)], values)


@pytest.mark.slow
@pytest.mark.real_data
def test_the_real_tilted_series_is_straightened():
    """Pixels that a stored slice and the grid share in height have the value that their tags give."""
    folder = real_data("dicom/head_phantom_tilted")
    series = read_series(folder)
    assert re.search(r"gantry tilt of 16\.5 degrees", series.remarks[-1])
    volume = series.volume
    smooth = []
    for path in sorted(folder.iterdir())[::7]:
        dataset = pydicom.dcmread(path)
        for row, column in ((200, 200), (256, 256), (300, 280)):
            place = place_by_tags(dataset, row=row, column=column)
            voxel = volume.voxel_from_world(place)
            sampled = map_coordinates(volume.array.astype(float), voxel.reshape(3, 1), order=1)[0]
            smooth.append(abs(sampled - value_by_tags(dataset, row=row, column=column)))
    assert np.median(smooth) < 10.0
