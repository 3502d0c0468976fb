"""Train a Cross-SAM embedding: views of the two volumes of registered pairs, beside views of single volumes."""

from anatomical_embedding.index_file import read_index
from anatomical_embedding.patches.registered_batches import RegisteredBatches
from anatomical_embedding.settings.model import TrainInterSettings
from anatomical_embedding.training.inter import InterLosses, open_registered_pairs
from workflow_scripts.command_line import existing_file, run_stage
from workflow_scripts.training_stage import TrainingTask, run_training, training_parser


def main(arguments: list[str]) -> None:
    """Train and write the checkpoint and its logs."""
    parser = training_parser(__doc__)
    parser.add_argument("--pairs", type=existing_file, required=True, help="list of registered pairs")
    parser.add_argument("--pairs-index", type=existing_file, required=True, help="index of their data set")
    options = parser.parse_args(arguments)
    run_training(
        "train_inter",
        options,
        section=TrainInterSettings,
        learn_from=open_pairs_and_views,
        further_inputs=[options.pairs],
    )


def open_pairs_and_views(task: TrainingTask[TrainInterSettings]) -> tuple[RegisteredBatches, InterLosses]:
    """Return batches of views of registered pairs and of single volumes, and the losses on both."""
    settings = task.settings
    fine, coarse = task.heads()
    pairs = open_registered_pairs(
        task.options.pairs,
        read_index(task.options.pairs_index),
        settings=settings.registered,
        intensity=settings.intensity,
    )
    batches = RegisteredBatches(
        task.open_mix("train"),
        pairs,
        settings=settings.training,
        registered=settings.registered,
        fine=fine,
        coarse=coarse,
        processes=task.processes,
    )
    return batches, InterLosses(task.view_losses(), settings=settings.registered)


if __name__ == "__main__":
    run_stage(main)
