"""Organ and lesion masks of one scan carried to another."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.matching.carried_labels import CarriedLabel
from anatomical_embedding.matching.propagation import CarriedLabels, carry_by_anchors, require_labels_in
from anatomical_embedding.matching.refine_scans import refine_between
from anatomical_embedding.settings.matching import Refinement
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.usage.answers import match_points
from anatomical_embedding.usage.model import Model
from anatomical_embedding.usage.refinement import refined_pair
from anatomical_embedding.usage.scans import EmbeddedScan, require_scans_of
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.file_names import NIFTI_SUFFIXES
from anatomical_embedding.volumes.grid import Grid
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.label_names import names_said
from anatomical_embedding.volumes.raw_scan import RawScan
from anatomical_embedding.volumes.segments import LabelledScan
from anatomical_embedding.volumes.volume import FoundVolume, Volume

NEAREST = "nearest"
"""The way of matching by which labels are carried."""
NO_CONFIDENCE = "the model holds no confidence for its matches"


def read_labels_of(
    template: EmbeddedScan | RawScan, labels: Path | str, *, geometry: Geometry | None = None
) -> FoundVolume:
    """Return the label map in a file, which must show something in the scan, and what was corrected in it.

    Parameters
    ----------
    template : scan that it belongs to, embedded or as it was read.
    labels : NIfTI, NRRD, MetaImage, `.seg.nrrd`, DICOM SEG or RTSTRUCT, or a folder of masks.
    geometry : form that places a file whose header states two places; None refuses it.

    Raises
    ------
    InputFileError
        if the labels hold no whole numbers from 0 to 65535, are all zero, or lie mostly outside the scan.
    """
    grid: Grid
    embedded: Grid
    if isinstance(template, EmbeddedScan):
        grid, embedded = template.scan_grid or template.embedded, template.embedded
    else:
        grid = embedded = template.grid
    scan = LabelledScan(grid, template.frame_of_reference)
    numbers = read_label_file(labels, geometry=geometry, scan=scan)
    try:
        require_labels_in(embedded, numbers.volume, name=template.name)
    except UserError as error:
        raise InputFileError(labels, str(error)) from error
    if not Path(labels).name.lower().endswith(NIFTI_SUFFIXES):
        return numbers  # others have said what their labels are called
    on_names = (f"{labels}: {remark}" for remark in names_said(numbers.names, numbers.volume.array))
    return replace(numbers, remarks=(*numbers.remarks, *on_names))


def propagate_labels(
    model: Model,
    template: EmbeddedScan,
    labels: Path | str | Volume,
    target: EmbeddedScan,
    *,
    grid: Grid | None = None,
    refinement: Refinement | None = None,
) -> CarriedLabels:
    """Return an organ or lesion mask of one scan carried to another, and what became of each label.

    Parameters
    ----------
    template, target : scans embedded by this model.
    labels : whole numbers on any grid in the world of the template, as a file or from `read_labels_of`; 0 is no
        label.
    grid : the labels are wanted on its voxels, such as `target.scan_grid`; None for those that were embedded.
    refinement : how the points that carry the labels move on from their cells, as in `match_points`.

    Raises
    ------
    UserError
        if the labels hold no whole numbers from 0 to 65535 or lie outside the template, or a scan was embedded by
        another model, or `voxel` is asked for and one of them is a store.
    """
    require_scans_of(model, template, target)
    pair = refined_pair(template, target, refinement)
    usage = model.card.usage
    refine = None
    if pair.scans is not None:
        refine = partial(
            refine_between, *pair.scans, settings=usage.answers.refinement, is_exact=False
        )  # a map of many points hides what is finer
    is_judged = model.card.confidence.get(NEAREST) is not None
    carried = carry_by_anchors(
        pair.template.searchable,
        pair.target.searchable,
        labels if isinstance(labels, Volume) else read_labels_of(template, labels).volume,
        template_body=template.body_mask,
        grid=grid or target.embedded,
        matching=pair.target.matching,
        settings=usage.propagation,
        refine=refine,
        unlike=partial(_unlike, model, pair.template, pair.target, refinement=refinement)
        if is_judged
        else None,
    )
    if not is_judged:
        carried = replace(carried, labels=tuple(map(_unconfirmed, carried.labels)))
    return replace(carried, refined=pair.in_cells) if pair.in_cells else carried


def _unlike(
    model: Model,
    template: EmbeddedScan,
    target: EmbeddedScan,
    points_mm: Points,
    *,
    refinement: Refinement | None,
) -> tuple[str, ...]:
    """Return what `match` would say of points that its confidence was not fitted to; empty where nothing."""
    return match_points(model, template, target, points_mm, method=NEAREST, refinement=refinement).unlike


def _unconfirmed(label: CarriedLabel) -> CarriedLabel:
    """Return a label as it stands where no confidence was fitted: how many points match back says little of places."""
    return replace(label, decision="unknown", reason=NO_CONFIDENCE) if label.decision == "found" else label
