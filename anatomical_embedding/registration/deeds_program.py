"""The program `deeds` as typed functions: command line, progress and errors.

The functions take the path of the built program first. Input that the program refuses raises `UserError` with the one
line that the program wrote. Its files are described in `deeds/README.md`.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.progress import log
from anatomical_embedding.settings.registration import DeedsSettings

STATUS_WRONG_INPUT = 2

PROGRAM_NAME = "deeds"
BUILD_HINT = "build it with cmake, see deeds/README.md"
SECONDS_FOR_A_VERSION = 30.0

Direction = Literal["fixed-to-moving", "moving-to-fixed"]


@dataclass(frozen=True)
class RegistrationFiles:
    """The files of one registration, all named after a stem.

    Attributes
    ----------
    stem : what the names begin with, the folder included.
    """

    stem: Path

    @property
    def displacements(self) -> Path:
        """Displacements of the control points, raw float32."""
        return self._named("_displacements.dat")

    @property
    def sidecar(self) -> Path:
        """Geometry of the registration as JSON."""
        return self._named("_displacements.json")

    @property
    def deformed_image(self) -> Path:
        """The moving volume on the fixed grid."""
        return self._named("_deformed.nii.gz")

    @property
    def deformed_labels(self) -> Path:
        """The moving labels on the fixed grid; written if labels were given."""
        return self._named("_deformed_seg.nii.gz")

    def _named(self, ending: str) -> Path:
        return self.stem.with_name(self.stem.name + ending)


def require_program(program: Path) -> None:
    """Refuse a program that does not run or is another one, before work is done for it: ask for its version.

    Raises
    ------
    InputFileError
        saying why it does not run.
    """
    done = _ended(program, ["--version"], timeout=SECONDS_FOR_A_VERSION)
    if done.returncode != 0 or not done.stdout.startswith(f"{PROGRAM_NAME} "):
        says = " ".join((done.stderr or done.stdout).split()) or f"status {done.returncode}"
        raise InputFileError(
            program, f"does not say the version of deeds when it is asked ({says}); {BUILD_HINT}"
        )


def register(
    program: Path,
    fixed: Path,
    moving: Path,
    *,
    output_stem: Path,
    settings: DeedsSettings,
    moving_labels: Path | None,
    threads: int,
) -> RegistrationFiles:
    """Register two volumes and return the files that were written.

    Parameters
    ----------
    program : the built program.
    fixed, moving : volumes of any size and orientation; the registration runs on the fixed grid.
    output_stem : what the names of the outputs begin with; the folder is made.
    settings : levels, smoothness and the linear step.
    moving_labels : label map of the moving volume to carry along; None for none.
    threads : threads to use; the result does not depend on them.

    Raises
    ------
    UserError
        with the program's sentence, if it refuses the input.
    """
    output_stem.parent.mkdir(parents=True, exist_ok=True)
    labels: list[str | Path] = [] if moving_labels is None else ["--labels", moving_labels]
    pair = ["--fixed", fixed, "--moving", moving, "--output", output_stem, *labels]
    _run(program, ["register", *pair, *_options(settings), "--threads", threads])
    return RegistrationFiles(output_stem)


def apply_to_image(program: Path, image: Path, output: Path, *, stem: Path, background: float) -> None:
    """Carry an image of the moving side onto the fixed grid, interpolated linearly.

    Parameters
    ----------
    program : the built program.
    image : any geometry.
    output : `.nii` or `.nii.gz` to write.
    stem : of the registration.
    background : value where the image does not reach.

    Raises
    ------
    UserError
        with the program's sentence, if it refuses the input.
    """
    _run(program, [*_apply(image, output, stem), "--background", background])


def apply_to_labels(program: Path, labels: Path, output: Path, *, stem: Path) -> None:
    """Carry a label map of the moving side onto the fixed grid, the nearest label; errors as `apply_to_image`."""
    _run(program, [*_apply(labels, output, stem), "--labels"])


def carry_points(program: Path, points: Path, output: Path, *, stem: Path, direction: Direction) -> None:
    """Carry the points of a CSV file (x_mm, y_mm, z_mm, world RAS+) and keep its other columns.

    Parameters
    ----------
    program : the built program.
    points, output : tables to read and to write.
    stem : of the registration.
    direction : which way.

    Raises
    ------
    UserError
        with the program's sentence, if it refuses the input.
    """
    _run(program, ["points", "-O", stem, "--input", points, "--output", output, "--direction", direction])


def write_field(program: Path, output: Path, *, stem: Path) -> None:
    """Write the whole map as a displacement field that ITK programs read: fixed grid, mm, LPS.

    Raises
    ------
    UserError
        with the program's sentence, if it refuses the input.
    """
    _run(program, ["field", "-O", stem, "--displacements", output])


def _apply(moving: Path, output: Path, stem: Path) -> list[str | Path]:
    return ["apply", "--moving", moving, "--output", output, "--field", stem]


def _options(settings: DeedsSettings) -> list[str | float]:
    """Return the options of `register` that the settings ask for."""
    options: list[str | float] = [
        "--resample",
        f"--background={settings.background}",
        "--alpha",
        settings.alpha,
    ]
    options += ["--grid-spacing", _list(settings.grid_spacing_vox)]
    options += ["--search-radius", _list(settings.search_radius)]
    options += ["--quantization", _list(settings.quantization_vox)]
    if settings.start == "centres":
        options.append("--align-centres")
    if settings.linear is not None:
        options.append({"affine": "--linear", "rigid": "--rigid"}[settings.linear.kind])
        options += ["--linear-grid-spacing", _list(settings.linear.grid_spacing_vox)]
        options += ["--linear-search-radius", _list(settings.linear.search_radius)]
        options += ["--linear-quantization", _list(settings.linear.quantization_vox)]
    return options


def _list(values: Sequence[int]) -> str:
    return "x".join(map(str, values))


def _run(program: Path, arguments: Sequence[str | Path | float]) -> None:
    """Run the program and pass what it says on to the log."""
    done = _ended(program, arguments, timeout=None)
    for line in done.stdout.splitlines():
        log(f"deeds: {line}")
    if done.returncode == STATUS_WRONG_INPUT:
        raise UserError(done.stderr.strip())
    if done.returncode != 0:
        raise RuntimeError(f"deeds {arguments[0]} ended with status {done.returncode}: {done.stderr.strip()}")


def _ended(
    program: Path, arguments: Sequence[str | Path | float], *, timeout: float | None
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end and return what it said."""
    if not program.is_file():
        raise InputFileError(program, f"no such program; {BUILD_HINT}")
    try:
        # The program is one that the caller built; arguments are no shell text.
        return subprocess.run(  # noqa: S603
            [str(program.resolve()), *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not answer"
        raise InputFileError(program, f"cannot be run ({reason}); {BUILD_HINT}") from error
