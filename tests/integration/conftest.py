"""The one run of the demo that several tests look at."""

import pytest

from tests.integration.demo_run import run_demo, set_up_demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """Return the folder in which the demo has run."""
    folder = tmp_path_factory.mktemp("demo")
    set_up_demo(folder)
    done = run_demo(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder
