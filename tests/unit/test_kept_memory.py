"""`register` keeps the memory that arrays leave, so that the system need not clear pages for the next ones."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from anatomical_embedding.cli import register
if {kept}:
    register._keep_freed_memory()
np.ones(2**21)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**21)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_arrays_reuse_the_memory_of_those_before():
    """Twenty arrays of 16 MiB are 81920 pages; large pages may make that fewer."""
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM.format(kept=kept)], capture_output=True, check=True, text=True
            ).stdout
        )
        for kept in (False, True)
    ]
    assert faults[1] < 0.2 * faults[0]
