"""Numbers of the recipes that are needed where there is neither a run nor a model."""

from functools import cache

from anatomical_embedding.settings.run_file import read_run_files, recipe_path


@cache
def recipe_largest_gap_mm() -> float:
    """Return the largest gap between unequal DICOM slices that the published preparation interpolates."""
    preparation = read_run_files([recipe_path("preparations/published")])
    return float(preparation["volumes"]["largest_gap_mm"])
