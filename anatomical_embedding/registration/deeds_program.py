"""The program `deeds` as typed functions: command line, progress and errors.

The functions take the path of the built program first. Input that the program refuses raises `UserError` with the one
line that the program wrote. Its files are described in `deeds/README.md`.
"""

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.progress import log
from anatomical_embedding.settings.field_descent import FieldDescentSettings
from anatomical_embedding.settings.registration import DeedsSettings

STATUS_WRONG_INPUT = 2
ENDED_BY: dict[int, str] = {
    signal.SIGKILL: "as where memory runs out",
    signal.SIGTERM: "from without",
    signal.SIGINT: "from without",
}
"""Signals that tell of no defect of the program."""
MATRIX_ENDINGS = ("_matrix.txt", "_matrix.json")
"""Of what a linear step writes behind the stem."""

PROGRAM_NAME = "deeds"
FIRST_WITH_INVERT = [0, 2]
"""Version of the program that has the command `invert`."""
BUILD_HINT = "build it with cmake, see deeds/README.md"
SECONDS_FOR_A_VERSION = 30.0


class RefusedScansError(UserError):
    """The program cannot register two scans as they are, on whatever machine; the message is its sentence."""


def require_program(program: Path) -> None:
    """Refuse a program that does not run, is another or too old, before work is done for it: ask for its version.

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
    version = done.stdout.removeprefix(PROGRAM_NAME).strip()
    if [int(part) for part in re.findall(r"\d+", version)] < FIRST_WITH_INVERT:
        raise InputFileError(
            program, f"is deeds {version}, which cannot invert a field; build it again, see deeds/README.md"
        )


def run_deeds(
    program: Path,
    fixed: Path,
    moving: Path,
    *,
    output_stem: Path,
    settings: DeedsSettings,
    moving_labels: Path | None,
    with_image: bool,
    threads: int,
    is_quiet: bool = False,
) -> None:
    """Register two volumes; the files that are written are named after a stem.

    Those of a linear step that an earlier registration took there and this one does not are removed.

    Parameters
    ----------
    program : the built program.
    fixed, moving : volumes of any size and orientation; the registration runs on the fixed grid.
    output_stem : what the names of the outputs begin with; the folder is made.
    settings : levels, smoothness and the linear step.
    moving_labels : label map of the moving volume to carry along; None for none.
    with_image : whether the moving image is to be carried along, too.
    threads : threads to use; the result does not depend on them.
    is_quiet : whether the log tells nothing of it.

    Raises
    ------
    RefusedScansError
        if it refuses one of the volumes: of one slice, or without contrast.
    UserError
        with the program's sentence, if it refuses anything else, or has no room or memory.
    """
    output_stem.parent.mkdir(parents=True, exist_ok=True)
    labels: list[str | Path] = [] if moving_labels is None else ["--labels", moving_labels]
    pair = ["--fixed", fixed, "--moving", moving, "--output", output_stem, *labels]
    image = [] if with_image else ["--without-image"]
    try:
        _run(
            program, ["register", *pair, *_options(settings), *image, "--threads", threads, *_quiet(is_quiet)]
        )
    except UserError as error:
        if str(error).startswith(tuple(f"{PROGRAM_NAME}: {scan}" for scan in (fixed, moving))):
            raise RefusedScansError(str(error)) from error
        raise
    if settings.linear is None:
        for ending in MATRIX_ENDINGS:
            output_stem.with_name(output_stem.name + ending).unlink(missing_ok=True)


def write_deeds_field(program: Path, output: Path, *, stem: Path, grid: Path, is_quiet: bool = False) -> None:
    """Write the whole map as a displacement field that ITK programs read, mm, LPS.

    Parameters
    ----------
    program : the built program.
    output : NIfTI file to write.
    stem : of the registration.
    grid : image at whose voxels, in the fixed world, the displacements are written.
    is_quiet : whether the log tells nothing of it.

    Raises
    ------
    UserError
        with the program's sentence, if it refuses the input.
    """
    files: list[str | Path] = ["--field", stem, "--fixed", grid, "--displacements", output]
    _run(program, ["field", *files, *_quiet(is_quiet)])


def run_descent(
    program: Path,
    fixed: Path,
    moving: Path,
    *,
    stem: Path,
    output: Path,
    region: Path | None,
    evidence: Path | None,
    settings: FieldDescentSettings,
    threads: int,
) -> None:
    """Take a registration below a voxel, and write it as a displacement field at the control points, mm, LPS.

    Parameters
    ----------
    program : the built program.
    fixed : image whose voxels fill the cells round the control points.
    moving : image on any grid, in the same world.
    stem : of the registration.
    output : NIfTI file to write.
    region : mask of the control points round which the images are compared; None for all.
    evidence : what the names of the files of what the last step saw begin with; None for no such files.
    settings : windows and steps.
    threads : threads to use; the result does not depend on them.

    Raises
    ------
    UserError
        with the program's sentence, if it refuses the input.
    """
    options: list[str | Path | float] = [] if region is None else ["--region", region]
    options += [] if evidence is None else ["--evidence", evidence]
    options += ["--control-step", settings.control_step_vox]
    options += ["--smooth", _list([chosen.smooth_mm for chosen in settings.passes])]
    options += ["--window", _list([chosen.window_mm for chosen in settings.passes])]
    options += ["--steps", _list([chosen.num_steps for chosen in settings.passes])]
    options += [
        "--contrast",
        settings.contrast_mm,
        "--noise",
        settings.noise,
        "--stiffness",
        settings.stiffness,
    ]
    options += ["--start-smooth", settings.start_smooth_mm, "--largest-step", settings.largest_step_mm]
    if settings.roughness is not None:
        options += ["--rough-window", settings.roughness.window_mm]
        options += ["--wall", settings.roughness.wall_mm]
    files: list[str | Path | float] = [
        "--field",
        stem,
        "--fixed",
        fixed,
        "--moving",
        moving,
        "--displacements",
        output,
    ]
    # Its files are the caller's, who reads them: what they are called is nobody else's matter.
    _run(program, ["descend", *files, *options, "--threads", threads, "--quiet"])


def run_invert(program: Path, field: Path, *, output: Path) -> None:
    """Write the inverse of a displacement field, mm, LPS, on its grid; places without one are said in the log.

    Parameters
    ----------
    program : the built program.
    field : NIfTI file of the displacements.
    output : NIfTI file to write.

    Raises
    ------
    UserError
        with the program's sentence, if it refuses the input.
    """
    # What it says names the files, of which the caller's folder is nobody else's matter.
    names = ["--field", field.name, "--displacements", os.path.relpath(output, field.parent)]
    _run(program, ["invert", *names, "--quiet"], folder=field.parent)


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


def _quiet(is_quiet: bool) -> list[str]:
    return ["--quiet"] if is_quiet else []


def _list(values: Sequence[float]) -> str:
    return "x".join(map(str, values))


def _run(program: Path, arguments: Sequence[str | Path | float], *, folder: Path | None = None) -> None:
    """Run the program, in a folder where one is given, and pass what it says on to the log."""
    done = _ended(program, arguments, timeout=None, folder=folder)
    for line in done.stdout.splitlines():
        log(f"deeds: {line}")
    if done.returncode == STATUS_WRONG_INPUT:
        raise UserError(done.stderr.strip())
    if -done.returncode in ENDED_BY:
        raise InputFileError(
            program,
            f"was ended by signal {-done.returncode} while it ran {arguments[0]!r}, "
            f"{ENDED_BY[-done.returncode]}; run again",
        )
    if done.returncode != 0:
        raise RuntimeError(f"deeds {arguments[0]} ended with status {done.returncode}: {done.stderr.strip()}")
    for line in done.stderr.splitlines():
        log(line)


def _ended(
    program: Path,
    arguments: Sequence[str | Path | float],
    *,
    timeout: float | None,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end and return what it said."""
    if not program.is_file():
        raise InputFileError(program, f"no such program; {BUILD_HINT}")
    try:
        # The program is one that the caller built; arguments are no shell text.
        return subprocess.run(  # noqa: S603
            [str(program.resolve()), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=timeout,
            cwd=folder,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not answer"
        raise InputFileError(program, f"cannot be run ({reason}); {BUILD_HINT}") from error
