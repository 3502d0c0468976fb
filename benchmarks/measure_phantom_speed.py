"""Print the CPU seconds that phantoms cost, after import.

Run as `OMP_NUM_THREADS=1 python -m benchmarks.measure_phantom_speed benchmarks/phantom_settings.json`.
"""

import sys
import time
from pathlib import Path

import numpy as np

from anatomical_embedding.phantom.synthetic_body import make_subject
from anatomical_embedding.settings.phantom import PhantomSettings

NUM_SUBJECTS = 8


def main(settings_path: Path) -> None:
    """Print fastest, median and slowest of several subjects, for CT alone and MR alone."""
    settings = PhantomSettings.model_validate_json(settings_path.read_text(encoding="utf-8"))
    for modality in ("ct", "mr"):
        chosen = settings.model_copy(update={"modalities": (modality,)})
        seconds = []
        for index in range(NUM_SUBJECTS):
            started = time.process_time()
            make_subject(chosen, subject_index=index)
            seconds.append(time.process_time() - started)
        print(
            f"{modality}: fastest {min(seconds):.3f} s, median {np.median(seconds):.3f} s,"
            f" slowest {max(seconds):.3f} s (the first one builds the atlas: {seconds[0]:.3f} s)"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
