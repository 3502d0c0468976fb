"""Where a NIfTI header places its voxels, and whether its statements about that agree.

A header states the place up to three times: the sform (an affine), the qform (a rotation, an offset and the spacings
`pixdim`), and `pixdim` beside the sform. The standard lets a reader choose. nibabel takes the sform. ITK takes the
sform where its code is 1 or no qform is set, else the qform, and `pixdim` for the spacings in both cases (SimpleITK
2.5.7). So statements that differ put one file in two places, and only its owner can say which of them is right.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.quaternions import quat2mat
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.volumes.affine import spacing_from_affine
from anatomical_embedding.volumes.grid import largest_distance_mm

Shape = tuple[int, int, int]

SAME_PLACE_MM = 0.05
"""At the corners: forms that differ by less are one statement, rounded to single precision."""
SLIGHT_DIFFERENCE_VOX = 0.1
"""Of the smallest spacing: forms that differ by less are taken as one, with a remark."""
SMALLEST_DETERMINANT_RATIO = 1e-3  # |det| / product of column lengths: 1 when orthogonal, 0 when singular
LARGEST_SKEW = 1e-4
"""Cosine between two axes beyond which ITK refuses a file without a qform."""
LARGEST_EXTENT_MM, SMALLEST_EXTENT_MM = 5000.0, 1.0
"""Of the longest side: no scanner of people or animals sees more or less."""
LARGEST_POSITION_MM = 1e6
LENGTH_UNIT_BITS = 7
UNITS = {0: ("millimetres", 1.0), 1: ("metres", 1000.0), 2: ("millimetres", 1.0), 3: ("micrometres", 0.001)}
"""Length unit in `xyzt_units` -> its name and its length in mm; 0 says nothing, which all programs take as mm."""
ITK_SFORM_CODE = 1
LARGEST_SQUARE_ERROR, SMALLEST_SQUARED_COSINE = 1e-5, 1e-7
"""Of a quaternion in single precision: beyond one it is none, and below this the half turn is exact (nifti1_io)."""


@dataclass(frozen=True)
class Place:
    """Where the voxels of a file lie.

    Attributes
    ----------
    affine : (4, 4) float64, voxel index to world mm RAS+.
    remarks : what was corrected or chosen.
    """

    affine: NDArray[np.float64]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Form:
    """One statement about the place: an affine in mm, or what is wrong with it."""

    affine: NDArray[np.float64]
    code: int
    fault: str


def place_of(header: Nifti1Header, *, shape: Shape, geometry: Geometry | None, path: Path) -> Place:
    """Return the place that a header states, in millimetres.

    Parameters
    ----------
    header : as it is stored, without repairs.
    shape : of the volume.
    geometry : form to take where two statements differ; None refuses such a file.
    path : of the file, for the errors.

    Raises
    ------
    InputFileError
        if no form is set, the one that is taken is no place (not finite, singular, no rotation), statements differ and
        `geometry` does not decide, or the volume has an extent that no scan has.
    """
    unit_code = int(header["xyzt_units"]) & LENGTH_UNIT_BITS
    unit, unit_mm = UNITS.get(unit_code, ("millimetres", 1.0))
    spacing_mm = header["pixdim"][1:4].astype(np.float64) * unit_mm
    if not np.all(np.isfinite(spacing_mm) & (spacing_mm > 0)):
        raise InputFileError(
            path, f"has spacing {spacing_mm.tolist()} mm, expected positive numbers; export it again"
        )
    forms = _in_one_unit(_set_forms(header, unit_mm=unit_mm, spacing_mm=spacing_mm), shape=shape)
    if not forms:
        raise InputFileError(
            path,
            "sets neither sform nor qform, so left and right are unknown; export it with its orientation",
        )
    name = geometry if geometry in forms else next(iter(forms))
    affine, fault = forms[name].affine, forms[name].fault
    if fault:
        other = [f"; --geometry {rival} takes the other form" for rival in forms if rival != name]
        raise InputFileError(path, f"has {fault}{''.join(other) or '; export it again'}")
    require_extent(affine, shape=shape, unit=unit, path=path)
    remarks = (
        *_unit_remark(unit_code),
        *_agreement(forms, name, spacing_mm=spacing_mm, shape=shape, geometry=geometry, path=path),
        *_skew_remark(affine, has_qform="qform" in forms),
    )
    return Place(affine, remarks)


def largest_skew(affine: NDArray[np.floating]) -> float:
    """Return the largest absolute cosine between two axes of an affine: 0 where all angles are right.

    Examples
    --------
    >>> largest_skew(np.diag([2.0, 2.0, 5.0, 1.0]))
    0.0
    """
    directions = affine[:3, :3] / spacing_from_affine(affine)
    return float(np.abs(directions.T @ directions - np.eye(3)).max())


def _unit_remark(code: int) -> list[str]:
    if code not in UNITS:
        return [f"its unit of length is unknown (code {code}), taken as millimetres"]
    unit, unit_mm = UNITS[code]
    return [] if unit_mm == 1.0 else [f"it is in {unit}, by its header; turned into millimetres"]


def _set_forms(
    header: Nifti1Header, *, unit_mm: float, spacing_mm: NDArray[np.float64]
) -> dict[Geometry, _Form]:
    """Return the forms whose code is set, the sform first."""
    forms: dict[Geometry, _Form] = {}
    if header["sform_code"] > 0:
        forms["sform"] = _sform(header, unit_mm=unit_mm)
    if header["qform_code"] > 0:
        forms["qform"] = _qform(header, unit_mm=unit_mm, spacing_mm=spacing_mm)
    return forms


def _in_one_unit(forms: dict[Geometry, _Form], *, shape: Shape) -> dict[Geometry, _Form]:
    """Return forms of which one is at fault where it alone makes a volume of a length that no scan has."""
    lengths_mm = {
        name: _longest_side_mm(form.affine, shape) for name, form in forms.items() if not form.fault
    }
    odd = [name for name, length_mm in lengths_mm.items() if not _is_length_of_scan(length_mm)]
    if len(lengths_mm) < len(get_args(Geometry)) or len(odd) != 1:
        return forms
    name = odd[0]
    fault = f"a {name} by which it is {lengths_mm[name]:g} mm long, as in another unit of length"
    return forms | {name: replace(forms[name], fault=fault)}


def _longest_side_mm(affine: NDArray[np.float64], shape: Shape) -> float:
    return float((spacing_from_affine(affine) * shape).max())


def _is_length_of_scan(length_mm: float) -> bool:
    return SMALLEST_EXTENT_MM <= length_mm <= LARGEST_EXTENT_MM


def _sform(header: Nifti1Header, *, unit_mm: float) -> _Form:
    affine = np.eye(4)
    affine[:3] = [header[f"srow_{axis}"].astype(np.float64) * unit_mm for axis in "xyz"]
    return _Form(affine, int(header["sform_code"]), fault_of(affine, name="sform"))


def _qform(header: Nifti1Header, *, unit_mm: float, spacing_mm: NDArray[np.float64]) -> _Form:
    """Return the qform; see nifti1.h, "METHOD 2"."""
    vector = np.array([float(header[f"quatern_{part}"]) for part in "bcd"])
    squared_length = float(vector @ vector)
    affine = np.eye(4)
    affine[:3, 3] = [float(header[f"qoffset_{axis}"]) * unit_mm for axis in "xyz"]
    code = int(header["qform_code"])
    if not np.isfinite(squared_length) or squared_length > 1.0 + LARGEST_SQUARE_ERROR:
        affine[:3, :3] = np.nan
        return _Form(affine, code, f"a qform whose quaternion {vector.tolist()} is not a rotation")
    if 1.0 - squared_length < SMALLEST_SQUARED_COSINE:
        cosine, vector = 0.0, vector / np.sqrt(squared_length)
    else:
        cosine = float(np.sqrt(1.0 - squared_length))
    handedness = -1.0 if header["pixdim"][0] < 0 else 1.0
    affine[:3, :3] = quat2mat([cosine, *vector]) * spacing_mm * (1.0, 1.0, handedness)
    return _Form(affine, code, fault_of(affine, name="qform"))


def fault_of(affine: NDArray[np.float64], *, name: str) -> str:
    """Say what is wrong with an affine, with the name of what states it; empty where it places a volume."""
    if not np.isfinite(affine).all():
        return f"a {name} that is not finite"
    columns = spacing_from_affine(affine)
    if abs(np.linalg.det(affine[:3, :3])) <= SMALLEST_DETERMINANT_RATIO * columns.prod():
        return f"a singular {name} {affine[:3, :3].tolist()}, so its axes span no volume"
    return ""


def _agreement(
    forms: Mapping[Geometry, _Form],
    name: Geometry,
    *,
    spacing_mm: NDArray[np.float64],
    shape: Shape,
    geometry: Geometry | None,
    path: Path,
) -> list[str]:
    """Return what is to be said about the other statements of a header, or refuse one that puts the file elsewhere."""
    affine = forms[name].affine
    by_spacing_mm = largest_distance_mm(_with_spacing(affine, spacing_mm), affine, shape=shape)
    rivals = [form.affine for form in forms.values() if not form.fault]
    distances_mm = [by_spacing_mm, *(largest_distance_mm(rival, affine, shape=shape) for rival in rivals)]
    is_broken = any(form.fault for form in forms.values())
    distance_mm = max(distances_mm)
    if distance_mm <= SAME_PLACE_MM and not is_broken:
        return []
    if by_spacing_mm > SAME_PLACE_MM:
        own = ", ".join(f"{value:g}" for value in spacing_from_affine(affine))
        stated = ", ".join(f"{value:g}" for value in spacing_mm)
        problem = (
            f"its sform has spacings of {own} mm and its pixdim {stated} mm, up to {distance_mm:.4g} mm apart"
        )
    elif is_broken:
        problem = next(f"it has {form.fault}, beside a sound form" for form in forms.values() if form.fault)
    else:
        codes = " and ".join(str(form.code) for form in forms.values())
        problem = f"its sform and its qform (codes {codes}) lie up to {distance_mm:.4g} mm apart"
    is_slight = not is_broken and distance_mm <= SLIGHT_DIFFERENCE_VOX * spacing_mm.min()
    if not is_slight and geometry != name:
        options = " or ".join(f"--geometry {form}" for form in forms if not forms[form].fault)
        raise InputFileError(
            path,
            f"states two places: {problem}; nibabel takes the sform and ITK {_taken_by_itk(forms)}, so say which one "
            f"is right ({options}), or correct the header",
        )
    elsewhere_mm = largest_distance_mm(_itk_affine(forms, spacing_mm), affine, shape=shape)
    why = "by --geometry" if geometry == name else "within a tenth of a voxel"
    remark = f"{problem}; the {name} was taken, {why}"
    if not elsewhere_mm <= SAME_PLACE_MM:
        away = "elsewhere" if np.isnan(elsewhere_mm) else f"{elsewhere_mm:.4g} mm away"
        remark += f"; ITK programs take {_taken_by_itk(forms)} and show this file {away}"
    return [remark]


def _with_spacing(affine: NDArray[np.float64], spacing_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an affine with its directions and other spacings."""
    changed = affine.copy()
    changed[:3, :3] *= spacing_mm / spacing_from_affine(affine)
    return changed


def _itk_form(forms: Mapping[Geometry, _Form]) -> Geometry:
    is_sform = "sform" in forms and ("qform" not in forms or forms["sform"].code == ITK_SFORM_CODE)
    return "sform" if is_sform else "qform"


def _taken_by_itk(forms: Mapping[Geometry, _Form]) -> str:
    name = _itk_form(forms)
    return "the sform with the spacings of pixdim" if name == "sform" else "the qform"


def _itk_affine(forms: Mapping[Geometry, _Form], spacing_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where ITK places a file; NaN where it has to make something of a form that is none."""
    return _with_spacing(forms[_itk_form(forms)].affine, spacing_mm)


def _skew_remark(affine: NDArray[np.float64], *, has_qform: bool) -> list[str]:
    skew = largest_skew(affine)
    if skew <= LARGEST_SKEW or has_qform:
        return []
    return [
        f"its axes are {np.degrees(np.arcsin(skew)):.2g} degrees off right angles; ITK refuses such a file"
    ]


def require_extent(affine: NDArray[np.float64], *, shape: Shape, unit: str, path: Path) -> None:
    """Refuse what no scanner makes, before memory for it is asked for: its header is in another unit, or broken.

    Raises
    ------
    InputFileError
        with its length by the header, in mm, or its place.
    """
    extent_mm = _longest_side_mm(affine, shape)
    if not _is_length_of_scan(extent_mm):
        raise InputFileError(
            path,
            f"is {extent_mm:g} mm long by its header ({unit}), expected {SMALLEST_EXTENT_MM:g} to "
            f"{LARGEST_EXTENT_MM:g}; correct its spacing or its unit of length",
        )
    if np.abs(affine[:3, 3]).max() > LARGEST_POSITION_MM:
        raise InputFileError(
            path,
            f"lies at {affine[:3, 3].tolist()} mm by its header, which is not a valid position; export it again",
        )
