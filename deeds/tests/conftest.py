"""The program under test is the fixture `binary` of the whole project."""

import os

import numpy as np
import pytest
from run_deeds import FAST, phantom, run, save


@pytest.fixture(scope="session", autouse=True)
def _name_binary(binary):
    """Tell the helpers of the tests, which are plain functions, where the program is."""
    os.environ["DEEDS_BINARY"] = str(binary)


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """Folder with a registered pair of 56x52x48 voxels of 2 mm: fixed.nii.gz, moving.nii.gz, out_..."""
    folder = tmp_path_factory.mktemp("plain")
    fixed, moving, _ = phantom((56, 52, 48))
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = [-50, 20, 7]
    save(folder / "fixed.nii.gz", fixed, affine)
    save(folder / "moving.nii.gz", moving, affine)
    labels = (np.round((moving + 1000) / 400) + 1).astype(np.int16)
    save(folder / "labels.nii.gz", labels, affine)
    run(
        "register", "-F", folder / "fixed.nii.gz", "-M", folder / "moving.nii.gz", "-O", folder / "out", *FAST
    )
    return folder
