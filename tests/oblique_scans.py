"""Two models and two scans, one of them oblique."""

import pytest

from anatomical_embedding import api
from anatomical_embedding.volumes.nifti import write_volume
from tests.command import run
from tests.packaged_model import body_scan, write_model, write_two_scans
from tests.unit.samples import oblique_affine


@pytest.fixture(scope="module", name="folder")
def fixture_folder(tmp_path_factory):
    """Return a folder with two models and two scans, one of them oblique."""
    folder = tmp_path_factory.mktemp("command_line")
    write_model(folder)
    write_model(folder, seed=1, name="other")
    first, _ = write_two_scans(folder)
    affine = oblique_affine((8.0, -12.0, 15.0), (4.0, 3.7, 4.3), (-31.7, 12.9, 211.3))
    write_volume(body_scan(offset_vox=(4, 2, 6), affine=affine), folder / "oblique.nii.gz")
    run(["embed", first, "--checkpoint", folder / "tiny.safetensors", "--output", folder / "stores"])
    return folder


@pytest.fixture(scope="module", name="model")
def fixture_model(folder):
    return api.load_model(folder / "tiny.safetensors")
