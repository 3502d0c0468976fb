"""Train a SAM embedding: two views of one volume, fine and coarse contrastive loss."""

from anatomical_embedding.patches.pair_batches import PairBatches
from anatomical_embedding.settings.model import TrainIntraSettings
from anatomical_embedding.training.intra import IntraLosses
from workflow_scripts.command_line import run_stage
from workflow_scripts.training_stage import TrainingTask, run_training, training_parser


def main(arguments: list[str]) -> None:
    """Train and write the checkpoint and its logs."""
    options = training_parser(__doc__).parse_args(arguments)
    run_training("train_intra", options, section=TrainIntraSettings, learn_from=open_views)


def open_views(task: TrainingTask[TrainIntraSettings]) -> tuple[PairBatches, IntraLosses]:
    """Return batches of views, and SAM's losses."""
    return task.view_batches(), task.view_losses()


if __name__ == "__main__":
    run_stage(main)
