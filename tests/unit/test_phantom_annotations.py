"""Annotated phantoms and tracking queries by hand: format, reversed slices, pairs out of view, the way back to mm."""

import json

import numpy as np
import pytest

from anatomical_embedding.datasets.lesion_annotations import read_annotations
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.baselines.body_box import BodyBox
from anatomical_embedding.evaluation.confidence.known_answers import read_truths
from anatomical_embedding.evaluation.landmarks.tables import write_table
from anatomical_embedding.evaluation.lesions.phantom_annotations import (
    LesionScan,
    ScannedLesion,
    annotate_pairs,
)
from anatomical_embedding.evaluation.lesions.queries import (
    queries_of_annotations,
    queries_out_of_view,
)
from anatomical_embedding.evaluation.lesions.tracked_volumes import TrackedVolume
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine, write_prepared

SPACING = (2.0, 2.0, 5.0)
SHAPE = (50, 40, 20)


def scan_of(folder, name, lesions):
    """Return a scan whose annotation index (i, j, k) lies at (-2i, -2j, 95 - 5k) mm."""
    affine = lps_affine(spacing_mm=SPACING)
    image, body = Volume(np.zeros(SHAPE, np.int16), affine), Volume(np.ones(SHAPE, np.uint8), affine)
    row = write_prepared(folder, name, image, body, patient_id="000001")
    frame = np.diag([-2.0, -2.0, -5.0, 1.0])
    frame[2, 3] = 95.0
    return LesionScan(TrackedVolume(row, frame, SHAPE), BodyBox.of(body), lesions)


@pytest.fixture
def annotated(tmp_path):
    """Return both files of a body whose first lesion both scans show, and whose second the follow-up lost."""
    seen = ScannedLesion("seen", np.array([-20.0, -30.0, 45.0]), 6.0, True)
    moved = ScannedLesion("seen", np.array([-22.0, -30.0, 55.0]), 6.0, True)
    lost = ScannedLesion("lost", np.array([-40.0, -40.0, 90.0]), 4.0, True)
    outside = ScannedLesion("lost", np.array([-40.0, -40.0, 120.0]), 4.0, False)
    first = scan_of(tmp_path, "000001_01_01", {"seen": seen, "lost": lost})
    second = scan_of(tmp_path, "000001_02_01", {"seen": moved, "lost": outside})
    pairs = annotate_pairs([(first, second)])
    paths = [tmp_path / "test.json", tmp_path / "out.json"]
    for path, content in zip(paths, pairs, strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")
    volumes = {scan.volume.row.volume_id: scan.volume for scan in (first, second)}
    return *paths, volumes


def test_pairs_have_the_public_format(annotated):
    pairs = read_annotations(annotated[0])
    assert pairs.pair_ids == ("0001", "0002")
    assert pairs.source_files == ("000001_01_01.nii.gz", "000001_02_01.nii.gz")
    np.testing.assert_allclose(pairs.source_center_vox, [[10, 15, 10], [11, 15, 8]])
    np.testing.assert_allclose(pairs.target_center_vox, [[11, 15, 8], [10, 15, 10]])
    np.testing.assert_allclose(pairs.target_spacing_mm, [SPACING, SPACING])
    np.testing.assert_allclose(pairs.radius_mm, [6.0, 6.0])
    row = json.loads(annotated[0].read_text(encoding="utf-8"))["0001"]
    # x: 11 - 3 to 11 + 3 voxels, and half a voxel beyond either; z: 8 - 1.2 to 8 + 1.2
    assert row["target box"] == [8.0, 12.0, 7.0, 7.0, 7.0, 3.0]
    assert row["predict target center"] == [10.0, 15.0, 10.0]  # equal boxes: the same place


def test_only_the_lost_lesion_is_out_of_view_and_without_truth(annotated):
    rows = json.loads(annotated[1].read_text(encoding="utf-8"))
    assert list(rows) == ["0003"]
    assert rows["0003"]["source"] == "000001_01_01.nii.gz"
    assert not [key for key in rows["0003"] if key.startswith("target c") or key == "target box"]


def test_queries_lead_back_to_world_mm(annotated, tmp_path):
    inside = queries_of_annotations(annotated[0], annotated[2])
    outside = queries_out_of_view(annotated[1], annotated[2])
    points = ["query_x_mm", "query_y_mm", "query_z_mm"]
    truth = ["truth_x_mm", "truth_y_mm", "truth_z_mm"]
    np.testing.assert_allclose(inside[points], [[-20, -30, 45], [-22, -30, 55]])
    np.testing.assert_allclose(inside[truth], [[-22, -30, 55], [-20, -30, 45]])
    np.testing.assert_allclose(outside[points], [[-40, -40, 90]])
    assert outside[truth].isna().all(axis=None)
    for table, is_in_view in ((inside, [True, True]), (outside, [False])):
        write_table(table, tmp_path / "queries.csv")
        assert read_truths(tmp_path / "queries.csv")["is_in_view"].tolist() == is_in_view


def test_an_unknown_volume_and_a_lost_truth_are_refused(annotated, tmp_path):
    with pytest.raises(
        InputFileError, match=r"names the volume '000001_01_01\.nii\.gz', which is not in the index"
    ):
        queries_of_annotations(annotated[0], {})
    queries = queries_of_annotations(annotated[0], annotated[2])
    queries.loc[1, "truth_y_mm"] = np.nan
    write_table(queries, tmp_path / "queries.csv")
    with pytest.raises(InputFileError, match="query '0002' has no true point"):
        read_truths(tmp_path / "queries.csv")
