"""Write the checkpoint that a training starts from: seeded random weights, or those of a file.

The untrained network is also a baseline of every evaluation.
"""

from pathlib import Path

import torch

from anatomical_embedding.networks.checkpoint import initialise_from_file, save_checkpoint
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.settings.model import InitialiseNetworkSettings
from workflow_scripts.command_line import parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Write the checkpoint."""
    parser = stage_parser(__doc__)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    settings = parse_settings(InitialiseNetworkSettings, options.settings)
    torch.manual_seed(settings.seed)
    network = EmbeddingNetwork(settings.network)
    if settings.initial_weights is not None:
        initialise_from_file(network, settings.initial_weights)
    save_checkpoint(options.output, network, metadata=settings.model_dump(mode="json"))


if __name__ == "__main__":
    run_stage(main)
