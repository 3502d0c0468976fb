"""Train a Cross-SAM embedding: views of the two volumes of registered pairs, beside views of single volumes.

Reads index files, writes one checkpoint and two logs. While it runs, its state lies in --state-folder; when it is
killed and started again it goes on from there and ends with the same weights. Started by torchrun, its processes
divide every batch among them.
"""

from argparse import Namespace
from pathlib import Path

import torch

from anatomical_embedding.code_fingerprint import code_of
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.files import canonical_json, sha256_of_file, sha256_of_text
from anatomical_embedding.index_file import read_index
from anatomical_embedding.networks.checkpoint import initialise_from_file, save_checkpoint
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.patches.registered_batches import RegisteredBatches
from anatomical_embedding.processes import Processes, joined_processes, processes_of_this_machine
from anatomical_embedding.settings.model import TrainInterSettings
from anatomical_embedding.training.inter import InterLosses, open_registered_pairs
from anatomical_embedding.training.intra import IntraLosses, IntraValidation
from anatomical_embedding.training.loop import Training, choose_device, write_log
from anatomical_embedding.training.volumes import head_geometries, open_split
from workflow_scripts.command_line import existing_file, named_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Train and write the checkpoint and its logs."""
    parser = stage_parser(__doc__)
    parser.add_argument("--index", type=named_file, action="append", required=True, metavar="DATASET=PATH")
    parser.add_argument("--pairs", type=existing_file, required=True, help="list of registered pairs")
    parser.add_argument("--pairs-index", type=existing_file, required=True, help="index of their data set")
    parser.add_argument(
        "--initial-weights", type=existing_file, required=True, help="checkpoint to start from"
    )
    parser.add_argument("--state-folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="the checkpoint")
    parser.add_argument("--training-log", type=Path, required=True)
    parser.add_argument("--validation-log", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--num-workers", type=int, required=True)
    options = parser.parse_args(arguments)
    settings = parse_settings(TrainInterSettings, options.settings)
    index_paths = dict(options.index)
    if set(index_paths) != set(settings.training.mix):
        raise SettingsError(
            f"training.mix names {sorted(settings.training.mix)}, but indices of {sorted(index_paths)} were given"
        )

    torch.set_num_threads(max(1, options.threads // processes_of_this_machine()))
    device = choose_device(settings.training.device)
    with joined_processes(device) as processes:
        training = _training(settings, options, index_paths=index_paths, device=device, processes=processes)
        training.run()
        if processes.is_first:
            write_log(training.progress.training_rows, options.training_log)
            write_log(training.progress.validation_rows, options.validation_log)
            save_checkpoint(options.output, training.network, metadata=settings.model_dump(mode="json"))
            training.finish()


def _training(
    settings: TrainInterSettings,
    options: Namespace,
    *,
    index_paths: dict[str, Path],
    device: torch.device,
    processes: Processes,
) -> Training:
    """Return the training that the command line asks for."""
    fine, coarse = head_geometries(settings.network, settings.training)
    network = EmbeddingNetwork(settings.network)
    initialise_from_file(network, options.initial_weights)
    held_out = open_split(index_paths, split="validation", intensity=settings.intensity)
    pairs = open_registered_pairs(
        options.pairs,
        read_index(options.pairs_index),
        settings=settings.registered,
        intensity=settings.intensity,
    )
    losses = IntraLosses(settings=settings.training, device=device, processes=processes)
    return Training(
        network,
        RegisteredBatches(
            open_split(index_paths, split="train", intensity=settings.intensity),
            pairs,
            settings=settings.training,
            registered=settings.registered,
            fine=fine,
            coarse=coarse,
            processes=processes,
        ),
        compute_losses=InterLosses(losses, settings=settings.registered),
        validate=IntraValidation(
            [volume for name in sorted(held_out) for volume in held_out[name]],
            settings=settings.training,
            fine=fine,
            coarse=coarse,
            device=device,
        ),
        settings=settings.training,
        state_folder=options.state_folder,
        fingerprint=_fingerprint(settings, [*index_paths.values(), options.pairs, options.initial_weights]),
        device=device,
        num_workers=options.num_workers,
        processes=processes,
    )


def _fingerprint(settings: TrainInterSettings, inputs: list[Path]) -> str:
    """Return what must be equal for a resume state to be used: settings, code and inputs."""
    parts = [canonical_json(settings.model_dump(mode="json")), code_of("train_inter")]
    return sha256_of_text("\n".join(parts + [sha256_of_file(path) for path in inputs]))


if __name__ == "__main__":
    run_stage(main)
