"""The moving scan of a registered pair comes as its owner stores it, in any format and of any offset."""

import json

import numpy as np
import pytest

from anatomical_embedding.registration.displacement_field import DisplacementField, write_field
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.scan_inputs.every_input import INPUTS
from tests.scan_inputs.marked_scan import HU, MARK_VALUES, MARKS_MM, matrix
from workflow_scripts import resample_registered

AFFINE = np.vstack([matrix(), [0.0, 0.0, 0.0, 1.0]])
TOLD = {"modality": "ct", "geometry": None, "hu_offset": None, "series": None, "largest_gap_mm": 10.0}
MOVING = {
    "nrrd": {},
    "nifti offset of 1024": {"hu_offset": -1024.0},
    "dicom two series, one told": {"series": "1"},
}


@pytest.mark.parametrize("name", MOVING)
def test_the_moving_scan_is_read_as_its_data_set_says(tmp_path, name):
    """The field is zero and lies on the scan's own grid, so that its marks stay where they are, in HU."""
    moving = INPUTS[name].write(tmp_path)
    write_field(DisplacementField(np.zeros((*HU.shape, 3), np.float32), AFFINE), tmp_path / "field.nii.gz")
    write_volume(Volume(np.ones(HU.shape, np.uint8), AFFINE), tmp_path / "body.nii.gz")
    settings = {"spacing_mm": [4.0, 4.0, 4.0], "moving": TOLD | MOVING[name]}
    bodies = [f"--{side}-body={tmp_path / 'body.nii.gz'}" for side in ("fixed", "moving")]
    outputs = [
        f"--output-{output}={tmp_path / output}.nii"
        for output in ("image", "shared-view", "training-image", "training-mask")
    ]
    field = f"--field={tmp_path / 'field.nii.gz'}"
    resample_registered.main(
        [f"--settings={json.dumps(settings)}", field, f"--moving={moving}", *bodies, *outputs]
    )
    image = read_volume(tmp_path / "image.nii")
    voxels = np.rint(image.voxel_from_world(MARKS_MM)).astype(int)
    np.testing.assert_allclose(image.array[tuple(voxels.T)], MARK_VALUES, atol=1.5)
