"""Make a trained checkpoint usable alone: the same weights with a model card that says how to use them.

Settings: what scans and matching need (volumes, intensity, embedding, store, matching, decision).
"""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from anatomical_embedding.checkpoint_header import CARD_KEY, model_sha256
from anatomical_embedding.evaluation.confidence.answer_confidence import fit_answer_confidence
from anatomical_embedding.evaluation.landmarks.tables import read_errors, read_matches
from anatomical_embedding.index_file import read_index
from anatomical_embedding.model_card import AnswerConfidence, ModelCard, TrainingData
from anatomical_embedding.networks.checkpoint import load_checkpoint, save_checkpoint
from anatomical_embedding.progress import log
from anatomical_embedding.settings.usage import UsageSettings
from workflow_scripts.command_line import (
    existing_file,
    named_file,
    output_file,
    parse_settings,
    run_stage,
    stage_parser,
)

CYCLE_COLUMN = "cycle_error_mm"
SCORES = ("protocol", "dataset", "method", "num_queries", "num_failed", "median_mm", "mean_mm", "hit_10mm")


def main(arguments: list[str]) -> None:
    """Write the package."""
    parser = stage_parser(__doc__)
    parser.add_argument("--name", required=True, help="name of the model")
    parser.add_argument("--checkpoint", type=existing_file, required=True, help="trained checkpoint")
    parser.add_argument(
        "--index", type=named_file, action="append", default=[], metavar="DATASET=PATH", help="training data"
    )
    parser.add_argument("--validation-log", type=existing_file)
    parser.add_argument("--scores", type=existing_file, nargs="*", default=[], help="scores on held-out data")
    parser.add_argument(
        "--answers",
        nargs=3,
        action="append",
        default=[],
        metavar=("METHOD", "MATCHES", "ERRORS"),
        help="answers of a way of matching and how far off they are, to fit its confidence; repeatable",
    )
    parser.add_argument(
        "--modality", choices=("ct", "mr"), nargs="*", default=[], help="if there is no index"
    )
    parser.add_argument("--limit", action="append", default=[], help="a sentence for the card")
    parser.add_argument("--output", type=output_file, required=True)
    options = parser.parse_args(arguments)
    usage = parse_settings(UsageSettings, options.settings)

    network, metadata = load_checkpoint(options.checkpoint)
    training_data = [data for name, path in options.index for data in count_volumes(name, path)]
    card = ModelCard(
        name=options.name,
        checkpoint_sha256=model_sha256(options.checkpoint),
        usage=usage,
        modalities=tuple(sorted({data.modality for data in training_data} | set(options.modality))),
        training_data=tuple(training_data),
        validation=last_row(options.validation_log) if options.validation_log else {},
        evaluations=tuple(read_scores(path) for path in options.scores),
        confidence=fit_confidences(
            [(method, Path(matches), Path(errors)) for method, matches, errors in options.answers]
        ),
        limits=tuple(options.limit),
    )
    save_checkpoint(options.output, network, metadata=metadata | {CARD_KEY: card.model_dump(mode="json")})


def count_volumes(dataset: str, path: Path) -> list[TrainingData]:
    """Return how many volumes of each modality a data set has for training and validation."""
    counts = Counter((row.modality, row.split) for row in read_index(path))
    return [
        TrainingData(
            dataset=dataset,
            modality=modality,
            num_train=counts[modality, "train"],
            num_validation=counts[modality, "validation"],
        )
        for modality in sorted({modality for modality, _ in counts})
    ]


def last_row(path: Path) -> dict[str, float]:
    """Return the last row of a log but for the time, so that a package made again has the same bytes; else nothing."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {name: float(value) for name, value in rows[-1].items() if name != "seconds"} if rows else {}


def fit_confidences(answers: Sequence[tuple[str, Path, Path]]) -> dict[str, AnswerConfidence]:
    """Return the confidence of each way of matching that enough answers tell of."""
    fitted = {}
    for method in sorted({method for method, _, _ in answers}):
        files = [(matches, errors) for name, matches, errors in answers if name == method]
        table = pd.concat([read_answers(matches, errors) for matches, errors in files])
        confidence = fit_answer_confidence(table, evaluations=[matches.parent.name for matches, _ in files])
        if confidence is None:
            log(f"{method}: too few right or wrong answers to learn a confidence from")
        else:
            fitted[method] = confidence
    return fitted


def read_answers(matches: Path, errors: Path) -> pd.DataFrame:
    """Return similarity, cycle error and error of the answers of one method."""
    found = read_matches(matches, further_numbers=(CYCLE_COLUMN,))
    return found.merge(
        read_errors(errors)[["query_id", "target_id", "error_mm"]], on="query_id", validate="one_to_one"
    )


def read_scores(path: Path) -> dict[str, object]:
    """Return the numbers of a score file that a card quotes."""
    scores = json.loads(path.read_text(encoding="utf-8"))
    return {name: scores[name] for name in SCORES}


if __name__ == "__main__":
    run_stage(main)
