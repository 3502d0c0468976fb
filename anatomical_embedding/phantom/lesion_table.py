"""The table of a synthetic body's lesions: one row per lesion and scan."""

from anatomical_embedding.csv_table import FINITE, POSITIVE, TEXT, choice

PHANTOM_LESION_COLUMNS = {
    **dict.fromkeys(("volume_id", "lesion", "organ"), TEXT),
    **dict.fromkeys(("x_mm", "y_mm", "z_mm"), FINITE),
    "radius_mm": POSITIVE,
    "is_inside": choice("true", "false"),
}
"""`lesions.csv` of a body: world mm RAS+ of the scan, and whether the scan shows the middle of the lesion."""
