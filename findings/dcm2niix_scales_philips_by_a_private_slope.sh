#!/usr/bin/env bash
# dcm2niix gives MRs of Philips other values than readers of DICOM do: it scales by a private tag, not by the rescale.
#
# One would guess that a voxel of the NIfTI file is RescaleSlope * stored + RescaleIntercept, as pydicom, ITK and the
# standard (PS3.3 C.11.1) have it.
# What happens: where the private "scale slope" (2005,100E) of Philips is there, dcm2niix divides by it (and by the
# slope, with an intercept): the values are "precise" ones, that can be compared between scans of Philips, and differ
# from those of every other reader by a factor that is another one for each series, here 10. The factor is in the JSON
# beside the file alone, which a reader of NIfTI does not look at. A cohort of which some scans came through dcm2niix and
# some straight from DICOM has two scales, and so have two visits if a scanner or an anonymiser dropped private tags.
# Versions: dcm2niix 1.0.20260724, SimpleITK 2.5.7, nibabel 5.4.2, pydicom 3.0.2, numpy 2.4.6. Seen on 2026-11-29:
#   rescale of the standard: 200 220 240
#   SimpleITK: 200 220 240
#   dcm2niix: 2000 2200 2400
#   dcm2niix -p n: 200 220 240
#   dcm2niix without the private tag: 200 220 240
# Source: the output above; option -p of dcm2niix, default y; Chenevert et al. 2014 (PMC3998685).
# What to do: normalise MR by its own values, or convert with `-p n` where scans of both ways are compared.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dcm2niix==1.0.20260724 SimpleITK==2.5.7 nibabel==5.4.2 pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

folder = Path(sys.argv[1])
STORED = [100, 110, 120]


def write(name, *, is_private):
    (folder / name).mkdir()
    for k, stored in enumerate(STORED):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = MRImageStorage
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"1.2.3.{k + 1}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3.100", "1.2.3.101", "1.2.3.102"
        ds.Modality, ds.Manufacturer, ds.PatientID, ds.PatientName = "MR", "Philips Medical Systems", "P", "P"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]
        ds.PatientPosition, ds.SeriesNumber, ds.InstanceNumber = "HFS", 1, k + 1
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 4 * k], [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing, ds.SliceThickness, ds.SpacingBetweenSlices = [2, 2], 4, 4
        ds.Rows = ds.Columns = 8
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
        ds.RescaleSlope, ds.RescaleIntercept = 2, 0
        if is_private:
            ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", 0.05)
        ds.PixelData = np.full((8, 8), stored, np.uint16).tobytes()
        ds.save_as(folder / name / f"{k}.dcm", enforce_file_format=True)
    return folder / name


def by_dcm2niix(series, *options):
    program = Path(sys.executable).with_name("dcm2niix")
    out = folder / f"{series.name}{''.join(options)}"
    out.mkdir(exist_ok=True)
    subprocess.run([program, *options, "-o", out, "-f", "out", series], check=True, capture_output=True)
    return nibabel.load(out / "out.nii").get_fdata()[4, 4].round(3)


philips, plain = write("philips", is_private=True), write("plain", is_private=False)
names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(philips))
found = {
    "rescale of the standard": 2.0 * np.array(STORED),
    "SimpleITK": SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(names))[:, 4, 4],
    "dcm2niix": by_dcm2niix(philips),
    "dcm2niix -p n": by_dcm2niix(philips, "-p", "n"),
    "dcm2niix without the private tag": by_dcm2niix(plain),
}
for name, values in found.items():
    print(f"{name}: {' '.join(f'{value:g}' for value in values)}")
expected = [[200, 220, 240]] * 2 + [[2000, 2200, 2400]] + [[200, 220, 240]] * 2
if not np.allclose(list(found.values()), expected):
    sys.exit(1)
PYTHON
