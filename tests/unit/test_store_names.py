"""How `embed` names stores; none of another scan is written over."""

import shutil
from pathlib import Path

import numpy as np

from anatomical_embedding import api
from anatomical_embedding.usage import stores
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.scan import distinct_names, scan_name
from tests.command import refusal_of
from tests.packaged_model import body_scan, write_dicom_series
from tests.scans_and_stores import (
    answer_and_notes,
    fixture_folder,  # noqa: F401
    model_of,
)


def test_a_store_of_another_scan_is_never_written_over(folder, tmp_path, capsys):
    paths = []
    for name, source in (("a", "first"), ("b", "second")):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / "ct.nii.gz")
        shutil.copy(folder / f"{source}.nii.gz", paths[-1])
    output = tmp_path / "stores"
    embed = ["embed", *model_of(folder), "--output", output]
    (first,), notes = answer_and_notes(capsys, [*embed, paths[0]])
    assert (first["store"], first["remarks"], notes) == (str(output / "ct.safetensors"), [], [])
    before = (output / "ct.safetensors").read_bytes()
    for _ in range(2):  # the second time both are stored already
        (second,), notes = answer_and_notes(capsys, [*embed, paths[1]])
        assert second["store"] == str(output / "b_ct.safetensors")
        assert second["remarks"] == notes
        assert notes[0].startswith(
            f"{output / 'ct.safetensors'} holds another scan, or an earlier version of {paths[1]}"
        )
    assert (output / "ct.safetensors").read_bytes() == before
    model = api.load_model(folder / "tiny.safetensors")
    for entry, path in ((first, paths[0]), (second, paths[1])):
        opened = api.open_embedding(model, entry["store"])
        np.testing.assert_allclose(
            opened.embedded.affine[:3, :3], read_volume(path).affine[:3, :3], atol=1e-5
        )
        assert opened.body_mask is not None
    places = [api.open_embedding(model, entry["store"]).embedded.affine[:3, 3] for entry in (first, second)]
    assert np.linalg.norm(places[0] - places[1]) > 100  # the worlds of the two scans
    (output / "b_ct.safetensors").unlink()
    shutil.copy(output / "ct.safetensors", output / "b_ct.safetensors")
    assert "ct.safetensors hold other scans" in refusal_of(capsys, [*embed, paths[1]])


def test_a_store_that_another_command_writes_meanwhile_is_not_written_over(
    folder, tmp_path, capsys, monkeypatch
):
    """Each of two scans of one name finds no store when it begins, as where jobs embed a patient each."""
    for name, source in (("a", "first"), ("b", "second")):
        (tmp_path / name).mkdir()
        shutil.copy(folder / f"{source}.nii.gz", tmp_path / name / "ct.nii.gz")
    output = tmp_path / "stores"
    embed = ["embed", *model_of(folder), "--output", output]
    embedded = stores.embed_raw_scan

    def beside_another(*arguments, **options):
        monkeypatch.setattr(stores, "embed_raw_scan", embedded)
        answer_and_notes(capsys, [*embed, tmp_path / "b" / "ct.nii.gz"])
        return embedded(*arguments, **options)

    monkeypatch.setattr(stores, "embed_raw_scan", beside_another)
    (entry,), _ = answer_and_notes(capsys, [*embed, tmp_path / "a" / "ct.nii.gz"])
    assert entry["store"] == str(output / "a_ct.safetensors")
    assert (output / "ct.safetensors").exists()


def test_a_model_in_the_folder_is_not_written_over(folder, tmp_path, capsys):
    output = tmp_path / "models"
    output.mkdir()
    shutil.copy(folder / "tiny.safetensors", output / "scan.safetensors")
    shutil.copy(folder / "first.nii.gz", tmp_path / "scan.nii.gz")
    (entry,), _ = answer_and_notes(
        capsys, ["embed", tmp_path / "scan.nii.gz", *model_of(folder), "--output", output]
    )
    assert Path(entry["store"]).name == f"{tmp_path.name}_scan.safetensors"
    api.load_model(output / "scan.safetensors")


def test_a_folder_is_called_by_its_own_name_from_within(folder, tmp_path, capsys, monkeypatch):
    volume = body_scan(offset_vox=(2, 2, 2), affine=np.diag([-4.0, -4.0, 4.25, 1.0]))
    series = write_dicom_series(volume, tmp_path / "series_3")
    monkeypatch.chdir(series)
    assert [scan_name(text) for text in (".", "./", "../series_3/")] == ["series_3"] * 3
    (series / "below").mkdir()
    monkeypatch.chdir(series / "below")
    assert (scan_name(".."), distinct_names([".", ".."])) == ("series_3", ["below", "series_3"])
    (series / "below").rmdir()
    monkeypatch.chdir(series)
    (entry,), _ = answer_and_notes(capsys, ["embed", ".", *model_of(folder), "--output", tmp_path / "out"])
    assert entry["store"] == str(tmp_path / "out" / "series_3.safetensors")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "series_3.body_mask.nii.gz",
        "series_3.safetensors",
    ]


def test_scans_with_capital_endings_are_scans(folder, tmp_path, capsys):
    shutil.copy(folder / "first.nii.gz", tmp_path / "X.NII.GZ")
    (entry,), _ = answer_and_notes(
        capsys, ["embed", tmp_path / "X.NII.GZ", *model_of(folder), "--output", tmp_path]
    )
    assert Path(entry["store"]).name == "X.safetensors"
    assert distinct_names(["a/CT.NII", "b/ct.nii.gz"]) == ["a_CT", "b_ct"]
