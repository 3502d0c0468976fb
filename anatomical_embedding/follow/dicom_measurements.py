"""The measurements of a visit as a DICOM structured report by template TID 1500, one group a lesion (PS3.16).

States have no codes in the standard's tables; they are codes of this project, under the scheme `99AEFOLLOW`.
"""

import math
from collections.abc import Sequence

import highdicom
from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from anatomical_embedding.follow.dicom_identity import (
    MANUFACTURER,
    MODEL_NAME,
    content_words,
    tracking_of,
    uid_of,
)
from anatomical_embedding.follow.history import History
from anatomical_embedding.follow.measurements import MM3_PER_ML
from anatomical_embedding.follow.records import LesionRow, MeasurementRow, Visit
from anatomical_embedding.follow.words import mask_words, state_words
from anatomical_embedding.versions import __version__

SCHEME = "99AEFOLLOW"
SERIES_NUMBER = 9002
LONG_AXIS, SHORT_AXIS = Code("103339001", "SCT", "Long Axis"), Code("103340004", "SCT", "Short Axis")
STATE = Code("state", SCHEME, "State of the lesion")
MASK = Code("mask", SCHEME, "Mask that is measured")
PROBABILITY = Code("probability", SCHEME, "Probability that the state is right")
RATIO, NO_UNITS = Code("{ratio}", "UCUM", "ratio"), Code("1", "UCUM", "no units")
MR_SIGNAL = Code("110852", "DCM", "MR signal intensity")
PROCEDURES = {
    "ct": Code("25045-6", "LN", "CT unspecified body region"),
    "mr": Code("25056-3", "LN", "MR unspecified body region"),
}
DIGITS = 6


def measurement_report(
    history: History,
    visit: Visit,
    slices: Sequence[Dataset],
    segmentation: highdicom.seg.Segmentation | None,
) -> sr.Comprehensive3DSR:
    """Return the report of a visit; a lesion without a mask has its state alone.

    Parameters
    ----------
    slices : headers of the series.
    segmentation : of the same visit; None where it has no masks.
    """
    rows = [row for row in history.lesions if row.visit == visit.name]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(
                observer_type=codes.DCM.Device,
                observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                    uid=uid_of("device", MODEL_NAME, __version__), name=MODEL_NAME
                ),
            )
        ),
        procedure_reported=PROCEDURES[visit.modality],
        imaging_measurements=[_group(history, visit, row, slices, segmentation) for row in rows],
        title=codes.DCM.ImagingMeasurementReport,
    )
    words = content_words(history, visit)
    evidence = [*slices, segmentation] if segmentation is not None else list(slices)
    return sr.Comprehensive3DSR(
        evidence=evidence,
        content=content,
        series_instance_uid=uid_of("report series", *words),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid_of("report", *words),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        series_description=f"Lesion measurements {visit.name}",
    )


def _group(
    history: History,
    visit: Visit,
    row: LesionRow,
    slices: Sequence[Dataset],
    segmentation: highdicom.seg.Segmentation | None,
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations:
    tracking_id, tracking_uid = tracking_of(history, row.lesion)
    segments = {} if segmentation is None else _segments(segmentation)
    measured = history.measurement(row.lesion, visit.name)
    measurements = [] if measured is None else _sizes(measured, visit)
    if not math.isnan(row.probability):
        measurements.append(sr.Measurement(PROBABILITY, round(row.probability, DIGITS), RATIO))
    common = {
        "tracking_identifier": sr.TrackingIdentifier(uid=tracking_uid, identifier=tracking_id),
        "time_point_context": sr.TimePointContext(
            time_point=visit.name, time_point_order=history.visits.index(visit.name) + 1
        ),
        "finding_type": codes.SCT.Lesion,
        "measurements": measurements or None,
        "qualitative_evaluations": [
            sr.QualitativeEvaluation(STATE, Code(row.state, SCHEME, state_words(row.state))),
            sr.QualitativeEvaluation(MASK, Code(row.mask, SCHEME, mask_words(row.mask))),
        ],
    }
    if segmentation is None or tracking_uid not in segments:
        return sr.MeasurementsAndQualitativeEvaluations(**common)
    segment = sr.ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=segments[tracking_uid],
        source_series=sr.SourceSeriesForSegmentation(slices[0].SeriesInstanceUID),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common)


def _segments(segmentation: highdicom.seg.Segmentation) -> dict[str, int]:
    """Return the number of the segment of each tracking UID."""
    return {str(item.TrackingUID): int(item.SegmentNumber) for item in segmentation.SegmentSequence}


def _sizes(measured: MeasurementRow, visit: Visit) -> list[sr.Measurement]:
    """Return the measurements of a mask; the template has no place for the ends of its axes in a volume."""
    signal, unit = (
        (codes.DCM.AttenuationCoefficient, codes.UCUM.HounsfieldUnit)
        if visit.modality == "ct"
        else (MR_SIGNAL, NO_UNITS)
    )
    volume_mm3 = round(measured.volume_ml * MM3_PER_ML, DIGITS)
    return [
        sr.Measurement(codes.SCT.Volume, volume_mm3, codes.UCUM.CubicMillimeter),
        sr.Measurement(LONG_AXIS, round(measured.long_axis_mm, DIGITS), codes.UCUM.Millimeter),
        sr.Measurement(SHORT_AXIS, round(measured.short_axis_mm, DIGITS), codes.UCUM.Millimeter),
        sr.Measurement(signal, round(measured.mean, DIGITS), unit, derivation=codes.SCT.Mean),
        sr.Measurement(signal, round(measured.sd, DIGITS), unit, derivation=codes.SCT.StandardDeviation),
    ]
