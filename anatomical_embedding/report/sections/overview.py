"""What ran: the outcome in a few sentences, the settings and the versions."""

import json
from itertools import groupby
from typing import Any

from anatomical_embedding.report.inputs import EvaluatedMethod, Evaluation, ReportInputs
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.numbers import interval_text, millimetres, percent
from anatomical_embedding.report.sections.registrations import registration_sentence
from anatomical_embedding.report.sections.tracking import tracking_sentence


def overview(inputs: ReportInputs) -> Markup:
    """Return the section `What ran`."""
    return element(
        "section",
        element("h2", "What ran"),
        *[element("p", element("strong", f"Warning: {sentence}.")) for sentence in inputs.shared_scans],
        *[element("p", _sentence(evaluation)) for evaluation in inputs.evaluations],
        *[
            element("p", registration_sentence(name, list(pairs)))
            for name, pairs in groupby(inputs.registrations, key=lambda pair: pair.overlap.registration)
        ],
        *[element("p", tracking_sentence(answers)) for answers in inputs.trackings],
        element("p", "Versions: " + _listed(inputs.versions) + "."),
        element(
            "details",
            element("summary", "Settings of this run"),
            element(
                "pre",
                _pretty(inputs.settings),
                tabindex=0,
            ),
        ),
        id="what-ran",
    )


def _sentence(evaluation: Evaluation) -> str:
    queries = evaluation.methods[0].queries
    volume_ids = set(queries["template_id"]) | set(queries["target_id"])
    volumes = evaluation.methods[0].volumes
    subjects = {volumes[volume_id].patient_id for volume_id in volume_ids}
    text = (
        f"Data set {evaluation.dataset}, protocol {evaluation.protocol}: {len(queries)} queries "
        f"between {len(volume_ids)} volumes of {len(subjects)} subjects, "
        f"answered by {len(evaluation.methods)} methods."
    )
    for method, role in ((evaluation.best_trained, "trained method"), (evaluation.best_baseline, "baseline")):
        if method is not None:
            text += f" The best {role}, {method.name}, {_outcome(method)}."
    return text


def _outcome(method: EvaluatedMethod) -> str:
    score = method.score
    interval = interval_text(score, "median_mm", millimetres)
    level = f" ({100 * score.confidence_level:g} % interval {interval})" if interval else ""
    median, hit = millimetres(score.metrics["median_mm"]), percent(score.metrics["hit_10mm"])
    return f"has a median error of {median} mm{level} and brings {hit} of the queries within 10 mm"


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _pretty(settings: dict[str, Any]) -> str:
    return json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False)
