"""The program under test is the fixture `binary` of the whole project."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def _name_binary(binary):
    """Tell the helpers of the tests, which are plain functions, where the program is."""
    os.environ["DEEDS_BINARY"] = str(binary)
