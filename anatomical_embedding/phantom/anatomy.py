"""The whole atlas: everything in its order of painting."""

from functools import cache

from anatomical_embedding.phantom.organs import (
    abdominal_organ_parts,
    bowel_parts,
    heart_parts,
    muscle_parts,
    pelvic_organ_parts,
)
from anatomical_embedding.phantom.shapes import Canvas, Field, Part
from anatomical_embedding.phantom.skeleton import skeleton_parts
from anatomical_embedding.phantom.trunk import paint_trunk
from anatomical_embedding.phantom.vessels import artery_parts, lung_tree_parts, vein_parts


def paint_atlas(x: Field, y: Field, z: Field) -> Canvas:
    """Return organ and tissue of a grid of atlas points.

    Parameters
    ----------
    x, y, z : (X, Y, Z) float32 atlas coordinates in mm.
    """
    canvas = Canvas(x, y, z)
    paint_trunk(canvas)
    canvas.paint(atlas_parts())
    return canvas


@cache
def atlas_parts() -> tuple[Part, ...]:
    """Return all solids of the atlas in the order of painting."""
    return (
        *muscle_parts(),
        *lung_tree_parts(),
        *heart_parts(),
        *abdominal_organ_parts(),
        *bowel_parts(),
        *pelvic_organ_parts(),
        *artery_parts(),
        *vein_parts(),
        *skeleton_parts(),
    )
