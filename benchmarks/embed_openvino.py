"""The same embedding by OpenVINO, in bf16 and in int8: cost and error beside `benchmarks.embed_body`.

    python -m benchmarks.embed_body --against CHECKOUT --keep FOLDER
    PEER/bin/python -m benchmarks.embed_openvino FOLDER

OpenVINO and NNCF are no dependencies of this project: PEER is an environment that has them beside it. The network of
the folder runs over the whole volume at once, all heads, one thread; int8 is calibrated on four crops of the volume.
Errors are the mean of 1 - cosine to the fp32 maps, over the cells in the body. Nothing is judged.
"""

import resource
import sys
import time
from pathlib import Path

import nncf
import numpy as np
import openvino
import torch

from anatomical_embedding.networks.checkpoint import load_checkpoint
from benchmarks.embed_body import MAPS, mean_distances

CROP_ZYX = (32, 96, 96)
CORNERS_ZYX = ((0, 48, 48), (32, 40, 0), (16, 60, 96), (48, 20, 48))


def main() -> int:
    """Convert, run and print."""
    folder = Path(sys.argv[1])
    network, _ = load_checkpoint(folder / "network.safetensors")
    volume = np.load(folder / "volume.npy")[None, None]
    body = np.load(folder / "body.npy")
    crops = [
        volume[(..., *(slice(start, start + size) for start, size in zip(corner, CROP_ZYX, strict=True)))]
        for corner in CORNERS_ZYX
    ]
    torch.set_num_threads(1)
    model = openvino.convert_model(network, example_input=torch.from_numpy(crops[0]))
    model.reshape([1, 1, -1, -1, -1])
    variants = {"bf16": model}
    variants["int8"] = nncf.quantize(model, nncf.Dataset(crops), subset_size=len(crops))
    for name, variant in variants.items():
        options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "bf16"}
        started = time.process_time()
        compiled = openvino.Core().compile_model(variant, "CPU", options)
        loaded = time.process_time()
        outputs = compiled(volume)
        seconds = time.process_time() - loaded
        for index, of_map in enumerate(MAPS):
            array = np.moveaxis(outputs[index][0], 0, -1)
            np.save(folder / f"openvino_{name}_{of_map}.npy", array)
        found = mean_distances(folder, f"openvino_{name}", body)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"openvino {name}: {seconds:.1f} CPU s, {loaded - started:.1f} to compile, peak {peak:.0f} MB, ",
            end="",
        )
        print(", ".join(f"{of_map} {mean:.1e}" for of_map, (mean, _) in found.items()), flush=True)
        del compiled, outputs
    return 0


if __name__ == "__main__":
    sys.exit(main())
