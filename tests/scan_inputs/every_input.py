"""One scan of known content in every format that users have, with the oddities that they come with.

Every input is written by hand, header and voxels, so that a test knows where five voxels lie without our readers.
"""

from tests.scan_inputs.dicom_frames import MULTI_FRAME_INPUTS
from tests.scan_inputs.dicom_series import DICOM_INPUTS
from tests.scan_inputs.marked_scan import ScanInput
from tests.scan_inputs.metaimage import METAIMAGE_INPUTS
from tests.scan_inputs.nifti import NIFTI_INPUTS
from tests.scan_inputs.no_scan import OTHER_INPUTS
from tests.scan_inputs.nrrd import NRRD_INPUTS

INPUTS: dict[str, ScanInput] = {
    **NIFTI_INPUTS,
    **NRRD_INPUTS,
    **METAIMAGE_INPUTS,
    **DICOM_INPUTS,
    **MULTI_FRAME_INPUTS,
    **OTHER_INPUTS,
}
