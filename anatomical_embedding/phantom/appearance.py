"""How the painted atlas looks in a CT and in an MR."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from anatomical_embedding.phantom.shapes import Canvas
from anatomical_embedding.phantom.tissues import LOOKS, Tissue
from anatomical_embedding.settings.phantom import CtSettings, MrSettings

TEXTURE_SEED = 7
"""Seed of the part of the structure of tissues that is the same in all bodies; the other half is drawn."""

TEXTURE_PITCH_MM = 11.0
BOWEL_PITCH_MM = 13.0
NOISE_NODES = 64
FATTY_STREAK = 1.3
"""Where the texture of muscle is above this many standard deviations there is fat between its bundles."""

MR_FAT_SIGNAL = 800.0
"""Brightness of fat in an MR."""
HU_LIKE_WHOLE_SIGNAL = 150.0
"""Structure of so many HU in a CT is as large as a tissue's signal in an MR."""

HU_RANGE = (-1024, 3071)

_SMALL_BOWEL_BANDS = (
    (-0.8, Tissue.VISCERAL_FAT),
    (-0.3, Tissue.BOWEL_WALL),
    (1.3, Tissue.SMALL_BOWEL),
    (np.inf, Tissue.BOWEL_GAS),
)
_COLON_BANDS = ((0.4, Tissue.COLON_CONTENT), (np.inf, Tissue.BOWEL_GAS))


def fill_bowel(canvas: Canvas, random: np.random.Generator) -> None:
    """Draw loops, contents and gas of small bowel and colon, which differ between any two scans."""
    for tissue, bands in ((Tissue.SMALL_BOWEL, _SMALL_BOWEL_BANDS), (Tissue.COLON_CONTENT, _COLON_BANDS)):
        table = random.standard_normal((NOISE_NODES,) * 3, dtype=np.float32)
        is_tissue = canvas.tissue == tissue
        noise = _noise_at(canvas, is_tissue, table=table, pitch_mm=BOWEL_PITCH_MM)
        upper_bounds, tissues = zip(*bands, strict=True)
        canvas.tissue[is_tissue] = np.array(tissues, np.uint8)[np.searchsorted(upper_bounds, noise)]


def ct_image(canvas: Canvas, settings: CtSettings, random: np.random.Generator) -> NDArray[np.float32]:
    """Return (X, Y, Z) Hounsfield units before blur and noise; contrast agent is drawn at random."""
    arterial, venous = random.uniform(*settings.arterial_phase), random.uniform(*settings.venous_phase)
    spread_hu = random.standard_normal(len(LOOKS)) * settings.tissue_variation_hu
    values, textures = np.zeros((2, len(LOOKS)), np.float32)
    for tissue, look in LOOKS.items():
        is_gas = tissue in {Tissue.AIR, Tissue.AIRWAY, Tissue.BOWEL_GAS}
        contrast_hu = arterial * look.arterial_hu + venous * look.venous_hu
        values[tissue] = look.plain_hu + contrast_hu + (0.0 if is_gas else spread_hu[tissue])
        textures[tissue] = look.texture_hu
    return _textured(canvas, values, textures, random)


def mr_image(canvas: Canvas, settings: MrSettings, random: np.random.Generator) -> NDArray[np.float32]:
    """Return (X, Y, Z) signal before blur and noise, with fat near `MR_FAT_SIGNAL`."""
    t1_weight = random.uniform(*settings.t1_weight)
    spread = 1.0 + random.standard_normal(len(LOOKS)) * settings.tissue_variation_fraction
    values, textures = np.zeros((2, len(LOOKS)), np.float32)
    for tissue, look in LOOKS.items():
        brightness = t1_weight * look.t1 + (1.0 - t1_weight) * look.t2
        values[tissue] = MR_FAT_SIGNAL * brightness * max(float(spread[tissue]), 0.0)
        textures[tissue] = values[tissue] * look.texture_hu / HU_LIKE_WHOLE_SIGNAL
    image = _textured(canvas, values, textures, random)
    return image * _bias_field(image.shape, settings.bias_fraction, random)


def recorded_ct(
    image: NDArray[np.float32], settings: CtSettings, random: np.random.Generator
) -> NDArray[np.int16]:
    """Return a blurred, noisy CT as int16 Hounsfield units."""
    sigma_vox = settings.blur_mm / np.array(settings.field_of_view.spacing_mm)
    image = gaussian_filter(image, sigma_vox, truncate=3.0, mode="nearest")
    image += random.standard_normal(image.shape, dtype=np.float32) * np.float32(settings.noise_hu)
    return np.clip(np.rint(image), *HU_RANGE).astype(np.int16)


def recorded_mr(
    image: NDArray[np.float32], settings: MrSettings, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return a blurred MR with Rician noise: the length of a signal with noise in two channels."""
    sigma_vox = settings.blur_mm / np.array(settings.field_of_view.spacing_mm)
    image = gaussian_filter(image, sigma_vox, truncate=3.0, mode="nearest")
    noise = random.standard_normal((2, *image.shape), dtype=np.float32)
    noise *= np.float32(settings.noise_fraction * MR_FAT_SIGNAL)
    return np.hypot(image + noise[0], noise[1])


def _textured(
    canvas: Canvas,
    values: NDArray[np.float32],
    textures: NDArray[np.float32],
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """Return the value of each voxel's tissue with the tissue's structure, and fat between muscle bundles."""
    image = values[canvas.tissue]
    is_textured = (textures > 0)[canvas.tissue]
    individual = random.standard_normal((NOISE_NODES,) * 3, dtype=np.float32)
    table = (_common_texture() + individual) / np.float32(np.sqrt(2))
    noise = _noise_at(canvas, is_textured, table=table, pitch_mm=TEXTURE_PITCH_MM)
    tissue = canvas.tissue[is_textured]
    textured = values[tissue] + textures[tissue] * noise
    is_streak = (tissue == Tissue.MUSCLE) & (noise > FATTY_STREAK)
    textured[is_streak] = values[Tissue.FAT]
    image[is_textured] = textured
    return image


@cache
def _common_texture() -> NDArray[np.float32]:
    """Return the random numbers on a lattice from which the structure of tissues is interpolated."""
    return np.random.default_rng(TEXTURE_SEED).standard_normal((NOISE_NODES,) * 3, dtype=np.float32)


def _noise_at(
    canvas: Canvas, chosen: NDArray[np.bool_], *, table: NDArray[np.float32], pitch_mm: float
) -> NDArray[np.float32]:
    """Return (N,) smooth noise at the atlas points of the chosen voxels, of standard deviation about 1."""
    nodes = np.stack([axis[chosen] for axis in (canvas.x, canvas.y, canvas.z)]) / np.float32(pitch_mm)
    noise = map_coordinates(table, nodes, order=1, mode="grid-wrap", output=np.float32)
    # linear interpolation between independent numbers keeps (2/3)^3 of their variance on average
    return noise * np.float32(1.5**1.5)


def _bias_field(shape: tuple[int, ...], strength: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Return an (X, Y, Z) smooth positive factor around 1: one slow wave along each axis."""
    exponent = np.zeros((1, 1, 1), np.float32)
    for axis, length in enumerate(shape):
        phase, periods = random.uniform(0, 2 * np.pi), random.uniform(0.5, 1.0)
        wave = np.cos(phase + 2 * np.pi * periods * np.linspace(0, 1, length))
        exponent = exponent + np.expand_dims(wave.astype(np.float32), [a for a in range(3) if a != axis])
    return np.exp(np.float32(strength / np.sqrt(3.0)) * exponent)
