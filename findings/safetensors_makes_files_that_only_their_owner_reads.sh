#!/usr/bin/env bash
# safetensors 0.8 gives every file it writes to its owner alone, and puts it in the place of a link.
#
# One would guess that save_file makes files as other programs do, readable as the umask says, and writes into the
# file that a name leads to.
# What happens: since 0.8 a file is written beside its place under another name and moved there. It keeps the rights
# of such a temporary file, rw-------, whatever the umask or the file that was there before say: colleagues cannot read
# the weights and embeddings of a shared folder, nor can a server that runs under another name. A link (as DVC and
# git-annex lay them) is replaced by the file.
# Versions: safetensors 0.8.0, numpy 2.4.6; 0.7.0 for comparison. Seen on 2026-11-30 with umask 022:
#   safetensors 0.8.0: a new file rw-------, one that was rw-rw-r-- rw-------, a link became a file
#   safetensors 0.7.0: a new file rw-r--r--, one that was rw-rw-r-- rw-rw-r--, a link stayed a link
# Source: the output above.
# What to do: chmod after save_file; write beside the place that the link leads to, not onto the link.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/try.py" <<'PYTHON'
import os
import stat
import sys
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import save_file

folder = Path(sys.argv[1])
os.umask(0o022)
new, old, link = folder / "new.safetensors", folder / "old.safetensors", folder / "link.safetensors"
for path in (new, old, link):
    path.unlink(missing_ok=True)
old.touch()
old.chmod(0o664)
(folder / "elsewhere").write_bytes(b"")
link.symlink_to(folder / "elsewhere")
for path in (new, old, link):
    save_file({"x": np.zeros(3, np.float32)}, path)
modes = [stat.filemode(path.stat().st_mode)[1:] for path in (new, old)]
what = "stayed a link" if link.is_symlink() else "became a file"
print(f"safetensors {safetensors.__version__}: a new file {modes[0]}, one that was rw-rw-r-- {modes[1]}, a link {what}")
expected = {
    "0.8.0": ["rw-------", "rw-------", "became a file"],
    "0.7.0": ["rw-r--r--", "rw-rw-r--", "stayed a link"],
}
sys.exit([*modes, what] != expected[safetensors.__version__])
PYTHON
for version in 0.8.0 0.7.0; do
  "$folder/venv/bin/pip" install --quiet "safetensors==$version" numpy==2.4.6
  "$folder/venv/bin/python" "$folder/try.py" "$folder"
done
