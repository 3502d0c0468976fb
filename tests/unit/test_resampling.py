"""Quantiles of weighted samples and percentile intervals against written-out samples and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anatomical_embedding.evaluation.bootstrap import percentile_interval, weighted_quantile


def test_interval_by_hand_and_without_values():
    assert percentile_interval(np.arange(101.0), confidence=0.9) == pytest.approx((5.0, 95.0))
    assert percentile_interval([np.nan, 1.0, np.nan, 1.0], confidence=0.95) == (1.0, 1.0)
    assert np.isnan(percentile_interval([np.nan, np.nan], confidence=0.95)).all()
    assert percentile_interval([1.0, np.inf, np.inf], confidence=0.95) == (1.0, np.inf)


@given(data=st.data(), share=st.sampled_from([0.0, 0.05, 0.5, 0.95, 1.0]))
def test_weighted_quantile_equals_the_written_out_sample(data, share):
    size = data.draw(st.integers(1, 12))
    values = np.array(data.draw(st.lists(st.floats(-50.0, 50.0), min_size=size, max_size=size)))
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)), dtype=float)
    sample = np.repeat(values, weights.astype(int))
    expected = np.quantile(sample, share) if sample.size else np.nan
    np.testing.assert_allclose(
        weighted_quantile(values, weights[np.newaxis], share=share), [expected], atol=1e-9
    )


def test_weighted_quantile_with_infinite_values():
    values = np.array([np.inf, 1.0, 2.0, np.inf])
    weights = np.array([[0, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 1.0]])
    assert weighted_quantile(values, weights, share=0.5).tolist() == [1.5, 2.0, np.inf, np.inf]
