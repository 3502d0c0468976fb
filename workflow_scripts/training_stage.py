"""What the stages that train share: command line, network, validation, resume state, checkpoint and logs.

Each reads index files, writes one checkpoint and two logs. While it runs, its state lies in --state-folder; when it is
killed and started again it goes on from there and ends with the same weights. Started by torchrun, its processes
divide every batch among them.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch.utils.data import Dataset

from anatomical_embedding.canonical_text import canonical_json, sha256_of_text
from anatomical_embedding.code_fingerprint import code_of
from anatomical_embedding.devices import choose_device
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.networks.checkpoint import initialise_from_file, save_checkpoint
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.patches.pair_batches import HeadGeometry, PairBatches, TrainingVolume
from anatomical_embedding.processes import Processes, joined_processes, processes_of_this_machine
from anatomical_embedding.settings.model import TrainIntraSettings, training_datasets
from anatomical_embedding.training.intra import IntraLosses, IntraValidation
from anatomical_embedding.training.loop import ComputeLosses, Training, write_log
from anatomical_embedding.training.volumes import head_geometries, open_split
from workflow_scripts.command_line import existing_file, named_file, parse_settings, stage_parser

Section = TypeVar("Section", bound=TrainIntraSettings)


@dataclass(frozen=True)
class TrainingTask(Generic[Section]):
    """A training as its command line asks for it.

    Attributes
    ----------
    settings : what the stage may see.
    options : arguments of the command line.
    index_paths : data set -> its index.
    device : where to compute.
    processes : that train together.
    """

    settings: Section
    options: Namespace
    index_paths: dict[str, Path]
    device: torch.device
    processes: Processes

    def heads(self) -> tuple[HeadGeometry, HeadGeometry]:
        """Return the cells of the fine and of the coarse head."""
        return head_geometries(self.settings.network, self.settings.training)

    def open_mix(self, split: str) -> dict[str, list[TrainingVolume]]:
        """Return data set -> its volumes of a split, of the data sets whose views are learned."""
        mixed = {name: path for name, path in self.index_paths.items() if name in self.settings.training.mix}
        return open_split(mixed, split=split, intensity=self.settings.intensity)

    def view_batches(self) -> PairBatches:
        """Return batches of two views of one volume."""
        fine, coarse = self.heads()
        return PairBatches(
            self.open_mix("train"),
            settings=self.settings.training,
            fine=fine,
            coarse=coarse,
            processes=self.processes,
        )

    def view_losses(self) -> IntraLosses:
        """Return what such batches are judged by."""
        return IntraLosses(settings=self.settings.training, device=self.device, processes=self.processes)


def training_parser(description: str | None) -> ArgumentParser:
    """Return a parser of the arguments that all trainings take."""
    parser = stage_parser(description)
    parser.add_argument("--index", type=named_file, action="append", required=True, metavar="DATASET=PATH")
    parser.add_argument(
        "--initial-weights", type=existing_file, required=True, help="checkpoint to start from"
    )
    parser.add_argument("--state-folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="the checkpoint")
    parser.add_argument("--training-log", type=Path, required=True)
    parser.add_argument("--validation-log", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--num-workers", type=int, required=True)
    return parser


def run_training(
    stage: str,
    options: Namespace,
    *,
    section: type[Section],
    learn_from: Callable[[TrainingTask[Section]], tuple[Dataset, ComputeLosses]],
    further_inputs: Iterable[Path] = (),
) -> None:
    """Train, and write the checkpoint and its logs.

    Parameters
    ----------
    stage : module of `workflow_scripts`, whose code decides whether a resume state is used.
    options : arguments of the command line.
    section : what the stage may see of the settings.
    learn_from : opens what is learned from: batches, and the losses on them.
    further_inputs : files beside indices and first weights that decide the result.

    Raises
    ------
    SettingsError
        if the indices are not those of the data sets that the settings name.
    """
    settings = parse_settings(section, options.settings)
    index_paths = dict(options.index)
    wanted = training_datasets(settings)
    if set(index_paths) != wanted:
        raise SettingsError(
            f"training.mix names {sorted(settings.training.mix)}: expected indices of {sorted(wanted)}, "
            f"got those of {sorted(index_paths)}"
        )
    fingerprint = _fingerprint(
        stage, settings, inputs=[*index_paths.values(), *further_inputs, options.initial_weights]
    )
    torch.set_num_threads(max(1, options.threads // processes_of_this_machine()))
    device = choose_device(settings.training.device, key="training.device")
    with joined_processes(device) as processes:
        task = TrainingTask(settings, options, index_paths, device, processes)
        training = _training(task, learn_from, fingerprint=fingerprint)
        training.run()
        if processes.is_first:
            write_log(training.progress.training_rows, options.training_log)
            write_log(training.progress.validation_rows, options.validation_log)
            save_checkpoint(options.output, training.network, metadata=settings.model_dump(mode="json"))
            training.finish()


def _training(
    task: TrainingTask[Section],
    learn_from: Callable[[TrainingTask[Section]], tuple[Dataset, ComputeLosses]],
    *,
    fingerprint: str,
) -> Training:
    """Return the training of a task."""
    fine, coarse = task.heads()
    network = EmbeddingNetwork(task.settings.network)
    initialise_from_file(network, task.options.initial_weights)
    held_out = task.open_mix("validation")
    batches, compute_losses = learn_from(task)
    return Training(
        network,
        batches,
        compute_losses=compute_losses,
        validate=IntraValidation(
            [volume for name in sorted(held_out) for volume in held_out[name]],
            settings=task.settings.training,
            fine=fine,
            coarse=coarse,
            device=task.device,
        ),
        settings=task.settings.training,
        state_folder=task.options.state_folder,
        fingerprint=fingerprint,
        device=task.device,
        num_workers=task.options.num_workers,
        processes=task.processes,
    )


def _fingerprint(stage: str, settings: TrainIntraSettings, *, inputs: list[Path]) -> str:
    """Return what must be equal for a resume state to be used: settings, code and inputs."""
    parts = [canonical_json(settings.model_dump(mode="json")), code_of(stage)]
    return sha256_of_text("\n".join(parts + [sha256_of_file(path) for path in inputs]))
