"""Scans that do not say all about themselves, through every door: what comes out, what is said, what decides."""

import json
import os
import struct
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from anatomical_embedding import api
from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.provenance import FOLDER_VARIABLE, read_manifests
from anatomical_embedding.report.sections.scan_remarks import scan_remarks
from anatomical_embedding.settings.pipeline import PipelineSettings
from anatomical_embedding.viewer.open_session import open_session
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.command import output_of, refusal_of, run
from tests.packaged_model import body_scan, scan_affine, write_model
from tests.unit.samples import prepare_settings, save_nifti
from tests.unit.test_nifti_geometry import UNITS, VOX_OFFSET

AFFINE = scan_affine(origin_mm=(90.0, 70.0, -60.0))
SHIFT_MM = np.array([40.0, -25.0, 60.0])
POINT = "10,0,30"
ABOVE_HU = "its values lie 1024 above HU"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a model, a CT in HU, and the same CT with a fault in each of several files."""
    folder = tmp_path_factory.mktemp("scan_options")
    write_model(folder)
    hu = body_scan(offset_vox=(2, 2, 2), affine=AFFINE)
    write_volume(hu, folder / "plain.nii")
    write_volume(Volume(hu.array + np.int16(1024), AFFINE), folder / "zero_based.nii")
    grey = np.clip((hu.array + 160) / 400 * 255, 0, 255).astype(np.uint8)
    write_volume(Volume(grey, AFFINE), folder / "grey.nii")
    image = nibabel.Nifti1Image(hu.array, AFFINE)
    moved = AFFINE.copy()
    moved[:3, 3] += SHIFT_MM
    image.set_sform(moved, code=2)
    image.set_qform(AFFINE, code=1)
    nibabel.save(image, folder / "two_places.nii")
    write_edited(folder / "plain.nii", folder / "no_offset.nii", (VOX_OFFSET, "<f", 0.0))
    scaled = AFFINE * [[1000], [1000], [1000], [1]]
    save_nifti(folder / "scaled.nii", hu.array, scaled)
    write_edited(folder / "scaled.nii", folder / "micrometres.nii", (UNITS, "B", 3))
    mask = (hu.array > 100).astype(np.float32) * np.float32(0.9999)
    save_nifti(folder / "nearly.nii", mask, AFFINE)
    write_edited(folder / "nearly.nii", folder / "nearly_whole.nii", (VOX_OFFSET, "<f", 0.0))
    (folder / "deeds").write_text('#!/bin/sh\necho "deeds 0.2.0"\n', encoding="utf-8")
    (folder / "deeds").chmod(0o755)
    return folder


def write_edited(source, path, edit):
    content = bytearray(source.read_bytes())
    position, form, value = edit
    struct.pack_into(form, content, position, value)
    path.write_bytes(bytes(content))


def stored(folder, capsys, *words):
    """Return the store and the remarks of a scan that is embedded on the command line."""
    scan, *options = words
    output = folder / "stores" / "-".join(words)
    arguments = ["embed", folder / scan, "--checkpoint", folder / "tiny.safetensors", "--output", output]
    (entry,) = json.loads(output_of(capsys, [*arguments, "--json", *options]))
    model = api.load_model(folder / "tiny.safetensors")
    return api.open_embedding(model, entry["store"]).embedded, entry["remarks"]


@pytest.mark.parametrize(
    ("words", "remark", "shift_mm"),
    [
        (["plain.nii"], "", (0, 0, 0)),
        (["zero_based.nii", "--modality", "ct"], ABOVE_HU, (0, 0, 0)),
        (
            ["zero_based.nii", "--hu-offset", "-1024"],
            "-1024 was added to get HU (--hu-offset)",
            (0, 0, 0),
        ),
        (["no_offset.nii"], "its voxels begin at byte 352", (0, 0, 0)),
        (["micrometres.nii"], "it is in micrometres", (0, 0, 0)),
        (["two_places.nii", "--geometry", "qform"], "the qform was taken, by --geometry", (0, 0, 0)),
        (["two_places.nii", "--geometry", "sform"], "ITK programs take the qform", SHIFT_MM),
    ],
)
def test_a_mended_scan_is_embedded_as_the_sound_one_is(folder, capsys, words, remark, shift_mm):
    plain, nothing = stored(folder, capsys, "plain.nii")
    assert nothing == []
    found, remarks = stored(folder, capsys, *words)
    assert np.array_equal(found.fine.values, plain.fine.values)
    expected = plain.affine.copy()
    expected[:3, 3] += shift_mm
    np.testing.assert_allclose(found.affine, expected, atol=1e-3)
    assert [remark in said and said.startswith(str(folder / words[0])) for said in remarks] == (
        [True] if remark else []
    )


def verbs(folder, scan):
    """Return the command lines of the verbs that read a scan, each with it as its second scan."""
    plain, model = folder / "plain.nii", ["--checkpoint", folder / "tiny.safetensors"]
    return {
        "embed": ["embed", scan, *model, "--output", folder / "refused"],
        "match": ["match", *model, "--from", plain, "--to", scan, "--point", POINT],
        "propagate": [
            *("propagate", *model, "--labels", folder / "nearly_whole.nii", "--from", plain, "--to", scan),
            *("--output", folder / "refused.nii", "--refinement", "none"),
        ],
        "register": [
            "register",
            plain,
            scan,
            *model,
            "--output",
            folder / "refused",
            "--deeds",
            folder / "deeds",
        ],
        "view": ["view", plain, scan, *model, "--no-open"],
    }


@pytest.fixture
def no_work(monkeypatch):
    """Make embedding a scan a failure of the test."""

    def embed(*arguments, **keywords):
        raise AssertionError("a scan was embedded before all were looked at")

    monkeypatch.setattr("anatomical_embedding.embedding.export.StoreEmbedder.embed", embed)


@pytest.mark.parametrize("verb", ["embed", "match", "propagate", "register", "view"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["grey.nii", "--modality", "ct"], "grey.nii: is not in HU: its values run from 0 to 255"),
        (["grey.nii"], "grey.nii: is a scan of modality mr, judging by its header or its values"),
        (["zero_based.nii"], "zero_based.nii: looks like a CT whose values lie 1024 above HU"),
        (
            ["two_places.nii"],
            "two_places.nii: states two places: its sform and its qform (codes 2 and 1) lie",
        ),
        (["scaled.nii"], "scaled.nii: is 176000 mm long by its header"),
    ],
)
@pytest.mark.usefixtures("no_work")
def test_every_verb_refuses_before_it_embeds(folder, capsys, verb, words, message):
    scan, *options = words
    arguments = [*verbs(folder, folder / scan)[verb], *options]
    assert message in refusal_of(capsys, arguments)


@pytest.mark.slow
def test_answers_carry_the_remarks_on_both_scans(folder, capsys):
    arguments = verbs(folder, folder / "zero_based.nii")["match"]
    arguments[arguments.index(folder / "plain.nii")] = folder / "micrometres.nii"
    capsys.readouterr()
    assert run([*arguments, "--modality", "ct", "--json"]) == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    expected = [f"{folder / 'micrometres.nii'}: it is in micro", f"{folder / 'zero_based.nii'}: {ABOVE_HU}"]
    assert [said.startswith(start) for said, start in zip(answer["remarks"], expected, strict=True)] == [
        True
    ] * 2
    assert [line for line in printed.err.splitlines() if line.startswith("note: ")] == [
        f"note: {said}" for said in answer["remarks"]
    ]
    sound = json.loads(output_of(capsys, [*verbs(folder, folder / "plain.nii")["match"], "--json"]))
    assert sound["remarks"] == []
    for axis in "xyz":
        found, expected = (rows["answers"][0][f"{axis}_mm"] for rows in (answer, sound))
        assert float(found) == pytest.approx(float(expected), abs=1e-3)


@pytest.mark.slow
def test_a_carried_mask_lies_on_the_grid_of_the_mended_scan_and_its_own_faults_are_said(folder, capsys):
    arguments = verbs(folder, folder / "micrometres.nii")["propagate"]
    answer = json.loads(output_of(capsys, [*arguments, "--json"]))
    assert any("labels are up to 0.0001 off whole numbers" in said for said in answer["remarks"])
    assert any("its voxels begin at byte 352" in said for said in answer["remarks"])
    carried = read_volume(folder / "refused.nii", require_contrast=False)
    np.testing.assert_allclose(carried.affine, AFFINE, atol=1e-3)


def test_the_page_shows_a_mended_scan_in_the_world_of_its_answers(folder, tmp_path):
    model = api.load_model(folder / "tiny.safetensors")
    names = ("plain.nii", "micrometres.nii", "no_offset.nii")
    session = open_session(
        model, [api.read_scan(model, folder / name, modality="ct") for name in names], pins_path=None
    )
    plain = read_volume(folder / "plain.nii")
    for shown in session.scans:
        (tmp_path / "shown.nii").write_bytes(shown.content())
        image = nibabel.load(tmp_path / "shown.nii")
        assert image.header.get_xyzt_units()[0] == "mm"
        np.testing.assert_allclose(image.affine, AFFINE, atol=1e-3)
        assert np.array_equal(np.asarray(image.dataobj), plain.array)
    assert session.scans[0].content() == (folder / "plain.nii").read_bytes()


@pytest.mark.slow
def test_a_stage_leaves_its_remarks_in_log_description_manifest_and_report(folder):
    results = folder / "results"
    results.mkdir()
    outputs = {"image": "a.nii", "body-mask": "a.mask.nii", "description": "a.json"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "workflow_scripts.resample_volume"),
            *("--settings", prepare_settings().model_dump_json(), "--image", str(folder / "zero_based.nii")),
            *(word for name, file in outputs.items() for word in (f"--output-{name}", str(results / file))),
        ],
        cwd=REPOSITORY,
        env=os.environ | {FOLDER_VARIABLE: str(results / "provenance")},
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    (remark,) = json.loads((results / "a.json").read_text(encoding="utf-8"))["remarks"]
    assert remark.startswith(f"{folder / 'zero_based.nii'}: {ABOVE_HU}")
    assert f"note: {remark}" in done.stderr
    manifests = list(read_manifests(results / "provenance").values())
    assert [manifest.remarks for manifest in manifests] == [[remark]]
    section = str(scan_remarks(ReportInputsOf(manifests)))
    assert "Scans with a remark" in section
    assert ABOVE_HU in section
    assert scan_remarks(ReportInputsOf([])) is None


class ReportInputsOf:
    """What the section reads of the inputs of a report."""

    def __init__(self, manifests):
        self.manifests = manifests


def test_a_scan_smaller_than_a_cell_is_named(folder, capsys):
    """0.5 mm voxels, so that two of them are less than one at the working spacing, and a cell has two of those."""
    array = body_scan(offset_vox=(2, 2, 2), affine=AFFINE).array[:, :, :2]
    write_volume(Volume(array, np.diag([-0.5, -0.5, 0.5, 1.0])), folder / "thin.nii")
    refusal = refusal_of(capsys, verbs(folder, folder / "thin.nii")["embed"])
    assert (
        f"{folder / 'thin.nii'}: a volume of (1, 5, 6) voxels (z, y, x) is smaller than one cell" in refusal
    )


def test_a_data_set_says_what_its_scans_leave_open():
    schema = PipelineSettings.model_json_schema()["$defs"]
    for kind in ("FolderSettings", "CtMrPairsSettings", "CaseFoldersSettings", "DeepLesionTrackingSettings"):
        assert {"geometry", "hu_offset"} <= set(schema[kind]["properties"])
