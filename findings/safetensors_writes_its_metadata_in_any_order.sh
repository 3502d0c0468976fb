#!/usr/bin/env bash
# safetensors writes metadata of two or more keys in an order drawn anew each time: one model, several checksums.
#
# One would guess that the same tensors with the same metadata give the same bytes: the format sorts its tensors, and
# a dictionary of Python keeps its order.
# What happens: the metadata goes through a hash map of Rust, whose order is drawn at random for each file. With one
# key every file is the same; with two or more the JSON of the header begins differently from save to save, also
# within one process, so the checksum of a file tells nothing of what it holds. Caches, registries and workflows that
# go by the checksum of a checkpoint take the same weights for others.
# Versions: safetensors 0.8.0, numpy 2.4.6. Seen on 2026-12-01, 40 saves of one array: number of different files
#   without metadata: 1
#   one key: 1
#   three keys: 6
# Source: the output above.
# What to do: put everything into one key, as JSON with sorted keys; or compare tensors and metadata, not files.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet safetensors==0.8.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from safetensors.numpy import load, save

weights = {"weights": np.arange(12.0).reshape(3, 4)}
metadata = {
    "without metadata": None,
    "one key": {"card": "{}"},
    "three keys": {"card": "{}", "format": "1", "sha256": "0" * 64},
}
num_files = {}
for name, content in metadata.items():
    files = {save(weights, metadata=content) for _ in range(40)}
    assert all(np.array_equal(load(file)["weights"], weights["weights"]) for file in files)
    num_files[name] = len(files)
    print(f"{name}: {num_files[name]}")
is_as_seen = num_files["without metadata"] == num_files["one key"] == 1 < num_files["three keys"]
sys.exit(0 if is_as_seen else 1)
PYTHON
