"""The marked scan as NRRD (https://teem.sourceforge.net/nrrd/format.html)."""

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.scan_inputs.marked_scan import HU, LPS, ScanInput, matrix
from tests.scan_inputs.written_files import SLICE_FILES, as_text, changed, without_file, write_parts


def nrrd(
    name: str = "x.nrrd",
    *,
    space: str | None = "left-posterior-superior",
    signs: NDArray = LPS,
    scale: float = 1.0,
    encoding: str = "raw",
    extra: tuple[str, ...] = (),
    left_out: tuple[str, ...] = (),
    pack: Callable[[bytes], bytes] = bytes,
    order: str = "little",
    data: NDArray | None = None,
    files: str = "",
    **changes: str,
) -> Callable[[Path], Path]:
    """Return a writer of a NRRD file; `changes` are fields, their spaces written as underscores."""
    data = HU if data is None else data

    def write(folder: Path) -> Path:
        vectors = (matrix() * signs[:, np.newaxis] * scale).T
        told = [f"({','.join(f'{value:.17g}' for value in vector)})" for vector in vectors]
        fields = {
            "type": "short",
            "dimension": "3",
            "space": space,
            "sizes": " ".join(map(str, data.shape)),
            "space directions": " ".join(told[:3]),
            "endian": order,
            "encoding": encoding,
            "space origin": told[3],
        } | {key.replace("_", " "): value for key, value in changes.items()}
        lines = ["NRRD0005", "# made by hand"]
        lines += [f"{key}: {value}" for key, value in fields.items() if value and key not in left_out]
        lines += [*extra, *([f"data file: {files}"] if files else [])]
        plain = data.astype(">i2" if order == "big" else "<i2")
        path = folder / name
        if files:
            write_parts(folder, files, plain, pack)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        else:
            path.write_bytes("\n".join(lines).encode() + b"\n\n" + pack(plain.tobytes(order="F")))
        return path

    return write


RAS, LAS = np.array([1.0, 1.0, 1.0]), np.array([-1.0, 1.0, 1.0])

NRRD_INPUTS = {
    "nrrd": ScanInput(nrrd()),
    "nrrd RAS": ScanInput(nrrd(space="right-anterior-superior", signs=RAS)),
    "nrrd LAS": ScanInput(nrrd(space="LAS", signs=LAS)),
    "nrrd gzip": ScanInput(nrrd(encoding="gzip", pack=gzip.compress)),
    "nrrd bzip2": ScanInput(nrrd(encoding="bzip2", pack=bz2.compress)),
    "nrrd text": ScanInput(nrrd(encoding="ascii", pack=as_text, left_out=("endian",))),
    "nrrd text of twice the numbers": ScanInput(
        nrrd(encoding="text", pack=lambda content: as_text(2 * content)),
        refusal="holds 2 times the 42240 numbers of the voxels",
    ),
    "nrrd hex": ScanInput(nrrd(encoding="hex", pack=lambda content: content.hex().encode())),
    "nrrd big-endian": ScanInput(nrrd(order="big")),
    "nrrd detached": ScanInput(nrrd("x.nhdr", files="x.raw")),
    "nrrd detached and packed": ScanInput(
        nrrd("x.nhdr", files="x.raw.gz", encoding="gz", pack=gzip.compress)
    ),
    "nrrd detached, a file a slice": ScanInput(
        nrrd("x.nhdr", files=f"slice%02d.raw 0 {HU.shape[2] - 1} 1 2")
    ),
    "nrrd detached, slices listed": ScanInput(nrrd("x.nhdr", files=f"LIST 2\n{SLICE_FILES}")),
    "nrrd with bytes before": ScanInput(nrrd(pack=lambda content: b"skipme" + content, byte_skip="6")),
    "nrrd in a file of several": ScanInput(
        nrrd("x.nhdr", files="x.raw", pack=lambda content: 3 * content, byte_skip=str(2 * HU.size))
    ),
    "nrrd packed in a file of several": ScanInput(
        nrrd(encoding="gzip", pack=lambda content: gzip.compress(3 * content), byte_skip=str(2 * HU.size))
    ),
    "nrrd from the end": ScanInput(nrrd(pack=lambda content: b"skipme" + content, byte_skip="-1")),
    "nrrd in centimetres": ScanInput(nrrd(scale=0.1, space_units='"cm" "cm" "cm"'), remarks=("it is in cm",)),
    "nrrd with a list of one": ScanInput(
        nrrd(
            data=HU[np.newaxis],
            dimension="4",
            space_directions="none "
            + " ".join(
                f"({','.join(f'{value:.17g}' for value in step)})"
                for step in (matrix()[:, :3] * LPS[:, np.newaxis]).T
            ),
        )
    ),
    "nrrd with returns": ScanInput(
        lambda folder: changed(nrrd()(folder), lambda content: content.replace(b"\n", b"\r\n", 11)),
    ),
    "nrrd without a space": ScanInput(
        nrrd(space=None, dimension="3\nspace dimension: 3"), remarks=("does not say its space, taken as LPS",)
    ),
    "nrrd scanner": ScanInput(nrrd(space="scanner-xyz"), refusal="lies in the space scanner-xyz"),
    "nrrd without directions": ScanInput(
        nrrd(left_out=("space directions", "space origin", "space"), spacings="2 1.5 3"),
        refusal="left and right are unknown",
    ),
    "nrrd four axes": ScanInput(
        nrrd(
            data=np.stack([HU, HU]),
            dimension="4",
            space_directions="none (2,0,0) (0,2,0) (0,0,2)",
        ),
        refusal="expected one volume of 3 axes",
    ),
    "nrrd cut short": ScanInput(nrrd(pack=lambda content: content[:-99]), refusal="is cut short"),
    "nrrd packed and cut short": ScanInput(
        nrrd(encoding="gzip", pack=lambda content: gzip.compress(content)[:-999]), refusal="is cut short"
    ),
    "nrrd whose checksum is another": ScanInput(
        nrrd(encoding="gzip", pack=lambda content: gzip.compress(content)[:-8] + b"12345678"),
        refusal="cannot be read as NRRD",
    ),
    "nrrd packed of twice the bytes": ScanInput(
        nrrd(encoding="gzip", pack=lambda content: gzip.compress(2 * content)),
        refusal="holds 2 times the 84480 bytes of the voxels",
    ),
    "nrrd packed after a head": ScanInput(
        nrrd(encoding="gzip", pack=lambda content: gzip.compress(b"head" + content), extra=("byte skip: 4",))
    ),
    "nrrd packed from the end": ScanInput(
        nrrd(encoding="gzip", pack=lambda content: gzip.compress(b"head" + content), extra=("byte skip: -1",))
    ),
    "nrrd unknown packing": ScanInput(nrrd(encoding="zrl"), refusal="is packed as zrl"),
    "nrrd without its voxels": ScanInput(
        lambda folder: without_file(nrrd("x.nhdr", files="x.raw")(folder), "x.raw"),
        refusal="names the file x.raw for its voxels, which is not there",
    ),
    "nrrd flat": ScanInput(
        nrrd(space_directions="(2,0,0) (2,0,0) (0,0,3)"), refusal="singular set of directions"
    ),
    "nrrd with a field twice": ScanInput(nrrd(extra=("type: short",)), refusal="says its type twice"),
    "nrrd of blocks": ScanInput(nrrd(type="block"), refusal="has voxels of type block"),
}
