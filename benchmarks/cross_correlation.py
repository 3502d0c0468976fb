"""CPU time of one query of the baseline `ncc` and of the bootstrap: `python -m benchmarks.cross_correlation`."""

import time

import numpy as np

from anatomical_embedding.evaluation.baselines.cross_correlation import CorrelationTarget, cube_round
from anatomical_embedding.evaluation.statistics import bootstrap_intervals
from anatomical_embedding.settings.evaluation import BootstrapSettings
from anatomical_embedding.volumes.volume import Volume

SHAPE = (96, 72, 96)
SPACING_MM = 4.0
CUBE_SIZE = 11
NUM_REPEATS = 15


def cpu_seconds(work) -> np.ndarray:
    """Return the CPU seconds of each repeat."""
    seconds = []
    for _ in range(NUM_REPEATS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return np.array(seconds)


def main() -> None:
    """Print the minimum and median of the repeats."""
    generator = np.random.default_rng(0)
    array = generator.normal(size=SHAPE).astype(np.float32)
    volume = Volume(array, np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0]))
    target = CorrelationTarget(volume, np.ones(SHAPE, dtype=bool), cube_size=CUBE_SIZE)
    cube = cube_round(array, np.array(SHAPE) // 2, size=CUBE_SIZE)
    everywhere = cpu_seconds(lambda: target.best_place(cube, centre_mm=np.zeros(3), radius_mm=None))
    near = cpu_seconds(lambda: target.best_place(cube, centre_mm=np.full(3, 200.0), radius_mm=40.0))
    preparation = cpu_seconds(
        lambda: CorrelationTarget(volume, np.ones(SHAPE, dtype=bool), cube_size=CUBE_SIZE)
    )
    pairs = np.array([(a, b) for a in range(8) for b in range(8) if a != b] * 15)
    subjects = pairs.T.astype(str)
    errors = generator.exponential(10.0, size=len(pairs))
    settings = BootstrapSettings(num_resamples=2000, seed=0, confidence_level=0.95)
    bootstrap = cpu_seconds(
        lambda: bootstrap_intervals(
            errors, template_subjects=subjects[0], target_subjects=subjects[1], settings=settings
        )
    )
    for name, seconds in (
        (f"ncc, one query in {SHAPE}, {CUBE_SIZE} voxel cube", everywhere),
        ("ncc, the same within 40 mm", near),
        ("ncc, preparing one target", preparation),
        (f"bootstrap, {len(errors)} queries, 2000 resamples", bootstrap),
    ):
        print(f"{name}: min {1000 * seconds.min():.1f} ms, median {1000 * np.median(seconds):.1f} ms")


if __name__ == "__main__":
    main()
