"""Train a SAM++ embedding: SAM's losses on views, and the prototype loss on organs of labelled volumes."""

from anatomical_embedding.patches.semantic_batches import SemanticBatches
from anatomical_embedding.settings.model import TrainSemanticSettings
from anatomical_embedding.training.semantic import SemanticLosses, open_labelled
from workflow_scripts.command_line import run_stage
from workflow_scripts.training_stage import TrainingTask, run_training, training_parser


def main(arguments: list[str]) -> None:
    """Train and write the checkpoint and its logs."""
    options = training_parser(__doc__).parse_args(arguments)
    run_training("train_semantic", options, section=TrainSemanticSettings, learn_from=open_views_and_organs)


def open_views_and_organs(
    task: TrainingTask[TrainSemanticSettings],
) -> tuple[SemanticBatches, SemanticLosses]:
    """Return batches of views and of labelled patches, and the losses on both."""
    settings = task.settings
    labelled = open_labelled(
        task.index_paths[settings.semantic.dataset], split="train", intensity=settings.intensity
    )
    batches = SemanticBatches(
        task.view_batches(),
        labelled,
        settings=settings.training,
        semantic=settings.semantic,
        network=settings.network,
        processes=task.processes,
    )
    losses = SemanticLosses(
        task.view_losses(), settings=settings.semantic, device=task.device, processes=task.processes
    )
    return batches, losses


if __name__ == "__main__":
    run_stage(main)
