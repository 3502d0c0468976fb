"""`deeds invert` against files: a map whose inverse is known, scipy's interpolation, what it says and refuses."""

import nibabel
import numpy as np
import pytest
from run_deeds import assert_takes, refused, run
from scipy.ndimage import map_coordinates

SHAPE = (40, 36, 30)
ANGLE = np.deg2rad(20.0)
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1]])
AFFINE = np.eye(4)
AFFINE[:3, :3] = TURN @ np.diag([2.0, 2.5, 3.0])
AFFINE[:3, 3] = -AFFINE[:3, :3] @ (np.array(SHAPE) - 1) / 2
LPS = np.array([-1, -1, 1])


def save_vectors(path, vectors_ras, *, intent=1007, affine=AFFINE):
    image = nibabel.Nifti1Image((vectors_ras * LPS).astype(np.float32)[:, :, :, None], affine)
    image.header.set_intent(intent)
    image.to_filename(path)
    return path


def load_vectors(path):
    image = nibabel.load(path)
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-4)
    return np.asarray(image.dataobj, np.float64)[:, :, :, 0] * LPS


def places_mm():
    return np.moveaxis(np.indices(SHAPE), 0, -1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]


def bent(points, sign=1.0):
    """Points turned by seven degrees, then bent: each moves along z by a wave of its x, which is undone exactly."""
    turn = np.deg2rad(7.0)
    matrix = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])

    def wave(of):
        return np.stack([0 * of[..., 0], 0 * of[..., 0], 4 * np.sin(of[..., 0] / 25)], axis=-1)

    if sign > 0:
        turned = points @ matrix.T
        return turned + wave(turned)
    return (points - wave(points)) @ matrix


def left_mm(field, inverse):
    """How far off the way there and back ends, by scipy: what is beyond the field stays where it is."""
    back_vox = inverse @ np.linalg.inv(AFFINE[:3, :3]).T
    places = np.indices(SHAPE) + np.moveaxis(back_vox, -1, 0)
    there = [map_coordinates(field[..., n], places, order=1, mode="constant") for n in range(3)]
    return np.linalg.norm(np.moveaxis(there, 0, -1) + inverse, axis=-1)


def smooth(height_mm):
    """Return a field that is zero at its border."""
    window = np.prod(
        np.meshgrid(*[np.sin(np.linspace(0, np.pi, n)) ** 2 for n in SHAPE], indexing="ij"), axis=0
    )
    waves = np.stack([np.sin(places_mm()[..., n] / 6 + n) for n in (1, 2, 0)], axis=-1)
    return height_mm * window[..., None] * waves


def test_a_turn_and_a_bend_are_undone(tmp_path):
    points = places_mm()
    field = save_vectors(tmp_path / "field.nii", bent(points) - points)
    run("invert", "--field", field, "--displacements", tmp_path / "back.nii")
    found = points + load_vectors(tmp_path / "back.nii")
    inner = (slice(8, -8),) * 3
    # The field is linear between vectors: a wave 25 mm long leaves 4 / 25^2 / 8 * (spacing)^2 = 0.006 mm.
    np.testing.assert_allclose(found[inner], bent(points, -1.0)[inner], atol=0.015)


@pytest.mark.parametrize("name", ["back.nii", "back.nii.gz"])
def test_the_way_there_and_back_ends_within_the_tolerance(tmp_path, name):
    field = smooth(3.0).astype(np.float32).astype(np.float64)
    path = save_vectors(tmp_path / "field.nii.gz", field)
    done = run("invert", "--field", path, "-D", tmp_path / name, "--tolerance", "0.002")
    assert not done.stderr
    assert np.abs(field).max() > 2.0
    assert left_mm(field, load_vectors(tmp_path / name)).max() < 0.0021


def test_places_that_are_not_reached_are_said(tmp_path):
    field = smooth(30.0).astype(np.float32).astype(np.float64)
    path = save_vectors(tmp_path / "field.nii", field)
    done = run("invert", "--field", path, "-D", tmp_path / "back.nii", "--quiet", "--tolerance", "0.01")
    left = left_mm(field, load_vectors(tmp_path / "back.nii"))
    said = done.stderr.split(" off at ")[1].split()
    assert len(done.stderr.splitlines()) == 1
    assert abs(int(said[0]) - (left > 0.01).sum()) <= 0.02 * int(said[0])
    assert int(said[0]) > 50
    assert f"{np.prod(SHAPE)} places" in done.stderr
    assert float(done.stderr.split("), ")[1].split()[0]) == pytest.approx(left.max(), rel=1e-3)


def test_threads_and_formats_change_no_bit(tmp_path):
    path = save_vectors(tmp_path / "field.nii", smooth(12.0))
    packed = save_vectors(tmp_path / "field.nii.gz", smooth(12.0))
    for name, source, threads in (("a", path, 1), ("b", path, 3), ("c", packed, 2)):
        run("invert", "--field", source, "-D", tmp_path / f"{name}.nii", "--threads", threads)
    assert len({(tmp_path / f"{name}.nii").read_bytes() for name in "abc"}) == 1


def test_the_memory_that_is_counted_is_what_it_takes(tmp_path):
    shape = (160, 128, 112)
    field = save_vectors(tmp_path / "field.nii", np.zeros((*shape, 3)))
    command = ("invert", "--field", field, "-D", tmp_path / "back.nii")
    counted = np.prod(shape) * 28 / 2**20
    refused(*command, "--memory-limit", counted - 0.1, names=[field, f"need {int(counted) + 1} MiB"])
    assert not (tmp_path / "back.nii").exists()
    assert_takes(counted, *command, "--memory-limit", counted + 0.1)


def test_what_is_no_such_field_is_refused(tmp_path):
    out = tmp_path / "out" / "back.nii"
    out.parent.mkdir()
    vectors = smooth(3.0)
    good = save_vectors(tmp_path / "good.nii", vectors)
    cut = tmp_path / "cut.nii"
    cut.write_bytes(good.read_bytes()[:-400])
    scalar = tmp_path / "scalar.nii"
    nibabel.Nifti1Image(vectors[..., 0].astype(np.float32), AFFINE).to_filename(scalar)
    vectors[3, 4, 5, 1] = np.nan
    cases = {
        cut: "truncated",
        scalar: "field of vectors",
        save_vectors(tmp_path / "ras.nii", smooth(3.0), intent=1006): "1006",
        save_vectors(tmp_path / "nan.nii", vectors): "NaN",
        tmp_path / "none.nii": "No such file",
    }
    for path, says in cases.items():
        refused("invert", "--field", path, "-D", out, names=[path, says])
    refused("invert", "--field", good, "-D", out, "--tolerance", "0", names=["--tolerance", "0"])
    refused("invert", "--field", good, names=["--displacements"])
    refused("invert", "--field", good, "-D", tmp_path / "back.txt", names=["back.txt"])
    assert not list(out.parent.iterdir())
