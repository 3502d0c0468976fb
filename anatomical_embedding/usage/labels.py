"""Organ and lesion masks of one scan carried to another."""

from pathlib import Path

import numpy as np

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.matching.propagation import CarriedLabels, carry_by_anchors, require_labels_in
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.usage.model import Model
from anatomical_embedding.usage.scans import EmbeddedScan, require_scans_of
from anatomical_embedding.volumes.labels import LabelFile, read_label_file
from anatomical_embedding.volumes.volume import Volume


def read_labels_of(
    template: EmbeddedScan, labels: Path | str, *, geometry: Geometry | None = None
) -> LabelFile:
    """Return the label map in a file, which must show something in the scan, and what was corrected in it.

    Parameters
    ----------
    template : scan that it belongs to.
    labels : NIfTI file.
    geometry : form that places a file whose header states two places; None refuses it.

    Raises
    ------
    InputFileError
        if the labels hold no whole numbers from 0 to 65535, are all zero, or lie mostly outside the scan.
    """
    numbers = read_label_file(labels, geometry=geometry)
    try:
        require_labels_in(template.embedded, numbers.volume)
    except UserError as error:
        raise InputFileError(labels, str(error)) from error
    return numbers


def propagate_labels(
    model: Model,
    template: EmbeddedScan,
    labels: Path | str | Volume,
    target: EmbeddedScan,
    *,
    grid: Volume | None = None,
) -> CarriedLabels:
    """Return an organ or lesion mask of one scan carried to another, and what became of each label.

    Parameters
    ----------
    template, target : scans embedded by this model.
    labels : whole numbers on any grid in the world of the template, as a NIfTI file or from `read_labels_of`; 0 is no
        label.
    grid : the labels are wanted on its voxels, such as `target.scan_grid`; None for those that were embedded.

    Raises
    ------
    UserError
        if the labels hold no whole numbers from 0 to 65535 or lie outside the template, or a scan was embedded by
        another model.
    """
    require_scans_of(model, template, target)
    if grid is None:
        grid = Volume(np.broadcast_to(np.zeros((), np.uint8), target.embedded.shape), target.embedded.affine)
    return carry_by_anchors(
        template.searchable,
        target.searchable,
        labels if isinstance(labels, Volume) else read_labels_of(template, labels).volume,
        template_body=template.body_mask,
        grid=grid,
        matching=target.matching,
        settings=model.card.usage.propagation,
    )
