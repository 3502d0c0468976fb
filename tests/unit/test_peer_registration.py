"""Figures of registrations side by side: of points and organs, with paired intervals."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.peer_registration import differences, drawn_figures


def rows(*, more=0.0, organs_of=3):
    """Return the errors of 4 pairs of 5 points; the first pairs have organs."""
    generator = np.random.default_rng(5)
    tables = []
    for pair in range(4):
        has_organs = pair < organs_of
        tables.append(
            pd.DataFrame({"error_mm": generator.gamma(2.0, 1.0, 5) + more}).assign(
                scan=f"pt_{pair}",
                warp="bent",
                dice=0.8 + 0.05 * pair - more / 10 if has_organs else np.nan,
                surface_mm=1.0 + more if has_organs else np.nan,
                surface_p95_mm=3.0 + more if has_organs else np.nan,
            )
        )
    return pd.concat(tables, ignore_index=True)


def test_the_first_figure_is_of_all_pairs():
    figures = drawn_figures(rows())
    errors = rows()["error_mm"]
    assert figures["median"][0] == errors.median()
    assert figures["mean"][0] == pytest.approx(errors.mean())
    assert figures["95 %"][0] == pytest.approx(errors.quantile(0.95))
    assert figures["dice"][0] == pytest.approx((0.8 + 0.85 + 0.9) / 3)
    assert figures["median"][1:].std() > 0


def test_intervals_are_paired():
    text = differences(drawn_figures(rows()), drawn_figures(rows(more=1.0)))
    assert "median +1.00 (+1.00 to +1.00)" in text
    assert "95 % +1.00 (+1.00 to +1.00)" in text
    assert "dice -0.100 (-0.100 to -0.100)" in text
    assert "surface_p95_mm +1.00 (+1.00 to +1.00)" in text


def test_pairs_without_organs_have_figures_of_points_alone():
    assert set(drawn_figures(rows(organs_of=0))) == {"median", "mean", "95 %"}
