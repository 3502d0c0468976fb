"""The launcher of the tests' compiler: builds at the same time compile a source once."""

import os
import subprocess
import sys

from tests import compile_once

COMPILER = """#!/bin/sh
echo called >> {notes}
sleep 0.5
echo "object of $8" > "$6"
echo "$6: $8" > "$4"
"""


def test_builds_at_the_same_time_compile_a_source_once(tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text(COMPILER.format(notes=tmp_path / "notes"), encoding="utf-8")
    compiler.chmod(0o755)
    builds = []
    for name in ("one", "two"):
        source = tmp_path / name / "deeds" / "src" / "warp.cpp"
        source.parent.mkdir(parents=True)
        source.write_text("int warped();", encoding="utf-8")
        words = ["-O3", "-MD", "-MF", "warp.d", "-o", "warp.o", "-c", str(source)]
        builds.append(
            subprocess.Popen(
                [sys.executable, "-I", "-S", compile_once.__file__, str(compiler), *words],
                cwd=tmp_path / name,
                env=os.environ | {compile_once.FOLDER: str(tmp_path / "kept")},
            )
        )
    assert [build.wait() for build in builds] == [0, 0]
    assert (tmp_path / "notes").read_text(encoding="utf-8") == "called\n"
    objects = [(tmp_path / name / "warp.o").read_text(encoding="utf-8") for name in ("one", "two")]
    assert objects[0] == objects[1] != ""
    needed = (tmp_path / "two" / "warp.d").read_text(encoding="utf-8")
    assert needed == f"warp.o: {tmp_path}/two/deeds/src/warp.cpp\n"
