"""The marked scan as MetaImage (https://itk.org/Wiki/MetaIO/Documentation)."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.scan_inputs.marked_scan import (
    DIRECTIONS,
    HU,
    LPS,
    MARKS_MM,
    MARKS_VOX,
    ORIGIN_MM,
    SPACING_MM,
    ScanInput,
)
from tests.scan_inputs.written_files import SLICE_FILES, as_text, without_file, write_parts


def metaimage(
    name: str = "x.mha",
    *,
    pack: Callable[[bytes], bytes] = bytes,
    files: str = "LOCAL",
    order: str = "<",
    dtype: str = "i2",
    data: NDArray | None = None,
    left_out: tuple[str, ...] = (),
    **changes: str,
) -> Callable[[Path], Path]:
    """Return a writer of a MetaImage file; `changes` are fields."""
    data = HU if data is None else data

    def write(folder: Path) -> Path:
        directions = (DIRECTIONS * LPS[:, np.newaxis]).T
        fields = {
            "ObjectType": "Image",
            "NDims": "3",
            "BinaryData": "True",
            "BinaryDataByteOrderMSB": str(order == ">"),
            "CompressedData": "False",
            "TransformMatrix": " ".join(f"{value:.12g}" for value in directions.ravel()),
            "Offset": " ".join(f"{value:.12g}" for value in ORIGIN_MM * LPS),
            "CenterOfRotation": "7 7 7",
            "AnatomicalOrientation": "RAI",
            "ElementSpacing": " ".join(map(str, SPACING_MM)),
            "DimSize": " ".join(map(str, data.shape)),
            "ElementType": "MET_SHORT",
        } | changes
        lines = [f"{key} = {value}" for key, value in fields.items() if key not in left_out]
        plain = data.astype(f"{order}{dtype}")
        path = folder / name
        header = ("\n".join(lines) + f"\nElementDataFile = {files}\n").encode()
        if files == "LOCAL":
            path.write_bytes(header + pack(plain.tobytes(order="F")))
        else:
            write_parts(folder, files, plain, pack)
            path.write_bytes(header)
        return path

    return write


METAIMAGE_INPUTS = {
    "mha": ScanInput(metaimage()),
    "mha packed": ScanInput(metaimage(pack=zlib.compress, CompressedData="True")),
    "mha big-endian": ScanInput(metaimage(order=">")),
    "mha text": ScanInput(metaimage(pack=as_text, BinaryData="False")),
    "mha of 32 bits": ScanInput(metaimage(dtype="i4", ElementType="MET_INT")),
    "mhd": ScanInput(metaimage("x.mhd", files="x.raw")),
    "mhd packed": ScanInput(metaimage("x.mhd", files="x.zraw", pack=zlib.compress, CompressedData="True")),
    "mhd with a head before the voxels": ScanInput(
        metaimage("x.mhd", files="x.raw", pack=lambda content: b"head" + 3 * content, HeaderSize="4")
    ),
    "mhd from the end": ScanInput(
        metaimage("x.mhd", files="x.raw", pack=lambda content: b"head" + content, HeaderSize="-1")
    ),
    "mhd a file a slice": ScanInput(metaimage("x.mhd", files=f"slice%02d.raw 0 {HU.shape[2] - 1} 1")),
    "mhd slices listed": ScanInput(metaimage("x.mhd", files=f"LIST 2\n{SLICE_FILES}")),
    "mha position": ScanInput(
        metaimage(left_out=("Offset",), Position=" ".join(f"{value:.12g}" for value in ORIGIN_MM * LPS))
    ),
    "mha element size": ScanInput(
        metaimage(left_out=("ElementSpacing",), ElementSize=" ".join(map(str, SPACING_MM)))
    ),
    "mha other word for its orientation": ScanInput(metaimage(AnatomicalOrientation="LPS")),
    "mha without directions": ScanInput(
        metaimage(left_out=("TransformMatrix",)),
        remarks=("its axes are taken as those of LPS",),
        marks_mm=ORIGIN_MM + MARKS_VOX * SPACING_MM * LPS,
    ),
    "mha without an origin": ScanInput(
        metaimage(left_out=("Offset",)),
        remarks=("it gives no origin",),
        marks_mm=MARKS_MM - ORIGIN_MM,
    ),
    "mha slope and offset": ScanInput(
        metaimage(
            data=HU + 1024,
            ElementToIntensityFunctionSlope="1",
            ElementToIntensityFunctionOffset="-1024",
        ),
        remarks=("ITK programs take them as stored",),
    ),
    "mha channels": ScanInput(metaimage(ElementNumberOfChannels="3"), refusal="has 3 channels"),
    "mha four axes": ScanInput(
        metaimage(
            NDims="4",
            data=np.stack([HU, HU], axis=-1),
            TransformMatrix=" ".join(
                "1" if row == column else "0" for row in range(4) for column in range(4)
            ),
            Offset="0 0 0 0",
            ElementSpacing="2 1.5 3 1",
        ),
        refusal="expected one volume of 3 axes",
    ),
    "mha sheared": ScanInput(
        metaimage(TransformMatrix="1 0 0 0.2 1 0 0 0 1"), refusal="expected three unit vectors"
    ),
    "mha without a spacing": ScanInput(
        metaimage(left_out=("ElementSpacing",)), refusal="does not say its spacing"
    ),
    "mha negative spacing": ScanInput(
        metaimage(ElementSpacing="-2 1.5 3"), refusal="expected positive numbers"
    ),
    "mha cut short": ScanInput(metaimage(pack=lambda content: content[:-99]), refusal="is cut short"),
    "mha of twice the bytes": ScanInput(
        metaimage(dtype="i8", ElementType="MET_LONG"), refusal="holds 2 times the 168960 bytes of the voxels"
    ),
    "mha packed and cut short": ScanInput(
        metaimage(pack=lambda content: zlib.compress(content)[:-999], CompressedData="True"),
        refusal="is cut short",
    ),
    "mha that is not packed as it says": ScanInput(
        metaimage(CompressedData="True"), refusal="cannot be read as MetaImage"
    ),
    "mhd without its voxels": ScanInput(
        lambda folder: without_file(metaimage("x.mhd", files="x.raw")(folder), "x.raw"),
        refusal="names the file x.raw for its voxels",
    ),
}
