"""Files that are no scan, under the names of scans."""

from collections.abc import Callable
from pathlib import Path

from tests.scan_inputs.marked_scan import ScanInput


def text_as(name: str) -> Callable[[Path], Path]:
    """Return a writer of a file that is no volume."""

    def write(folder: Path) -> Path:
        (folder / name).write_text("nothing of the kind\n", encoding="utf-8")
        return folder / name

    return write


OTHER_INPUTS = {
    f"text called {name}": ScanInput(text_as(name), refusal=refusal)
    for name, refusal in (
        ("x.nii", "cannot be read as NIfTI"),
        ("x.nii.gz", "cannot be read as NIfTI"),
        ("x.nrrd", "is not a NRRD file"),
        ("x.mha", "is not a MetaImage file"),
        ("x.mgz", "is of a format that is not read"),
        ("x.png", "is of a format that is not read"),
        ("x.dcm", "cannot be read as NIfTI"),
    )
}
