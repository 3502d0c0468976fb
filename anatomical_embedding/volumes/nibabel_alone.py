"""Loads nibabel without the DICOM reader that it looks for; a module that imports nibabel imports this one first.

nibabel loads `pydicom` where it is installed, for private extensions of NIfTI headers that nothing here reads. That is
half of the time that nibabel takes to load, and most stages of a run are over in a second.
"""

import importlib
import sys

if "nibabel" not in sys.modules and "pydicom" not in sys.modules:
    sys.modules["pydicom"] = None  # type: ignore[assignment]  # how the import system notes "not installed"
    try:
        importlib.import_module("nibabel")
    finally:
        del sys.modules["pydicom"]
