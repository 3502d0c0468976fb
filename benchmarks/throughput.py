"""How much a device does in a second: training steps, training samples, and voxels and volumes of an export.

    python -m benchmarks.throughput [--device auto|cpu|cuda] [--config configs/nih_sam.yaml] [--precision bf16]
                                    [--steps 20] [--volumes 3] [--size 160 160 128] [--workers 0]

Network, patches and losses are those of the model `sam` of the configuration (`--config`, or `config.yaml`), so
the figures are those of a run. Volumes are synthetic and lie prepared on disk. The first steps and the first volume
are left out, because they measure how a device warms up. Peak memory is that of the GPU's tensors, or the resident
memory of the process on a CPU. There is no bar: figures of different machines cannot be compared.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.devices import choose_device
from anatomical_embedding.embedding.export import StoreEmbedder, expected_origin
from anatomical_embedding.embedding.store import write_store
from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.index_file import IndexRow
from anatomical_embedding.networks.checkpoint import save_checkpoint
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.patches.pair_batches import PairBatches
from anatomical_embedding.settings.export import ExportSettings
from anatomical_embedding.settings.pipeline import PipelineSettings, read_pipeline_settings
from anatomical_embedding.settings.run_file import read_run_files
from anatomical_embedding.settings.training import TrainingSettings
from anatomical_embedding.training.intra import IntraLosses
from anatomical_embedding.training.loop import Training
from anatomical_embedding.training.volumes import head_geometries, open_volume
from anatomical_embedding.volumes.nifti import map_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from benchmarks.embed_volume import smooth_volume

BYTES_PER_MB = 1e6
WARM_UP_STEPS = 3
KILOBYTE = 1024
CT_RANGE_HU = (-1000, 1500)


@dataclass(frozen=True)
class Task:
    """What is measured, and on what."""

    settings: PipelineSettings
    training: TrainingSettings
    device: torch.device
    folder: Path
    rows: list[IndexRow]


def main() -> None:
    """Measure and print the table."""
    options = _parse_options()
    settings = read_pipeline_settings(read_run_files([options.config]))
    device = choose_device(options.device, key="--device")
    with tempfile.TemporaryDirectory() as name:
        rows = [_write_volume(Path(name), number, size=options.size) for number in range(options.volumes + 1)]
        task = Task(settings, _training_settings(settings, options), device, Path(name), rows)
        _start_of_peak(device)
        steps_a_second = _measure_training(task, num_workers=options.workers)
        training_mb = _peak_mb(device)
        _start_of_peak(device)
        volumes_a_second = _measure_export(task)
        export_mb = _peak_mb(device)
    pairs = sum(task.training.mix.values())
    megavoxels = float(np.prod(options.size)) / 1e6
    shown = (
        torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    )
    print(f"device {shown}; training in {task.training.precision}, export in {settings.embedding.precision}")
    print(f"{steps_a_second:10.2f} training steps a second, {pairs} view pairs each")
    print(f"{steps_a_second * pairs:10.2f} training samples (view pairs) a second")
    print(f"{training_mb:10.0f} MB peak memory of the training")
    print(
        f"{volumes_a_second:10.2f} volumes of {' x '.join(map(str, options.size))} voxels exported a second"
    )
    print(f"{volumes_a_second * megavoxels:10.2f} million voxels exported a second")
    print(f"{export_mb:10.0f} MB peak memory of the export")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--config",
        type=Path,
        default=REPOSITORY / "config.yaml",
        help="run file whose model `sam` is measured",
    )
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), help="of the training")
    parser.add_argument("--steps", type=int, default=20, help="that are timed")
    parser.add_argument("--volumes", type=int, default=3, help="that are timed")
    parser.add_argument("--size", nargs=3, type=int, default=[160, 160, 128], metavar=("X", "Y", "Z"))
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches")
    options = parser.parse_args()
    if options.steps < 2 or options.volumes < 1:
        parser.error("expected at least 2 steps and 1 volume to time")
    return options


def _training_settings(settings: PipelineSettings, options: argparse.Namespace) -> TrainingSettings:
    """Return the settings of the model's training, with as many steps as are measured and one data set."""
    training = settings.models["sam"].training
    changes = {
        "num_steps": WARM_UP_STEPS + options.steps,
        "state_interval_steps": WARM_UP_STEPS + options.steps,
        "mix": {"measured": sum(training.mix.values())},
        "precision": options.precision or training.precision,
    }
    return training.model_copy(update=changes)


def _write_volume(folder: Path, number: int, *, size: list[int]) -> IndexRow:
    """Write a synthetic prepared CT and return its index row."""
    low, high = CT_RANGE_HU
    unit = (smooth_volume((size[2], size[1], size[0])) + 50.0) / 255.0
    array = (low + (high - low) * np.roll(unit, 7 * number, axis=0)).astype(np.int16).transpose(2, 1, 0)
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    paths = [folder / f"volume_{number}{ending}" for ending in (".nii", ".body_mask.nii")]
    write_volume(Volume(array, affine), paths[0])
    write_volume(Volume(np.ones(array.shape, np.uint8), affine), paths[1])
    name = f"volume_{number}"
    checksum = sha256_of_file(paths[0])
    return IndexRow(name, name, "ct", "train", *paths, None, checksum, *array.shape, 2.0, 2.0, 2.0)


def _measure_training(task: Task, *, num_workers: int) -> float:
    """Return the training steps a second, and leave the weights beside the volumes."""
    model, intensity = task.settings.models["sam"], task.settings.intensity
    torch.manual_seed(0)
    fine, coarse = head_geometries(model.network, task.training)
    volumes = {"measured": [open_volume(row, intensity=intensity) for row in task.rows]}
    losses = IntraLosses(settings=task.training, device=task.device)
    started: list[float] = []

    def compute_losses(network, batch, generator):
        _wait_for(task.device)
        started.append(time.perf_counter())
        return losses(network, batch, generator)

    training = Training(
        EmbeddingNetwork(model.network),
        PairBatches(volumes, settings=task.training, fine=fine, coarse=coarse),
        compute_losses=compute_losses,
        validate=None,
        settings=task.training,
        state_folder=task.folder / "state",
        fingerprint="throughput",
        device=task.device,
        num_workers=num_workers,
    )
    training.run()
    save_checkpoint(task.folder / "model.safetensors", training.network, metadata={})
    # From the start of the first timed step to the start of the last one, so that all in between counts.
    first = WARM_UP_STEPS * task.training.accumulation_steps
    num_steps = (len(started) - 1 - first) / task.training.accumulation_steps
    return num_steps / (started[-1] - started[first])


def _measure_export(task: Task) -> float:
    """Return the volumes a second that are read, embedded and stored."""
    settings = ExportSettings(
        embedding=task.settings.embedding.model_copy(update={"device": task.device.type}),
        store=task.settings.store,
        intensity=task.settings.intensity,
    )
    embedder = StoreEmbedder(task.folder / "model.safetensors", settings=settings)
    started = 0.0
    for number, row in enumerate(task.rows):
        if number == 1:
            started = time.perf_counter()
        origin = expected_origin(row, checkpoint_sha256="0" * 64, settings=settings)
        embedded = embedder.embed(
            map_volume(row.image_path), modality=row.modality, volume_id=row.volume_id, origin=origin
        )
        write_store(task.folder / f"{row.volume_id}.safetensors", embedded)
    return (len(task.rows) - 1) / (time.perf_counter() - started)


def _wait_for(device: torch.device) -> None:
    """Let a GPU finish what it was given, so that a clock tells what was done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _start_of_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Linux then starts a new peak


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / BYTES_PER_MB
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split(maxsplit=1)[0]) * KILOBYTE / BYTES_PER_MB


if __name__ == "__main__":
    main()
