"""The wrapper of the registration program: the commands that it builds, the files, and what the program says."""

from pathlib import Path

import numpy as np
import pytest

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.registration.deeds_program import (
    run_deeds,
    run_descent,
    write_deeds_field,
)
from anatomical_embedding.registration.deformation import _fitting, deform
from anatomical_embedding.settings.field_descent import (
    FieldDescentPassSettings,
    FieldDescentSettings,
    FieldRoughnessSettings,
)
from anatomical_embedding.volumes.volume import Volume
from tests.registration_pairs import LINEAR, deeds_settings

FIXED, MOVING, LABELS = Path("a b/fixed.nii"), Path("moving.nii"), Path("labels.nii")


@pytest.fixture
def program(tmp_path):
    """Return a function that makes a program which notes its arguments, says something and ends."""

    def make(*, status=0, says="", complains=""):
        path = tmp_path / "program"
        path.write_text(
            "#!/bin/sh\n"
            f'printf "%s\\n" "$@" > {tmp_path}/arguments\n'
            f"printf '{says}'\nprintf '{complains}' >&2\nexit {status}\n",
            encoding="utf-8",
        )
        path.chmod(0o755)
        return path

    return make


def words(tmp_path):
    return (tmp_path / "arguments").read_text(encoding="utf-8").splitlines()


def registered(program, stem, *, moving_labels=None, with_image=True, **changes):
    run_deeds(
        program,
        FIXED,
        MOVING,
        output_stem=stem,
        settings=deeds_settings(**changes),
        moving_labels=moving_labels,
        with_image=with_image,
        threads=2,
    )


def test_register_names_every_setting(program, tmp_path):
    stem = tmp_path / "new" / "pair"
    registered(program(), stem, moving_labels=LABELS, start="centres", background=-7.5)
    assert words(tmp_path) == [
        *("register", "--fixed", "a b/fixed.nii", "--moving", "moving.nii", "--output", str(stem)),
        *("--labels", "labels.nii", "--resample", "--background=-7.5", "--alpha", "1.6"),
        *("--grid-spacing", "5x4x3", "--search-radius", "4x3x2", "--quantization", "2x1x1"),
        *("--align-centres", "--linear", "--linear-grid-spacing", "5x4"),
        *("--linear-search-radius", "4x3", "--linear-quantization", "2x1", "--threads", "2"),
    ]
    assert stem.parent.is_dir()


@pytest.mark.parametrize("is_linear", [False, True])
def test_a_linear_step_that_was_not_taken_leaves_no_files_of_an_earlier_one(program, tmp_path, is_linear):
    names = {"pair_matrix.txt", "pair_matrix.json"}
    for name in {*names, "other_matrix.txt"}:
        (tmp_path / name).touch()
    changes = {} if is_linear else {"linear": None}
    registered(program(), tmp_path / "pair", **changes)
    left = {path.name for path in tmp_path.glob("*_matrix.*")}
    assert left == {"other_matrix.txt"} | (names if is_linear else set())


def test_the_descent_names_every_setting(program, tmp_path):
    chosen = FieldDescentSettings(
        spacing_mm=3,
        control_step_vox=2,
        passes=(
            FieldDescentPassSettings(smooth_mm=3, window_mm=10, num_steps=3),
            FieldDescentPassSettings(smooth_mm=0, window_mm=6.5, num_steps=4),
        ),
        contrast_mm=6,
        noise=20,
        stiffness=0.05,
        start_smooth_mm=4,
        largest_step_mm=5,
        roughness=FieldRoughnessSettings(window_mm=8, wall_mm=0.3),
    )
    run_descent(
        program(),
        FIXED,
        MOVING,
        stem=Path("results/pair"),
        output=Path("out.nii"),
        region=Path("region.nii"),
        evidence=Path("seen"),
        settings=chosen,
        threads=2,
    )
    assert words(tmp_path) == [
        *("descend", "--field", "results/pair", "--fixed", "a b/fixed.nii", "--moving", "moving.nii"),
        *(
            "--displacements",
            "out.nii",
            "--region",
            "region.nii",
            "--evidence",
            "seen",
            "--control-step",
            "2",
        ),
        *(
            "--smooth",
            "3.0x0.0",
            "--window",
            "10.0x6.5",
            "--steps",
            "3x4",
            "--contrast",
            "6.0",
            "--noise",
            "20.0",
        ),
        *("--stiffness", "0.05", "--start-smooth", "4.0", "--largest-step", "5.0"),
        *("--rough-window", "8.0", "--wall", "0.3", "--threads", "2", "--quiet"),
    ]


@pytest.mark.parametrize(
    ("changes", "given", "absent"),
    [
        ({"linear": None}, "--resample", {"--linear", "--rigid", "--linear-grid-spacing", "--labels"}),
        ({"linear": LINEAR | {"kind": "rigid"}}, "--rigid", {"--linear", "--align-centres"}),
        ({"start": "centres"}, "--align-centres", {"--rigid"}),
    ],
)
def test_register_leaves_out_what_is_not_asked_for(program, tmp_path, changes, given, absent):
    registered(program(), tmp_path / "pair", **changes)
    assert given in words(tmp_path)
    assert not absent & set(words(tmp_path))


def test_the_image_can_be_left_out(program, tmp_path):
    registered(program(), tmp_path / "pair", with_image=False)
    assert "--without-image" in words(tmp_path)


def test_the_field_is_asked_for_by_the_stem(program, tmp_path):
    write_deeds_field(program(), Path("out.nii.gz"), stem=Path("results/pair"), grid=FIXED)
    assert words(tmp_path) == [
        *("field", "--field", "results/pair", "--fixed", "a b/fixed.nii"),
        *("--displacements", "out.nii.gz"),
    ]


def test_the_program_is_heard(program, tmp_path, capfd):
    write_deeds_field(program(says="one\\ntwo\\n"), Path("out.nii"), stem=Path("pair"), grid=FIXED)
    said = capfd.readouterr()
    assert said.out == ""
    assert [line.split(" ", 1)[1] for line in said.err.splitlines()] == ["deeds: one", "deeds: two"]


def test_refused_input_is_an_error_of_the_user(program):
    with pytest.raises(UserError, match=r"^deeds: moving\.nii: is constant$"):
        write_deeds_field(
            program(status=2, complains="deeds: moving.nii: is constant\\n"), MOVING, stem=MOVING, grid=FIXED
        )


def test_a_defect_of_the_program_is_none_of_the_user(program):
    with pytest.raises(RuntimeError, match="deeds field ended with status 1: oh"):
        write_deeds_field(program(status=1, complains="oh\\n"), MOVING, stem=MOVING, grid=FIXED)


@pytest.mark.parametrize(
    ("sent", "kind", "said"),
    [
        ("KILL", InputFileError, "ended by signal 9 while it ran 'register', as where memory runs out"),
        ("TERM", InputFileError, "ended by signal 15 while it ran 'register', from without"),
        ("SEGV", RuntimeError, "register ended with status -11"),  # a defect
    ],
)
def test_a_program_that_was_killed_is_told_in_one_line(tmp_path, sent, kind, said):
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\nulimit -c 0\nkill -{sent} $$\n", encoding="utf-8")
    path.chmod(0o755)
    with pytest.raises(kind, match=said):
        registered(path, tmp_path / "x")


def test_a_missing_program_is_named(tmp_path):
    with pytest.raises(InputFileError, match="absent: no such program; build it with cmake"):
        write_deeds_field(tmp_path / "absent", MOVING, stem=MOVING, grid=FIXED)


def test_the_program_takes_the_commands(binary, tmp_path):
    """The built program knows every option; it stops only at the first file, which is missing."""
    for changes in (
        {"linear": LINEAR, "start": "centres"},
        {"linear": LINEAR | {"kind": "rigid"}},
        {"linear": None},
    ):
        with pytest.raises(UserError, match=r"deeds: a b/fixed\.nii: .*No such file"):
            registered(binary, tmp_path / "pair", moving_labels=LABELS, with_image=False, **changes)
    with pytest.raises(UserError, match=r"pair_displacements\.dat"):
        write_deeds_field(binary, tmp_path / "out.nii", stem=tmp_path / "pair", grid=FIXED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("scale", "is_asked"), [(1.0, True), (1.1, False)])
def test_deeds_takes_a_linear_step_after_rigid_starts_alone(program, tmp_path, scale, is_asked):
    """After a start that scales it brings nothing. The program here fails, and has noted what it was asked."""
    scan = Volume(
        np.random.default_rng(0).normal(size=(42, 42, 42)).astype(np.float32), np.diag([4.0, 4, 4, 1])
    )
    with pytest.raises(RuntimeError, match="register ended with status 1"):
        deform(
            program(status=1),
            scan,
            scan,
            matrix=np.diag([scale, 1.0, 1.0, 1.0]),
            moving_labels=None,
            settings=deeds_settings(linear=LINEAR),
            output_stem=tmp_path / "pair" / "registered",
            threads=1,
            modalities=("ct", "ct"),
            with_image=False,
        )
    asked = (tmp_path / "arguments").read_text(encoding="utf-8").splitlines()
    assert ("--linear" in asked) == is_asked


def thin_settings():
    """Return settings whose levels ask for 24, 18 and 12 voxels, and their linear step for 42 and 30."""
    levels = {"grid_spacing_vox": [8, 6, 4], "search_radius": [3, 2, 1], "quantization_vox": [3, 2, 1]}
    steps = {
        "grid_spacing_vox": [7, 5],
        "search_radius": [5, 4],
        "quantization_vox": [4, 3],
        "kind": "affine",
    }
    return deeds_settings(linear=steps, **levels)


def in_thin_part(program, tmp_path, depth):
    """Run `deform` on volumes of some voxels along one axis."""
    scan = np.random.default_rng(0).normal(size=(42, 42, depth)).astype(np.float32)
    volume = Volume(scan, np.diag([2.0, 2.0, 3.0, 1.0]))
    deform(
        program(status=1),
        volume,
        volume,
        matrix=np.eye(4),
        moving_labels=None,
        settings=thin_settings(),
        output_stem=tmp_path / "pair" / "registered",
        threads=1,
        modalities=("ct", "ct"),
        with_image=False,
    )


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (42, ("8x6x4", "3x2x1", "3x2x1", "7x5", "5x4", "4x3")),
        (41, ("8x6x4", "3x2x1", "3x2x1", "5", "4", "3")),
        (24, ("8x6x4", "3x2x1", "3x2x1", None, None, None)),
        (18, ("6x4", "2x1", "2x1", None, None, None)),
        (12, ("4", "1", "1", None, None, None)),
    ],
)
def test_levels_too_coarse_for_a_thin_part_are_left_out(program, tmp_path, depth, expected):
    """Three control points along each axis: 24 voxels in steps of 8. Six of the linear step: 42 in steps of 7."""
    with pytest.raises(RuntimeError, match="register ended with status 1"):
        in_thin_part(program, tmp_path, depth)
    asked = (tmp_path / "arguments").read_text(encoding="utf-8").splitlines()
    names = ("grid-spacing", "search-radius", "quantization")
    options = [f"--{kind}{name}" for kind in ("", "linear-") for name in names]
    assert expected == tuple(asked[asked.index(name) + 1] if name in asked else None for name in options)


@pytest.mark.parametrize(
    ("depth", "left_out"),
    [
        (42, ""),
        (41, "the coarsest levels of the linear step"),
        (24, "the linear step"),
        (18, "the coarsest levels, the linear step"),
    ],
)
def test_what_is_left_out_of_a_thin_part_is_said(depth, left_out):
    volume = Volume(np.zeros((42, 42, depth), np.float32), np.diag([2.0, 2.0, 3.0, 1.0]))
    said = (
        f"both scans show 84 x 84 x {3 * depth} mm of one place; left out as too coarse for that: {left_out}"
    )
    assert _fitting(thin_settings(), volume, pair="pair")[1] == ((said,) if left_out else ())


def test_a_part_too_thin_for_control_points_is_told_in_mm(program, tmp_path):
    with pytest.raises(UserError) as caught:
        in_thin_part(program, tmp_path, 11)
    assert str(caught.value) == (
        "pair: both scans show 84 x 84 x 33 mm of one place, too little to be registered; expected 24 x 24 x 36 mm or "
        "more"
    )
