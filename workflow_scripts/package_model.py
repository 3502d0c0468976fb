"""Make a trained checkpoint usable alone: the same weights with a model card that says how to use them.

Settings: what scans and matching need (volumes, intensity, embedding, store, matching, confidence).
"""

import json
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anatomical_embedding.checkpoint_header import (
    CARD_KEY,
    copy_checkpoint,
    model_sha256,
    read_checkpoint_header,
)
from anatomical_embedding.confidence import ConfidenceFile, read_confidence
from anatomical_embedding.csv_table import NUMBER, read_csv_table, typed_rows
from anatomical_embedding.index_file import read_index
from anatomical_embedding.model_card import ModelCard, TrainingData
from anatomical_embedding.settings.usage import UsageSettings
from anatomical_embedding.weights_checksum import CHECKSUM_KEY, weights_sha256_of_file
from workflow_scripts.command_line import (
    existing_file,
    named_file,
    output_file,
    parse_settings,
    run_stage,
    stage_parser,
)

SCORES = ("protocol", "dataset", "method", "num_queries", "num_failed", "median_mm", "mean_mm", "hit_10mm")


def main(arguments: list[str]) -> None:
    """Write the package."""
    options = parse(arguments)
    metadata = read_checkpoint_header(options.checkpoint).get("metadata", {})
    card = card_of(options, usage=parse_settings(UsageSettings, options.settings))
    checksum = weights_sha256_of_file(options.checkpoint)
    card_of_model = {CARD_KEY: card.model_dump(mode="json"), CHECKSUM_KEY: checksum}
    copy_checkpoint(options.checkpoint, options.output, metadata=metadata | card_of_model)


def parse(arguments: list[str]) -> Namespace:
    """Return the options of the stage."""
    parser = stage_parser(__doc__)
    parser.add_argument("--name", required=True, help="name of the model")
    parser.add_argument("--checkpoint", type=existing_file, required=True, help="trained checkpoint")
    parser.add_argument(
        "--index", type=named_file, action="append", default=[], metavar="DATASET=PATH", help="training data"
    )
    parser.add_argument("--validation-log", type=existing_file)
    parser.add_argument("--scores", type=existing_file, nargs="*", default=[], help="scores on held-out data")
    parser.add_argument(
        "--confidence",
        type=named_file,
        action="append",
        default=[],
        metavar="METHOD=PATH",
        help="what `fit_confidence` wrote for a way of matching; repeatable",
    )
    parser.add_argument(
        "--confidence-scores",
        nargs=3,
        action="append",
        default=[],
        metavar=("METHOD", "SOURCE", "PATH"),
        help="how good that is on the held-out patients of an evaluation or tracking; repeatable",
    )
    parser.add_argument(
        "--modality", choices=("ct", "mr"), nargs="*", default=[], help="if there is no index"
    )
    parser.add_argument("--limit", action="append", default=[], help="a sentence for the card")
    parser.add_argument("--output", type=output_file, required=True)
    return parser.parse_args(arguments)


def card_of(options: Namespace, *, usage: UsageSettings) -> ModelCard:
    """Return the card of the model that the options name."""
    training_data = [data for name, path in options.index for data in count_volumes(name, path)]
    fitted = {method: read_confidence(path) for method, path in options.confidence}
    return ModelCard(
        name=options.name,
        checkpoint_sha256=model_sha256(options.checkpoint),
        usage=usage,
        modalities=tuple(sorted({data.modality for data in training_data} | set(options.modality))),
        training_data=tuple(training_data),
        validation=last_row(options.validation_log) if options.validation_log else {},
        evaluations=tuple(read_scores(path) for path in options.scores),
        confidence={
            method: file.confidence for method, file in fitted.items() if file.confidence is not None
        },
        confidence_scores=tuple(
            quoted_scores(method, source, Path(path)) for method, source, path in options.confidence_scores
        ),
        limits=(*options.limit, *lacking_confidences(fitted)),
    )


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
    if not path.stat().st_size:
        return {}
    header, rows = read_csv_table(path)
    last = typed_rows(path, rows[-1:], dict.fromkeys(header, NUMBER))
    return {name: value for _, cells in last for name, value in cells.items() if name != "seconds"}


def lacking_confidences(fitted: Mapping[str, ConfidenceFile]) -> list[str]:
    """Return a sentence on each way of matching for which there is no confidence."""
    return [
        f"No confidence for {method}: {file.reason}."
        for method, file in fitted.items()
        if file.confidence is None
    ]


def quoted_scores(method: str, source: str, path: Path) -> dict[str, Any]:
    """Return how good a confidence is on the held-out patients of an evaluation."""
    return {"method": method, "source": source} | json.loads(path.read_text(encoding="utf-8"))


def read_scores(path: Path) -> dict[str, object]:
    """Return the numbers of a score file that a card quotes."""
    scores = json.loads(path.read_text(encoding="utf-8"))
    return {name: scores[name] for name in SCORES}


if __name__ == "__main__":
    run_stage(main)
