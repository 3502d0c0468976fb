"""How the scripts beside this file are run, by the Python that `make test-peers` installs the programs for."""

import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from anatomical_embedding.volumes.affine import Points, lps_from_ras

PEERS = os.environ.get("ANATOMICAL_EMBEDDING_PEERS", "")
SCRIPTS = Path(__file__).parent

needs_peers = pytest.mark.skipif(not PEERS, reason="`make test-peers` names the Python that has the programs")


def run_program(program: str, folder: Path, files: list[str]) -> Points:
    """Run the script of a program, which writes into the folder, and return the points, RAS+, that it moved.

    The test skips where the program cannot be installed by pip and is not on the search path.
    """
    if program == "mrtrix" and shutil.which("mrtransform") is None:
        pytest.skip("mrtransform is not on the search path")
    done = subprocess.run(
        [PEERS, SCRIPTS / f"with_{program}.py", folder, *files],
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": ""},
        cwd="/",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return read_points(folder / "found.csv")


def read_points(path: Path) -> Points:
    """Return the (N, 3) points, RAS+, of a table of LPS points."""
    return lps_from_ras(pd.read_csv(path)[["x", "y", "z"]].to_numpy())


def write_points(points_mm: Points, path: Path) -> None:
    """Write (N, 3) points, RAS+, as a table of LPS points."""
    pd.DataFrame(lps_from_ras(points_mm), columns=["x", "y", "z"]).to_csv(path, index=False)
