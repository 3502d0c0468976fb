"""What following costs: ten visits of one patient with fifty lesions, in scans of 192 x 192 x 128 voxels.

python -m benchmarks.follow_many --checkpoint results/models/sam/model.safetensors --folder /tmp/follow_many

The visits are one synthetic body, shifted by whole voxels and with noise of its own each; lesions are balls at random
places in it. Everything that the verb does is timed, from the scans to the measurements. Prints wall and CPU seconds of
each visit and the peak of memory by then, and exits with 1 when a bar is missed.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

from anatomical_embedding.api import load_model
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.measure_folder import measure_folder
from anatomical_embedding.follow.patient import AskedPatient, follow_patient
from anatomical_embedding.follow.visits import AskedVisit
from anatomical_embedding.phantom.visits import make_visits
from anatomical_embedding.settings.follow import delivered_follow_settings
from anatomical_embedding.usage.model import Model
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.raw_scan import ReadingOptions
from anatomical_embedding.volumes.volume import Volume
from benchmarks.followed_bodies import body_settings

NUM_VISITS, NUM_LESIONS = 10, 50
SIZE_VOX, SPACING_MM = (192, 192, 128), (2.0, 2.0, 4.0)
RADIUS_MM, DISTANCE_MM = (5.0, 9.0), 20.0
LESION_HU, NOISE_HU, TISSUE_HU = 90.0, 15.0, (-150.0, 250.0)
BORDER_VOX = np.array([28, 28, 14])
MOST_SECONDS, MOST_MB = 180.0, 3000.0


def main() -> None:
    """Follow one visit more at a time and print what each costs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="model.safetensors of a run")
    parser.add_argument("--folder", type=Path, required=True, help="where scans and answers go")
    parser.add_argument("--threads", type=int, default=2, help="of the searches (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    write_patient(options.folder)
    sys.exit(0 if follow_visits(load_model(options.checkpoint), options.folder) else 1)


def write_patient(folder: Path) -> None:
    """Write the scans of all visits, and the lesions of the first."""
    settings = body_settings(seed=1)
    field_of_view = settings.ct.field_of_view.model_copy(
        update={"size_vox": SIZE_VOX, "spacing_mm": SPACING_MM, "shift_along_mm": 0.0}
    )
    change = settings.follow_up.model_copy(update={"slice_spacings_mm": (SPACING_MM[2],)})
    ct = settings.ct.model_copy(update={"field_of_view": field_of_view})
    body = make_visits(settings.model_copy(update={"ct": ct, "follow_up": change}), subject_index=0)[0].scan
    random = np.random.default_rng(1)
    labels = draw_lesions(body.volume, random)
    scan = np.where(labels > 0, LESION_HU, body.volume.array)
    write_volume(Volume(labels, body.volume.affine), folder / "lesions.nii.gz")
    for visit in range(NUM_VISITS):
        moved = np.roll(scan, (visit, -visit, visit // 2), axis=(0, 1, 2))
        noisy = moved + random.normal(0.0, NOISE_HU, scan.shape)
        write_volume(
            Volume(np.rint(noisy).astype(np.int16), body.volume.affine), folder / f"visit{visit}.nii.gz"
        )


def draw_lesions(scan: Volume, random: np.random.Generator) -> np.ndarray:
    """Return the numbers of balls apart from one another, each round a place of soft tissue away from the border."""
    is_soft = (scan.array > TISSUE_HU[0]) & (scan.array < TISSUE_HU[1])
    places = np.argwhere(is_soft)
    places = places[np.all((places >= BORDER_VOX) & (places < np.array(scan.shape) - BORDER_VOX), axis=1)]
    labels = np.zeros(scan.shape, dtype=np.uint8)
    taken: list[np.ndarray] = []
    for place in random.permutation(places):
        middle_mm = scan.world_from_voxel(place)
        if any(np.linalg.norm(middle_mm - other) < DISTANCE_MM for other in taken):
            continue
        taken.append(middle_mm)
        reach = np.ceil(RADIUS_MM[1] / scan.spacing_mm).astype(int)
        part = tuple(slice(at - size, at + size + 1) for at, size in zip(place, reach, strict=True))
        voxels = np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in part], indexing="ij"), axis=-1)
        inside = np.linalg.norm(scan.world_from_voxel(voxels) - middle_mm, axis=-1) <= random.uniform(
            *RADIUS_MM
        )
        labels[part][inside] = len(taken)
        if len(taken) == NUM_LESIONS:
            return labels
    raise ValueError(f"the body has room for {len(taken)} lesions, expected {NUM_LESIONS}")


def follow_visits(model: Model, folder: Path) -> bool:
    """Print the cost of every visit and say whether the bars are kept."""
    visits = tuple(
        AskedVisit(f"visit{number}", folder / f"visit{number}.nii.gz", None) for number in range(NUM_VISITS)
    )
    place = FollowFolder(folder / "followed")
    print(f"{'visits':>6} {'wall s':>8} {'CPU s':>8} {'peak MB':>8} {'rows':>6} {'present':>8}")
    total = 0.0
    for count in range(1, NUM_VISITS + 1):
        start, start_cpu = time.perf_counter(), time.process_time()
        asked = AskedPatient(
            "one", visits[:count], {"visit0": folder / "lesions.nii.gz"}, "ras", ReadingOptions()
        )
        rows, _ = follow_patient(model, asked, place.folder, settings=delivered_follow_settings())
        if count == NUM_VISITS:
            measure_folder(place)
        wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        total += wall
        mine = [row for row in rows if row.visit == visits[count - 1].name]
        present = sum(row.state in ("present", "given") for row in mine)
        print(
            f"{count:>6} {wall:>8.1f} {cpu:>8.1f} {peak_mb():>8.0f} {len(mine):>6} {present:>8}", flush=True
        )
    print(f"{'all':>6} {total:>8.1f} {time.process_time():>8.1f} {peak_mb():>8.0f}")
    return total <= MOST_SECONDS and peak_mb() <= MOST_MB


def peak_mb() -> float:
    """Return the largest memory that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


if __name__ == "__main__":
    main()
