"""The command line with the models of the demo: what it answers is what the workflow answered."""

import json
import re
import subprocess
import time

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK

from anatomical_embedding.api import load_model, open_embedding
from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.landmark_file import read_landmarks
from anatomical_embedding.registration.displacement_field import read_field
from tests.integration.warm_servers import warm_python

pytestmark = pytest.mark.slow

LPS = np.array([-1.0, -1.0, 1.0])


def command_line(*arguments):
    command = [warm_python(), "-m", "anatomical_embedding.cli.main", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, encoding="utf-8")


def scan(demo, dataset, volume_id):
    subject, modality = volume_id.rsplit("_", 1)
    return demo / "results" / "phantoms" / dataset / subject / f"{modality}.nii.gz"


@pytest.fixture(scope="module")
def asked(demo, tmp_path_factory):
    """Return the ids of a template and a target, and the queries between them as a list of points."""
    queries = pd.read_csv(demo / "results" / "evaluations" / "phantom_ct" / "queries.csv")
    template, target = queries.loc[0, ["template_id", "target_id"]]
    rows = queries[(queries["template_id"] == template) & (queries["target_id"] == target)]
    points = rows[["query_x_mm", "query_y_mm", "query_z_mm", "query_id"]]
    path = tmp_path_factory.mktemp("points") / "points.csv"
    points.set_axis(["x_mm", "y_mm", "z_mm", "name"], axis=1).to_csv(path, index=False)
    return template, target, path


def answers(demo, asked, source, target):
    """Return the answers within cells, as the rules give them and a store can."""
    done = command_line(
        *("match", "--checkpoint", demo / "results" / "models" / "sam" / "model.safetensors"),
        *("--from", source, "--to", target, "--points", asked[2], "--refinement", "parabolic", "--json"),
    )
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)["answers"]}


def test_match_answers_as_the_rule_did(demo, asked):
    template, target, _ = asked
    found = answers(demo, asked, *(scan(demo, "phantom_ct", name) for name in (template, target)))
    path = demo / "results" / "evaluations" / "phantom_ct" / "sam.nearest.matches.csv"
    rows = pd.read_csv(path).set_index("query_id")
    assert all(0.0 < row["confidence"] < 1.0 for row in found.values() if row["decision"] == "found")
    placed = {name: row for name, row in found.items() if row["decision"] != "out_of_view"}
    assert len(placed) > 20
    for name, row in placed.items():
        for axis in ("x_mm", "y_mm", "z_mm"):
            assert row[axis] == pytest.approx(rows.loc[name, axis], abs=1e-6)


def test_stores_answer_as_scans_do_and_open_at_once(demo, asked, tmp_path):
    template, target, _ = asked
    scans = [scan(demo, "phantom_ct", name) for name in (template, target)]
    model = demo / "results" / "models" / "sam" / "model.safetensors"
    done = command_line("embed", *scans, "--checkpoint", model, "--output", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    stores = [entry["store"] for entry in json.loads(done.stdout)]
    by_store, by_scan = answers(demo, asked, *stores), answers(demo, asked, *scans)
    for name, row in by_scan.items():
        assert by_store[name]["similarity"] == pytest.approx(row["similarity"], abs=2e-3)
    started = time.process_time()
    open_embedding(load_model(model), stores[0])
    assert time.process_time() - started < 1.0


def test_register_brings_an_mr_onto_the_ct_with_transforms_that_simpleitk_applies(demo, tmp_path):
    pair = min((demo / "results" / "registrations" / "round_1").glob("*__*")).name
    fixed_id, moving_id = pair.split("__")
    known = read_landmarks(demo / "results" / "landmarks" / "phantom_pairs.csv")
    fixed, moving = (
        {row.landmark: (row.x_mm, row.y_mm, row.z_mm) for row in known if row.volume_id == name}
        for name in (fixed_id, moving_id)
    )
    names = sorted(fixed.keys() & moving.keys())
    lines = ["x_mm,y_mm,z_mm,name", *[",".join([*map(str, fixed[name]), name]) for name in names]]
    (tmp_path / "points.csv").write_text("\n".join(lines), encoding="utf-8")
    done = command_line(
        *("register", scan(demo, "phantom_pairs", fixed_id), scan(demo, "phantom_pairs", moving_id)),
        *("--checkpoint", demo / "results" / "models" / "cross_sam_m1" / "model.safetensors"),
        *("--deeds", demo / "results" / "deeds" / "deeds", "--output", tmp_path / "out"),
        *("--points", tmp_path / "points.csv", "--json"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "found"
    assert re.search(r"^start found: \d+ of \d+ matches agree$", done.stderr, re.MULTILINE)
    carried = pd.read_csv(tmp_path / "out" / "points.csv").set_index("name")
    found = carried.loc[names, ["x_mm", "y_mm", "z_mm"]].to_numpy()
    field = read_field(tmp_path / "out" / "displacement_field.nii.gz")
    places, truth = (np.array([points[name] for name in names]) for points in (fixed, moving))
    is_inside = (
        np.linalg.norm(field.moving_points(places) - found, axis=1) < 0.01
    )  # not where the field fades out
    assert is_inside.sum() > 20
    assert np.median(np.linalg.norm(found - truth, axis=1)[is_inside]) < 6.0
    forward, inverse = (
        SimpleITK.ReadTransform(str(tmp_path / "out" / name)) for name in ("forward.h5", "inverse.h5")
    )
    by_itk = np.array([forward.TransformPoint((point * LPS).tolist()) for point in places]) * LPS
    np.testing.assert_allclose(found, by_itk, atol=0.01)
    back = np.array([inverse.TransformPoint((point * LPS).tolist()) for point in by_itk]) * LPS
    assert np.median(np.linalg.norm(back - places, axis=1)) < 0.2
    warped = nibabel.load(tmp_path / "out" / "warped.nii.gz")
    raw = nibabel.load(scan(demo, "phantom_pairs", fixed_id))
    assert warped.shape == raw.shape
    np.testing.assert_allclose(warped.affine, raw.affine, atol=1e-3)
    for name in ("warped.nii.gz", "displacement_field.nii.gz"):
        by_itk = SimpleITK.ReadImage(str(tmp_path / "out" / name))
        assert by_itk.GetSize() == nibabel.load(tmp_path / "out" / name).shape[:3]
        assert by_itk.GetNumberOfComponentsPerPixel() == (1 if name == "warped.nii.gz" else 3)
    assert warped.shape == SimpleITK.ReadImage(str(tmp_path / "out" / "warped.nii.gz")).GetSize()


def test_propagate_carries_the_organs_of_one_body_to_another(demo, asked, tmp_path):
    """Against the true labels of the other body, for the organs that fill 1000 voxels there."""
    paths = [scan(demo, "phantom_ct", name) for name in asked[:2]]
    labels, truth = (path.parent / "labels.nii.gz" for path in paths)
    done = command_line(
        *("propagate", "--checkpoint", demo / "results" / "models" / "sam" / "model.safetensors"),
        *("--labels", labels, "--from", paths[0], "--to", paths[1], "--json"),
        *("--output", tmp_path / "carried.nii.gz"),
    )
    assert done.returncode == 0, done.stderr
    assert sum(row["decision"] in ("found", "unknown") for row in json.loads(done.stdout)["labels"]) > 30
    carried, known = (
        np.asarray(nibabel.load(path).dataobj).astype(int) for path in (tmp_path / "carried.nii.gz", truth)
    )
    large = [label for label in np.unique(known) if label > 0 and np.sum(known == label) >= 1000]
    dice = [
        2
        * np.sum((carried == label) & (known == label))
        / (np.sum(carried == label) + np.sum(known == label))
        for label in large
    ]
    assert len(large) > 10
    assert np.mean(dice) > 0.6


def test_the_page_of_matches_opens_offline(demo):
    page = (demo / "results" / "matches.html").read_text(encoding="utf-8")
    assert page.count('class="spot query"') == page.count("data-figure=") > 10
    assert "http" not in page.replace("http-equiv", "")
    assert 'href="matches.html"' in (demo / "results" / "report.html").read_text(encoding="utf-8")
