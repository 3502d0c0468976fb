"""Images that agree at a start better than around it, or do not."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from anatomical_embedding.registration.image_evidence import agreement_of, weigh_images
from anatomical_embedding.settings.registration import ImageEvidenceSettings
from anatomical_embedding.volumes.volume import Volume

SPACING_MM = 4.0
SHAPE = (40, 32, 44)


def image_settings(**changes):
    values = {
        "spacing_mm": 8.0,
        "smooth_mm": 4.0,
        "percentiles": (2.0, 98.0),
        "num_bins": 8,
        "shift_mm": 25.0,
        "turn_degrees": 20.0,
        "weight": 2.0,
        "min_evidence": 0.4,
    }
    return ImageEvidenceSettings(**(values | changes))


def tissue(*, seed=0):
    """Return an image of random blobs about 2 cm wide, and the mask of a body in it."""
    array = 1000.0 * gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), 2.0)
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[2:-2, 2:-2, 2:-2] = 1
    return Volume(array.astype(np.float32), affine), Volume(mask, affine)


def shift(*offset_mm):
    matrix = np.eye(4)
    matrix[:3, 3] = offset_mm
    return matrix


def weighed(moving, matrix):
    image, body = tissue()
    return weigh_images(
        image, moving, fixed_body=body, moving_body=body, matrix=matrix, settings=image_settings()
    )


def test_an_image_agrees_with_itself_where_it_lies():
    seen = weighed(tissue()[0], np.eye(4))
    assert seen.agreement > 0.95
    assert seen.gain > 0.3


def test_contrast_that_is_turned_round_agrees_as_well():
    image = tissue()[0]
    assert weighed(Volume(-image.array, image.affine), np.eye(4)).gain > 0.3


def test_a_shift_that_undoes_the_error_of_the_start_is_named():
    seen = weighed(tissue()[0], shift(37.5, 0.0, 0.0))
    assert seen.gain < -0.3
    assert seen.where == "shifted by 25 mm"


def test_a_start_that_is_a_little_off_is_judged_where_the_images_agree_best_beside_it():
    beside = weighed(tissue()[0], shift(12.5, -6.25, 0.0))
    right = weighed(tissue()[0], np.eye(4))
    assert beside.agreement > 0.95
    assert beside.gain == pytest.approx(right.gain, abs=0.1)


def test_a_patient_who_lies_the_other_way_up_is_named():
    image = tissue()[0]
    turned = Volume(np.ascontiguousarray(image.array[::-1, ::-1]), image.affine)
    seen = weighed(turned, np.eye(4))
    assert seen.gain < -0.3
    assert seen.where == "turned by 180 degrees about the long axis"


def test_other_tissue_agrees_nowhere():
    seen = weighed(tissue(seed=1)[0], np.eye(4))
    assert seen.gain < 0.1
    assert seen.agreement < 0.4


def test_images_that_share_no_place_tell_nothing():
    seen = weighed(tissue()[0], shift(1000.0, 0.0, 0.0))
    assert (seen.agreement, seen.elsewhere) == (0.0, 0.0)


def test_agreement_by_hand():
    first = np.array([0.0, 0.0, 1.0, 1.0])
    # Halves of the first have means 1 and 3.25 of the second; halves of the second tell the first wholly.
    second = np.array([0.0, 2.0, 2.5, 4.0])
    by_first = 2 * ((1.0 - 2.125) ** 2 + (3.25 - 2.125) ** 2) / np.sum((second - 2.125) ** 2)
    assert agreement_of(first, second, num_bins=2) == pytest.approx(np.sqrt((by_first + 1.0) / 2))


def test_percentiles_must_rise():
    with pytest.raises(ValidationError, match="percentiles must rise, got 98 and 2"):
        image_settings(percentiles=(98.0, 2.0))
