"""A tiny packaged model and scans of one anatomy, for tests of the command line and the page."""

import json
import locale
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.networks.checkpoint import save_checkpoint
from anatomical_embedding.settings.run_file import completed_run_file, read_run_files
from anatomical_embedding.settings.usage import UsageSettings
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.reference.small_networks import isotropic_settings, network_with_statistics
from workflow_scripts import package_model

ANATOMY_SHAPE = (52, 48, 50)
SCAN_SHAPE = (44, 42, 42)
SPACING_MM = 4.0
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def usage_sections() -> dict:
    """Return the delivered settings that using a model needs."""
    run = completed_run_file(read_run_files([REPOSITORY / "config.yaml"]))
    return {name: run[name] for name in UsageSettings.model_fields}


def write_model(folder: Path, *, seed: int = 0, has_semantic_head: bool = False, name: str = "tiny") -> Path:
    """Write a CT model with random weights, packaged as a run does, and return its path."""
    network = network_with_statistics(isotropic_settings(has_semantic_head=has_semantic_head), seed=seed)
    trained, packaged = folder / f"{name}.trained.safetensors", folder / f"{name}.safetensors"
    save_checkpoint(trained, network, metadata={})
    package_model.main(
        [
            *("--settings", json.dumps(usage_sections()), "--name", name, "--checkpoint", str(trained)),
            *("--modality", "ct", "--limit", "Random weights.", "--output", str(packaged)),
        ]
    )
    return packaged


def body_scan(*, offset_vox: tuple[int, int, int], affine: NDArray) -> Volume:
    """Return a CT in HU: a window on one random anatomy, a round body in air."""
    smooth = gaussian_filter(np.random.default_rng(5).standard_normal(ANATOMY_SHAPE), 2.0)
    window = tuple(slice(first, first + length) for first, length in zip(offset_vox, SCAN_SHAPE, strict=True))
    x, y = np.meshgrid(*(np.linspace(-1, 1, length) for length in ANATOMY_SHAPE[:2]), indexing="ij")
    in_body = (np.hypot(x, y) < 0.7)[..., np.newaxis]
    anatomy = np.where(in_body, 40 + 4000 * smooth, -1000)
    return Volume(np.clip(anatomy, -1000, 1500).astype(np.int16)[window], affine)


def scan_affine(*, origin_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return the affine of an LPS-ordered scan."""
    affine = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = origin_mm
    return affine


def write_two_scans(folder: Path) -> tuple[Path, Path]:
    """Write two scans of one anatomy whose worlds have nothing to do with each other."""
    places = {
        "first": ((2, 2, 2), (90.0, 70.0, -60.0)),
        "second": ((4, 2, 6), (-10.0, 120.0, 300.0)),
    }
    paths = []
    for name, (offset_vox, origin_mm) in places.items():
        path = folder / f"{name}.nii.gz"
        write_volume(body_scan(offset_vox=offset_vox, affine=scan_affine(origin_mm=origin_mm)), path)
        paths.append(path)
    return paths[0], paths[1]


def points_in(scan: Path | Volume, *, count: int, seed: int = 1) -> NDArray[np.float64]:
    """Return (N, 3) world mm of points well inside the body of a scan."""
    volume = scan if isinstance(scan, Volume) else read_volume(scan)
    middle = (np.array(volume.shape) - 1) / 2.0
    spread = np.random.default_rng(seed).uniform(-0.25, 0.25, (count, 3)) * volume.shape
    return volume.world_from_voxel(middle + spread)


def write_dicom_series(
    volume: Volume,
    folder: Path,
    *,
    numbered_backwards: bool = False,
    modality: str = "CT",
    moved_slices_mm: dict[int, tuple[float, float, float]] | None = None,
) -> Path:
    """Write the slices of an int16 volume as DICOM with SimpleITK alone, and return their folder.

    Parameters
    ----------
    volume : its third axis becomes that of the slices; a left-handed one is written with its slices in falling order.
    numbered_backwards : file names and instance numbers fall along the third axis.
    moved_slices_mm : slice -> shift in LPS mm added to its position, to make faulty series.
    """
    folder.mkdir(parents=True)
    columns = LPS_TO_RAS @ volume.affine[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    along_row, along_column = (columns / spacing).T[:2]
    series = "1.2.826.0.1.3680043.2.1125.1"
    for number in range(volume.shape[2]):
        image = SimpleITK.GetImageFromArray(volume.array[:, :, number : number + 1].T.copy())
        position = LPS_TO_RAS @ volume.world_from_voxel([[0, 0, number]])[0]
        position = position + np.array((moved_slices_mm or {}).get(number, (0.0, 0.0, 0.0)))
        image.SetSpacing([*spacing[:2].tolist(), float(spacing[2])])
        instance = volume.shape[2] - number if numbered_backwards else number + 1
        tags = {
            "0008|0060": modality,
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0020|000d": f"{series}.1",
            "0020|000e": f"{series}.2",
            "0020|0013": str(instance),
            "0020|0032": "\\".join(f"{value:.10g}" for value in position),
            "0020|0037": "\\".join(f"{value:.12g}" for value in (*along_row, *along_column)),
            "0028|1052": "-1024",
            "0028|1053": "1",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"slice_{instance:03d}.dcm"))
        with kept_locale():
            writer.Execute(image)
    return folder


@contextmanager
def kept_locale() -> Iterator[None]:
    """Undo what ITK's DICOM writer does to the whole process: it leaves the locale "C", in which text is ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)
