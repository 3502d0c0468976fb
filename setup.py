"""Build the registration program and put it into the wheel; everything else about the package is in pyproject.toml.

setuptools and this step rather than scikit-build-core: the editable install of that one puts a finder before
`PYTHONPATH`, so that a second checkout would import the first. An editable install builds nothing here: `make
environment` puts the program beside Python, and the workflow builds its own (`rules/build.smk`).
"""

import os
import shutil
import subprocess
from pathlib import Path

from setuptools import Command, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

SOURCES = Path("deeds")
PROGRAM = Path("anatomical_embedding", "bin", "deeds")
REASON = PROGRAM.with_name("why_no_deeds.txt")
"""Written in place of the program; `register` quotes it."""


class BuildDeeds(Command):
    """Compile `deeds` with CMake; where that is not possible, note why and leave the package pure Python."""

    description = "build the registration program"
    user_options: tuple[tuple[str, str, str], ...] = ()

    def initialize_options(self) -> None:
        """Set what setuptools asks of a step of `build`."""
        self.editable_mode = False
        self.build_lib: str | None = None
        self.build_temp: str | None = None

    def finalize_options(self) -> None:
        """Take the folders of `build`."""
        self.set_undefined_options("build", ("build_lib", "build_lib"), ("build_temp", "build_temp"))

    def run(self) -> None:
        """Write the program, or the reason why there is none, into the package that is built."""
        if self.editable_mode:
            return
        program, reason = self._places()
        program.parent.mkdir(parents=True, exist_ok=True)
        for old in (program, reason):
            old.unlink(missing_ok=True)
        missing = compile_program(program, build_folder=Path(str(self.build_temp), "cmake"))
        if missing:
            self.warn(f"the wheel comes without the registration program: {missing}")
            reason.write_text(f"{missing}\n", encoding="utf-8")

    def get_source_files(self) -> list[str]:
        """Return what a source archive must hold."""
        return sorted(map(str, [SOURCES / "CMakeLists.txt", *SOURCES.glob("src/*")]))

    def get_outputs(self) -> list[str]:
        """Return what was made."""
        return [str(path) for path in self._places() if path.exists()]

    def get_output_mapping(self) -> dict[str, str]:
        """Return which outputs are copies of sources: none."""
        return {}

    def _places(self) -> tuple[Path, Path]:
        """Return where the program is put, and where the reason is if there is none."""
        return Path(str(self.build_lib), PROGRAM), Path(str(self.build_lib), REASON)


def compile_program(program: Path, *, build_folder: Path) -> str:
    """Compile the program to a path, and return in one line why that was not possible; nothing if it was."""
    if shutil.which("cmake") is None:
        return "there was no CMake when it was built"
    shutil.rmtree(build_folder, ignore_errors=True)
    configure = ["cmake", "-S", SOURCES, "-B", build_folder, "-DDEEDS_TESTS=OFF"]
    compilation = ["cmake", "--build", build_folder, "--target", "deeds", "--parallel", os.cpu_count() or 1]
    for command in (configure, compilation):
        done = subprocess.run(  # noqa: S603
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            print(done.stdout)
            return f"CMake could not build it ({first_error(done.stdout)})"
    shutil.copy2(build_folder / "deeds", program)
    return ""


def first_error(said: str) -> str:
    """Return the first error in the output of CMake or a compiler, in one line."""
    lines = said.splitlines()
    begin = next((number for number, line in enumerate(lines) if "error" in line.lower()), 0)
    return " ".join(" ".join(lines[begin : begin + 3]).split())


class BuildWithProgram(build):
    """`build` with the program as its last step."""

    sub_commands = [*build.sub_commands, ("build_deeds", None)]  # noqa: RUF012


class PlatformWheel(bdist_wheel):
    """A wheel for one platform and every Python if the program is in it, for every platform if not."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tags of Python, its binary interface, and the platform."""
        if not Path(self.get_finalized_command("build").build_lib, PROGRAM).exists():
            return super().get_tag()
        self.root_is_pure = False
        return "py3", "none", super().get_tag()[2]


setup(cmdclass={"build": BuildWithProgram, "build_deeds": BuildDeeds, "bdist_wheel": PlatformWheel})
