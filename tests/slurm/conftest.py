"""The one SLURM that all tests of this folder share."""

import pytest

from tests.slurm import single_machine


@pytest.fixture(scope="session")
def slurm():
    """Start a SLURM of two nodes, stop it in the end; skip where none can be had."""
    obstacle = single_machine.obstacle()
    if obstacle:
        pytest.skip(obstacle)
    try:
        single_machine.start()
    except single_machine.CannotInstallError as reason:
        pytest.skip(str(reason))
    yield
    single_machine.stop()
