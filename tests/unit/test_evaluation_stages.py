"""The command lines of the landmark evaluation, from prepared volumes to scores."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from anatomical_embedding.errors import InputFileError, SettingsError
from anatomical_embedding.landmark_file import Landmark, write_landmarks
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine, write_prepared, write_prepared_index
from tests.report_files import score_matches
from workflow_scripts import make_queries, match_baseline

NCC = {"cube_mm": 28.0, "spacing_mm": 4.0, "search_radius_mm": None}
ALL_PAIRS = json.dumps({"split": "test", "pairs": {"num_pairs": None, "seed": 0}, "with_cuts": False})
SHIFTS = {"a": (0, 0, 0), "b": (3, 1, 5), "c": (6, 2, 2), "d": (1, 6, 4)}
POINTS_VOX = {"heart": (16.0, 15.0, 14.0), "liver": (20.0, 18.0, 12.0), "far": (34.0, 34.0, 34.0)}


@pytest.fixture
def dataset(tmp_path):
    """Write four windows on one anatomy; landmark `far` lies outside all of them."""
    generator = np.random.default_rng(0)
    anatomy = (gaussian_filter(generator.normal(size=(40, 40, 40)), 1.5) * 4000).astype(np.int16)
    rows, landmarks = [], []
    for number, (volume_id, shift) in enumerate(SHIFTS.items()):
        window = tuple(slice(start, start + 30) for start in shift)
        affine = lps_affine(origin_mm=generator.uniform(-200, 200, 3))
        image = Volume(anatomy[window], affine)
        body = Volume(np.ones(image.shape, np.uint8), affine)
        rows.append(write_prepared(tmp_path, volume_id, image, body, patient_id=f"patient{number}"))
        for name, point in POINTS_VOX.items():
            x_mm, y_mm, z_mm = image.world_from_voxel(np.array(point) - shift)
            landmarks.append(Landmark(volume_id, name, x_mm, y_mm, z_mm))
    write_landmarks(landmarks, tmp_path / "landmarks.csv")
    write_prepared_index(tmp_path, rows)
    return tmp_path


def ask(folder, settings=ALL_PAIRS):
    make_queries.main(
        [
            *("--settings", settings, "--index", f"{folder}/index.csv"),
            *("--landmarks", f"{folder}/landmarks.csv", "--output", f"{folder}/queries.csv"),
        ]
    )


def answer(folder, method, **settings):
    settings = json.dumps({"method": method, "ncc": NCC if method == "ncc" else None} | settings)
    match_baseline.main(
        [
            *("--settings", settings, "--index", f"{folder}/index.csv"),
            *("--queries", f"{folder}/queries.csv", "--output", f"{folder}/{method}/matches.csv"),
        ]
    )


def score(folder, method):
    score_matches(folder, method, "--dataset", "windows", "--protocol", "landmarks")
    return json.loads((folder / method / "scores.json").read_text(encoding="utf-8"))


def test_stages_from_volumes_to_scores(dataset):
    ask(dataset)
    assert len(pd.read_csv(dataset / "queries.csv")) == 12 * 2  # `far` is out of view everywhere
    scores = {}
    for method in ("same_coordinate", "body_affine", "ncc"):
        answer(dataset, method)
        scores[method] = score(dataset, method)
    # the windows show one anatomy, so correlation finds every point; boxes are off by the shift of the window
    assert scores["ncc"]["mean_mm"] == pytest.approx(0.0, abs=1e-3)
    shifts = np.array(list(SHIFTS.values())) * 4.0
    expected = [np.linalg.norm(a - b) for i, a in enumerate(shifts) for j, b in enumerate(shifts) if i != j]
    assert scores["same_coordinate"]["mean_mm"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert scores["body_affine"]["median_mm"] == pytest.approx(np.median(expected), abs=1e-3)
    assert scores["ncc"]["model"] is None
    assert scores["ncc"]["num_failed"] == 0
    landmarks = pd.read_csv(dataset / "ncc/landmarks.csv")
    assert landmarks["landmark"].tolist() == ["heart", "liver"]


def test_matching_never_reads_the_truth(dataset):
    ask(dataset)
    queries = pd.read_csv(dataset / "queries.csv")
    answer(dataset, "ncc")
    with_truth = (dataset / "ncc/matches.csv").read_bytes()
    queries.drop(columns=["truth_x_mm", "truth_y_mm", "truth_z_mm"]).to_csv(
        dataset / "queries.csv", index=False
    )
    answer(dataset, "ncc")
    assert (dataset / "ncc/matches.csv").read_bytes() == with_truth


def test_baselines_refuse_settings_without_effect(dataset):
    ask(dataset)
    with pytest.raises(SettingsError, match="cube_mm: is not a known key"):
        answer(dataset, "body_affine", cube_mm=3)


def test_queries_of_an_unknown_volume_are_refused(dataset):
    ask(dataset)
    text = (dataset / "queries.csv").read_text(encoding="utf-8").replace(",a,", ",stranger,")
    (dataset / "queries.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputFileError, match="'stranger'"):
        answer(dataset, "same_coordinate")


def test_matches_of_older_queries_are_refused(dataset):
    ask(dataset)
    answer(dataset, "same_coordinate")
    ask(
        dataset,
        settings=json.dumps({"split": "test", "pairs": {"num_pairs": 4, "seed": 0}, "with_cuts": False}),
    )
    with pytest.raises(InputFileError, match="is in no query of this evaluation"):
        score(dataset, "same_coordinate")
    assert not (dataset / "same_coordinate/scores.json").exists()
