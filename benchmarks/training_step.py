"""CPU seconds of a training step: this checkout against another one, on the same batches.

    python -m benchmarks.training_step --baseline CHECKOUT --cache FOLDER [--models sam cross_sam_m1 sampp published]
                                       [--repeats 5] [--steps 20] [--curve-steps 0]

Trains the demo's models, and the published network on published patches, with both checkouts by turns, one thread
each and the settings of its own, and prints CPU seconds a step, their ratio and the peak memory.

Where both have the same settings, `--curve-steps 100` also trains in fp32 with both and prints for how many steps their
losses agree to 1e-3, and the largest relative difference after that. Beside it stands the same for the baseline
against itself with first weights that differ in their last bits (1e-7): a training multiplies the smallest difference
from step to step, so no change of arithmetic can agree better than that.

The synthetic bodies are made once, by the workflow, in the cache. Cross-SAM's pairs are the CT and the MR of a body as
they are, because a registered pair costs as much. The published batch of 6 pairs is cut to 2.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from snakemake.utils import update_config

from anatomical_embedding.index_file import IndexRow, read_index
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.patches.pair_batches import PairBatches
from anatomical_embedding.patches.registered_batches import RegisteredBatches, RegisteredVolumes
from anatomical_embedding.patches.semantic_batches import SemanticBatches
from anatomical_embedding.settings.pipeline import PipelineSettings, read_pipeline_settings
from anatomical_embedding.training.inter import InterLosses
from anatomical_embedding.training.intra import IntraLosses
from anatomical_embedding.training.loop import Training
from anatomical_embedding.training.semantic import SemanticLosses, open_labelled
from anatomical_embedding.training.volumes import head_geometries, open_split, open_volume

THIS_CHECKOUT = Path(__file__).resolve().parents[1]
RECIPES = Path("anatomical_embedding/settings/recipes")
MODELS = ("sam", "cross_sam_m1", "sampp", "published")
DEMO_BAR, PUBLISHED_BAR = 2.0, 1.4
LARGEST_CURVE_DIFFERENCE = 1e-3
WARM_UP_STEPS = 3
PUBLISHED_SLOTS = 2
PUBLISHED_SHARE_OF_STEPS = 8
"""The published network takes so many times fewer steps than the demo's."""
LAST_BITS = 1e-7
KILOBYTE, BYTES_PER_MB = 1024, 1e6
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
"""Of the rule train_intra at the time of the baseline."""


@dataclass(frozen=True)
class Measured:
    """What a training of some steps took, and its losses."""

    cpu_seconds: float
    peak_mb: float
    losses: list[float]


def main() -> None:
    """Print the table and exit with 1 where a bar is missed."""
    options = _parse_options()
    if options.measure:
        _measure(json.loads(options.measure), cache=options.cache)
        return
    _make_bodies(options.cache)
    print(
        f"{'model':14s}{'baseline':>10s}{'this':>8s} CPU s{'ratio':>7s}{'baseline':>10s}{'this':>8s} MB",
        end="",
    )
    print(f"   {'curves agree, differ by':>20s}{'last bits alone':>20s}" if options.curve_steps else "")
    is_missed = False
    for model in options.models:
        is_missed |= _compare(model, options)
    sys.exit(is_missed)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--baseline", type=Path, help="folder of the other checkout")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the synthetic bodies")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="that are timed in each repeat")
    parser.add_argument("--curve-steps", type=int, default=0, help="of the loss curves; 0 for none")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.cache = options.cache.resolve()
    if options.baseline is None and options.measure is None:
        parser.error("--baseline is missing: the folder of the other checkout")
    return options


def _make_bodies(cache: Path) -> None:
    """Let the workflow make and prepare the synthetic bodies, where they are not there yet."""
    cache.mkdir(parents=True, exist_ok=True)
    targets = [f"results/volumes/{name}.csv" for name in ("phantom_ct", "phantom_pairs")]
    if all((cache / target).exists() for target in targets):
        return
    snakefile = str(THIS_CHECKOUT / "Snakefile")
    command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--directory", str(cache)]
    subprocess.run([*command, *targets, "--cores", "1", "--quiet", "all"], check=True)


def _compare(model: str, options: argparse.Namespace) -> bool:
    """Print a model's line and return whether it misses a bar."""
    divisor = PUBLISHED_SHARE_OF_STEPS if model == "published" else 1
    task = {"model": model, "steps": max(options.steps // divisor, 2), "precision": None, "nudge": 0.0}
    runs: dict[Path, list[Measured]] = {options.baseline.resolve(): [], THIS_CHECKOUT: []}
    for _ in range(options.repeats):
        for checkout, measured in runs.items():
            measured.append(_run_with(checkout, task, cache=options.cache))
    old, new = runs.values()
    cpu = [statistics.median(run.cpu_seconds for run in measured) for measured in (old, new)]
    peak = [max(run.peak_mb for run in measured) for measured in (old, new)]
    ratio = statistics.median(
        before.cpu_seconds / after.cpu_seconds for before, after in zip(old, new, strict=True)
    )
    print(
        f"{model:14s}{cpu[0]:10.3f}{cpu[1]:8.3f}      {ratio:7.2f}{peak[0]:10.0f}{peak[1]:8.0f}   ",
        end="",
        flush=True,
    )
    bar = PUBLISHED_BAR if model == "published" else DEMO_BAR
    is_missed = ratio < bar or peak[1] > peak[0]
    if options.curve_steps:
        curve = task | {"steps": max(options.curve_steps // divisor, 2), "precision": "fp32"}
        before, after = (_run_with(checkout, curve, cache=options.cache).losses for checkout in runs)
        nudged = _run_with(next(iter(runs)), curve | {"nudge": LAST_BITS}, cache=options.cache).losses
        ours, least = (_differences(before, losses) for losses in (after, nudged))
        for differences in (ours, least):
            print(f"{_steps_of_agreement(differences):5d} steps,{max(differences):8.1e}", end="")
        is_missed |= max(ours) > max(LARGEST_CURVE_DIFFERENCE, *least)
    print(f"   at least {bar:.1f}")
    return is_missed


def _differences(reference: Sequence[float], losses: Sequence[float]) -> list[float]:
    """Return the relative difference of two loss curves at every step."""
    return [abs(other - one) / abs(one) for one, other in zip(reference, losses, strict=True)]


def _steps_of_agreement(differences: Sequence[float]) -> int:
    """Return the steps before the first one that differs by more than the bar."""
    for step, difference in enumerate(differences):
        if difference > LARGEST_CURVE_DIFFERENCE:
            return step
    return len(differences)


def _run_with(checkout: Path, task: dict[str, Any], *, cache: Path) -> Measured:
    """Measure a task in a process of its own that imports a checkout's package."""
    environment = os.environ | KEPT_MEMORY
    environment |= {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--cache", str(cache), "--measure", json.dumps(task)]
    done = subprocess.run(
        command, cwd=checkout, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def _measure(task: dict[str, Any], *, cache: Path) -> None:
    """Train some steps with the package at hand and print what they took as JSON."""
    torch.set_num_threads(1)
    settings = _settings(Path.cwd(), overlay="nih_sam" if task["model"] == "published" else None)
    started: list[float] = []
    with tempfile.TemporaryDirectory() as state_folder:
        training = _training(task, settings, cache=cache, started=started, state_folder=Path(state_folder))
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Linux then counts the peak anew
        training.run()
    steps = started[WARM_UP_STEPS:]
    measured = Measured(
        cpu_seconds=(steps[-1] - steps[0]) / (len(steps) - 1),
        peak_mb=_peak_mb(),
        losses=[row["loss"] for row in training.progress.training_rows],
    )
    print(json.dumps(vars(measured)))


def _settings(checkout: Path, *, overlay: str | None) -> PipelineSettings:
    """Return the settings of a checkout's demo, or of another run file; before recipes that lay over the demo's."""
    configuration: dict[str, Any] = {}
    if overlay is None or not (checkout / RECIPES).exists():
        configuration = yaml.safe_load((checkout / "config.yaml").read_text(encoding="utf-8"))
    if overlay is not None:
        path = checkout / "configs" / f"{overlay}.yaml"
        update_config(configuration, yaml.safe_load(path.read_text(encoding="utf-8")))
    return read_pipeline_settings(configuration)


def _training(
    task: dict[str, Any],
    settings: PipelineSettings,
    *,
    cache: Path,
    started: list[float],
    state_folder: Path,
) -> Training:
    """Return the training of a task; it notes the CPU clock at the start of every step."""
    model = settings.models["sam" if task["model"] == "published" else task["model"]]
    num_steps = WARM_UP_STEPS + task["steps"] + 1
    changes: dict[str, Any] = {"num_steps": num_steps, "state_interval_steps": num_steps, "device": "cpu"}
    if task["model"] == "published":
        changes |= {"mix": {"phantom_ct": PUBLISHED_SLOTS}, "precision": "bf16"}
    if task["precision"]:
        changes["precision"] = task["precision"]
    training = model.training.model_copy(update=changes)
    batches, losses = _batches_and_losses(model, training, settings, volumes=cache / "results" / "volumes")

    def compute_losses(*arguments: Any) -> Any:
        started.append(time.process_time())
        return losses(*arguments)

    torch.manual_seed(training.seed)
    network = EmbeddingNetwork(model.network)
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(1.0 + task["nudge"] * torch.randn_like(weights))
    return Training(
        network,
        batches,
        compute_losses=compute_losses,
        validate=None,
        settings=training,
        state_folder=state_folder,
        fingerprint="training step",
        device=torch.device("cpu"),
        num_workers=0,
    )


def _batches_and_losses(
    model: Any, training: Any, settings: PipelineSettings, *, volumes: Path
) -> tuple[Any, Any]:
    """Return what a model's training is fed with and what it minimises."""
    intensity = settings.intensity
    indices = {name: volumes / f"{name}.csv" for name in training.mix}
    fine, coarse = head_geometries(model.network, training)
    heads = {"fine": fine, "coarse": coarse}
    images = open_split(indices, split="train", intensity=intensity)
    losses = IntraLosses(settings=training, device=torch.device("cpu"))
    if model.method == "cross_sam":
        pairs = _pairs_as_they_are(read_index(indices["phantom_pairs"]), intensity=intensity)
        batches = RegisteredBatches(images, pairs, settings=training, registered=model.registered, **heads)
        return batches, InterLosses(losses, settings=model.registered)
    views = PairBatches(images, settings=training, **heads)
    if model.method == "sam":
        return views, losses
    labelled = open_labelled(volumes / f"{model.semantic.dataset}.csv", split="train", intensity=intensity)
    return (
        SemanticBatches(views, labelled, settings=training, semantic=model.semantic, network=model.network),
        SemanticLosses(losses, settings=model.semantic, device=torch.device("cpu")),
    )


def _pairs_as_they_are(rows: Sequence[IndexRow], *, intensity: Any) -> list[RegisteredVolumes]:
    """Return the CT and the MR of every training body as if they were registered."""
    of_modality = {
        modality: {row.patient_id: row for row in rows if row.modality == modality and row.split == "train"}
        for modality in ("ct", "mr")
    }
    return [
        RegisteredVolumes(
            open_volume(row, intensity=intensity),
            open_volume(of_modality["mr"][patient], intensity=intensity),
            1.0,
        )
        for patient, row in of_modality["ct"].items()
    ]


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split(maxsplit=1)[0]) * KILOBYTE / BYTES_PER_MB


if __name__ == "__main__":
    main()
