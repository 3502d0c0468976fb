"""A training of seconds, on volumes of blobs, for tests that run it as its users do: by its command line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.index_file import IndexRow, write_index
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.integration.warm_servers import warm_python

INTENSITY = {
    "ct_low_hu": -500.0,
    "ct_high_hu": 700.0,
    "mr_low_percentile": 0.2,
    "mr_high_percentile": 99.8,
    "mr_smallest_high": 1.0,
    "output_span": 255.0,
    "output_offset": -50.0,
}
NETWORK = {
    "stem_channels": 4,
    "stem_kernel_zyx": [3, 3, 3],
    "stem_stride_zyx": [2, 2, 2],
    "stage_channels": [4, 8, 8, 8],
    "stage_kernels_zyx": [[3, 3, 3]] * 4,
    "stage_strides_zyx": [[1, 1, 1], [2, 2, 2], [2, 2, 2], [1, 1, 1]],
    "pool_zyx": [1, 1, 1],
    "embedding_channels": 8,
    "coarse_channels": 8,
    "has_semantic_head": False,
}
TRAINING = {
    "seed": 3,
    "mix": {"blobs": 2},
    "num_steps": 30,
    "accumulation_steps": 1,
    "precision": "fp32",
    "optimizer": {"name": "adamw", "learning_rate": 0.003, "weight_decay": 0.0001},
    "schedule": {"warmup_steps": 3, "warmup_start_factor": 0.01, "decay": "cosine"},
    "max_gradient_norm": 10.0,
    "views": {
        "patch_size_vox": [24, 24, 16],
        "scale_range": [0.8, 1.2],
        "axis_scale_range": [0.95, 1.05],
        "max_rotation_degrees": 5,
        "independent_probability": 0.2,
        "seed_in_body_probability": 0.5,
    },
    "augmentation": {
        "noise_standard_deviation_range": [0, 2],
        "blur_standard_deviation_range_vox": [0, 1],
        "contrast_range": [0.9, 1.1],
        "brightness_range": [-5, 5],
    },
    "fine_loss": {
        "positive_distance_mm": 6,
        "ignore_distance_mm": 12,
        "num_candidates": 300,
        "num_positives": 30,
        "is_limited_to_body": False,
        "num_negative_candidates": None,
        "hard_negative_pool": 200,
        "num_negatives": 50,
        "temperature": 0.2,
    },
    "coarse_loss": {
        "positive_distance_mm": 25,
        "positive_distance_z_mm": 16,
        "ignore_distance_mm": 5,
        "hard_negative_pool": 20,
        "num_negatives": 10,
        "num_other_negatives": 20,
        "temperature": 0.2,
    },
    "processes": {"synchronised_batch_norm": True, "negatives_from_other_processes": True},
    "validation": {"interval_steps": 10, "num_pairs": 2, "num_points": 10},
    "keep": "best",
    "state_interval_steps": 4,
    "device": "cpu",
}


def write_blob_volumes(folder: Path, *, num_volumes: int = 4) -> Path:
    """Write volumes of smooth blobs with an index and return the index; the last one validates."""
    rows = []
    affine = np.diag([-4.0, -4.0, 4.0, 1.0])
    for number in range(num_volumes):
        generator = np.random.default_rng(number)
        image = gaussian_filter(generator.standard_normal((36, 34, 30)), 3) * 6000
        paths = [folder / f"blob_{number}{ending}" for ending in (".nii", ".body_mask.nii")]
        write_volume(Volume(image.astype(np.int16), affine), paths[0])
        write_volume(Volume((image > -200).astype(np.uint8), affine), paths[1])
        rows.append(
            IndexRow(
                volume_id=f"blob_{number}",
                patient_id=f"blob_{number}",
                modality="ct",
                split="validation" if number == num_volumes - 1 else "train",
                image_path=paths[0],
                body_mask_path=paths[1],
                labels_path=None,
                sha256=sha256_of_file(paths[0]),
                size_x=image.shape[0],
                size_y=image.shape[1],
                size_z=image.shape[2],
                spacing_x_mm=4.0,
                spacing_y_mm=4.0,
                spacing_z_mm=4.0,
            )
        )
    index = folder / "blobs.csv"
    write_index(rows, index)
    return index


def initial_weights(folder: Path) -> Path:
    """Write the first weights and return their file."""
    path = folder / "untrained.safetensors"
    settings = {"seed": 3, "initial_weights": None, "network": NETWORK}
    run_stage("initialise_network", settings, ["--output", str(path)])
    return path


def training_command(index: Path, output: Path, *, training: dict) -> list[str]:
    """Return the command that trains and writes into a folder."""
    settings = {"network": NETWORK, "training": training, "intensity": INTENSITY}
    return stage_command(
        "train_intra",
        settings,
        [
            f"--index=blobs={index}",
            f"--initial-weights={index.parent / 'untrained.safetensors'}",
            f"--state-folder={output / 'state'}",
            f"--output={output / 'trained.safetensors'}",
            f"--training-log={output / 'training_log.csv'}",
            f"--validation-log={output / 'validation_log.csv'}",
            "--threads=1",
            "--num-workers=0",
        ],
    )


def stage_command(stage: str, settings: dict, arguments: list[str]) -> list[str]:
    """Return the command line of a stage."""
    return [sys.executable, "-m", f"workflow_scripts.{stage}", "--settings", json.dumps(settings), *arguments]


def run_stage(stage: str, settings: dict, arguments: list[str]) -> None:
    """Run a stage to its end."""
    subprocess.run(warm(stage_command(stage, settings, arguments)), cwd=REPOSITORY, check=True)


def warm(command: list[str]) -> list[str]:
    """Return the command of a stage that need not load its libraries.

    Where it is killed, its fork ends a moment later, and what it writes to its streams ends then.
    """
    return [warm_python(), *command[1:]]
