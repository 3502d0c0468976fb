"""Fit how far the answers of a model can be trusted, on patients that neither training nor scoring sees.

Settings: the part `fit` of the section `confidence`. Queries, matches, indices and sources run in parallel: those at
one place of all four belong to one evaluation or tracking, or to a part of it.
"""

from pathlib import Path

from anatomical_embedding.confidence import ConfidenceFile, write_confidence
from anatomical_embedding.evaluation.confidence.fit import fit_confidence
from anatomical_embedding.evaluation.confidence.known_answers import (
    joined_answers,
    read_known_answers,
)
from anatomical_embedding.progress import log
from anatomical_embedding.settings.confidence import FitSettings
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `fit_confidence`."""
    parser = stage_parser(__doc__)
    for name, what in (
        ("queries", "queries with true points"),
        ("matches", "answers of one method with their evidence"),
        ("index", "indices of the volumes, for the patients"),
    ):
        parser.add_argument(f"--{name}", type=existing_file, nargs="*", default=[], help=what)
    parser.add_argument("--sources", nargs="*", default=[], help="their evaluations and trackings")
    parser.add_argument("--output", type=Path, required=True, help="confidence (JSON) to write")
    options = parser.parse_args(arguments)
    settings = parse_settings(FitSettings, options.settings)

    parts = [
        read_known_answers(*paths, source=source)
        for *paths, source in zip(
            options.queries, options.matches, options.index, options.sources, strict=True
        )
    ]
    fitted = ConfidenceFile(confidence=None, reason="no patients are set aside for it")
    if parts:
        fitted = fit_confidence(joined_answers(parts), settings=settings)
    write_confidence(fitted, options.output)
    if fitted.confidence is None:
        log(f"no confidence: {fitted.reason}")
    else:
        log(
            f"{fitted.confidence.num_answers} answers of {fitted.confidence.num_patients} patients, "
            f"{fitted.confidence.num_out_of_view} out of view"
        )


if __name__ == "__main__":
    run_stage(main)
