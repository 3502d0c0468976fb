"""What speaks for an answer, and targets that end early: known shifts, and places that are known to be out of view."""

import numpy as np
import pandas as pd
import pytest

from anatomical_embedding.confidence import FEATURES, SCAN_FEATURES
from anatomical_embedding.embedding.cut_view import cut_view, cut_volume
from anatomical_embedding.errors import UserError
from anatomical_embedding.evaluation.landmarks.cut_queries import with_cut_views
from anatomical_embedding.matching.found_points import Weighing, find_points
from anatomical_embedding.matching.match_evidence import body_points, find_anchors, measure_evidence
from anatomical_embedding.matching.methods import CYCLE_COLUMN, match_by
from anatomical_embedding.matching.nearest import match_nearest
from anatomical_embedding.matching.neighbour_evidence import measure_neighbours
from anatomical_embedding.matching.prepared_target import prepare_target
from anatomical_embedding.settings.confidence import EvidenceSettings
from anatomical_embedding.settings.matching import NearestSettings
from anatomical_embedding.settings.neighbours import NeighbourSettings
from anatomical_embedding.settings.refinement import LookalikeSettings
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine
from tests.reference.synthetic_embeddings import synthetic_volume
from tests.unit.test_nearest import EXACT

SHIFT_MM = np.array([6.0, -4.0, 10.0])
SHAPE = (48, 40, 64)
AFFINE = lps_affine(spacing_mm=(2.0, 2.0, 2.0))
NEIGHBOURS = NeighbourSettings(
    anchor_radius_steps=1, anchor_step_cells=2, window_radius_cells=3, affine_stiffness_mm=8
)
SETTINGS = EvidenceSettings(
    anchor_spacing_mm=12,
    max_num_anchors=150,
    anchor_reach_mm=40,
    anchor_cycle_mm=3,
    anchor_depth_mm=4,
    neighbours=NEIGHBOURS,
    lookalikes=LookalikeSettings(
        half_size_mm=20, step_mm=4, deviation_mm=12, blur_steps=0.5, reach_mm=16, sharpness=20
    ),
)


@pytest.fixture(scope="module")
def pair():
    """Return a template, and a target that shows the same anatomy shifted."""
    template = synthetic_volume(AFFINE, SHAPE, volume_id="a")
    target = synthetic_volume(AFFINE, SHAPE, volume_id="b", anatomy_of=lambda points_mm: points_mm - SHIFT_MM)
    return template, target


def measured(template, target, points_mm):
    """Return the answers to points, and the evidence around them."""
    source, goal = (prepare_target(volume, settings=EXACT) for volume in (template, target))
    found = match_by(NearestSettings(), source, goal, points_mm, with_way_back=True)
    anchors = find_anchors(source, goal, template_body=None, settings=SETTINGS)
    evidence = measure_evidence(
        source,
        goal,
        points_mm,
        found.matches,
        template_body=None,
        cycle_error_mm=found.columns[CYCLE_COLUMN],
        anchors=anchors,
        settings=SETTINGS,
    )
    return found.matches, evidence, anchors


def test_a_shift_is_told_by_anchors_and_depths(pair):
    template, target = pair
    points_mm = template.world_from_voxel([[24.0, 20.0, 30.0], [20.0, 22.0, 40.0]])
    matches, evidence, anchors = measured(template, target, points_mm)
    assert set(evidence) | set(SCAN_FEATURES) == set(FEATURES)
    shifts_mm = anchors.target_mm - anchors.template_mm
    np.testing.assert_allclose(shifts_mm, np.broadcast_to(SHIFT_MM, shifts_mm.shape), atol=3.0)
    assert evidence["anchor_distance_mm"].max() < 8.0  # two cells of 4 mm
    assert evidence["cycle_error_mm"].max() < 3.0
    np.testing.assert_allclose(evidence["expected_depth_mm"], target.depth_mm(points_mm + SHIFT_MM), atol=8.0)
    np.testing.assert_array_equal(evidence["answer_depth_mm"], target.depth_mm(matches.points_mm))


def test_the_cells_around_say_how_far_an_answer_is_off(pair):
    """They map the query to its true place, wherever near it the answer was put."""
    source, goal = (prepare_target(volume, settings=EXACT) for volume in pair)
    queries_mm = pair[0].world_from_voxel([[24.0, 20.0, 30.0], [20.0, 22.0, 40.0]])
    moved_mm = np.array([[0.0, 0.0, 8.0], [-6.0, 0.0, 0.0]])
    right, wrong = (
        measure_neighbours(source, goal, queries_mm, queries_mm + SHIFT_MM + move, settings=NEIGHBOURS)
        for move in (0.0, moved_mm)
    )
    half_diagonal_mm = 3.5  # of a cell of 4 mm, to which places in the target are rounded
    assert right["neighbour_distance_mm"].max() < half_diagonal_mm
    np.testing.assert_allclose(wrong["neighbour_distance_mm"], [8.0, 6.0], atol=half_diagonal_mm)
    assert right["neighbour_count"].min() >= 14  # of 27
    assert right["neighbour_spread_mm"].max() < 4.0
    assert right["neighbour_similarity"].min() > 0.9


def test_anchors_keep_to_the_body_and_to_their_number(pair):
    template, target = pair
    source, goal = (prepare_target(volume, settings=EXACT) for volume in (template, target))
    mask = np.zeros(SHAPE, np.uint8)
    mask[:24] = 1
    body = Volume(mask, AFFINE)
    found = find_anchors(source, goal, template_body=body, settings=SETTINGS)
    voxels = np.rint(body.voxel_from_world(found.template_mm)).astype(int)
    assert len(found.template_mm) and mask[tuple(voxels.T)].all()
    few = SETTINGS.model_copy(update={"max_num_anchors": 20})
    assert 0 < len(find_anchors(source, goal, template_body=None, settings=few).template_mm) <= 20


def test_points_of_a_body_lie_on_a_grid_in_it():
    mask = np.zeros((9, 9, 9), np.uint8)
    mask[:5] = 1
    points = body_points(Volume(mask, np.eye(4)), spacing_mm=4.0)
    # steps of 4 from (9 - 1) % 4 // 2 = 0: x 0 and 4 lie in the body, y and z take 0, 4 and 8
    assert sorted(map(tuple, points)) == [(x, y, z) for x in (0, 4) for y in (0, 4, 8) for z in (0, 4, 8)]


def test_a_query_that_failed_has_no_evidence_of_an_answer(pair):
    template, target = pair
    points_mm = np.array([[np.nan, 0.0, 0.0], template.world_from_voxel([24.0, 20.0, 30.0])])
    _, evidence, _ = measured(template, target, points_mm)
    for name in (
        "similarity",
        "cycle_error_mm",
        "anchor_distance_mm",
        "answer_depth_mm",
        "neighbour_similarity",
    ):
        assert np.isnan(evidence[name]).tolist() == [True, False], name


@pytest.mark.parametrize("number", [1e299, -1.7976931348623157e308])
def test_numbers_that_stand_for_none_leave_the_other_points_alone(pair, number):
    source, goal = (prepare_target(volume, settings=EXACT) for volume in pair)
    point_mm = pair[0].world_from_voxel([24.0, 20.0, 30.0])
    anchors = find_anchors(source, goal, template_body=None, settings=SETTINGS)

    def found(points_mm):
        return find_points(
            NearestSettings(),
            source,
            goal,
            points_mm,
            with_way_back=True,
            scans=None,
            weighing=Weighing(None, lambda: anchors, SETTINGS),
        )

    beside, alone = found(np.array([[number, 0.0, 0.0], point_mm])), found(point_mm[np.newaxis])
    assert np.isnan(beside.matches.points_mm[0]).all()
    np.testing.assert_array_equal(beside.matches.points_mm[1:], alone.matches.points_mm)
    for name, values in alone.evidence.items():
        np.testing.assert_allclose(beside.evidence[name][1:], values, err_msg=name)


@pytest.mark.parametrize("side", ["low", "high"])
def test_a_cut_view_answers_as_before_what_it_shows(pair, side):
    template, target = pair
    limit_mm = float(target.world_from_voxel([0.0, 0.0, 31.5])[2])
    view = (
        {"low_mm": -np.inf, "high_mm": limit_mm}
        if side == "high"
        else {"low_mm": limit_mm, "high_mm": np.inf}
    )
    cut = cut_view(target, **view)
    assert cut.shape == (48, 40, 32)
    assert cut.fine.shape_zyx == (16, 20, 24)
    inside_vox = [24.0, 20.0, 12.0 if side == "high" else 44.0]
    points_mm = template.world_from_voxel([inside_vox]) - SHIFT_MM
    whole, part = (match_nearest(template, volume, points_mm, settings=EXACT) for volume in (target, cut))
    np.testing.assert_allclose(part.points_mm, whole.points_mm, atol=1e-9)
    np.testing.assert_allclose(part.similarity, whole.similarity, atol=2e-3)
    # What lies beyond is expected outside by the anchors.
    beyond_mm = template.world_from_voxel([[24.0, 20.0, 50.0 if side == "high" else 8.0]]) - SHIFT_MM
    _, evidence, _ = measured(template, cut, beyond_mm)
    assert evidence["expected_depth_mm"][0] < -10.0
    with pytest.raises(UserError, match="nothing of it lies between"):
        cut_view(target, low_mm=1e6, high_mm=2e6)


@pytest.mark.parametrize(
    ("low_mm", "high_mm", "slices"), [(3.0, np.inf, (1, 5)), (-np.inf, 8.9, (0, 3)), (20, 30, (4, 5))]
)
def test_a_scan_is_cut_across_the_axis_that_runs_along_the_body(low_mm, high_mm, slices):
    affine = np.array(
        [[0, 0, 2.0, 1], [0, 2.0, 0, 1], [3.0, 0, 0, 0], [0, 0, 0, 1]]
    )  # slices at 0, 3, 6, 9, 12 mm
    scan = Volume(np.arange(5 * 4 * 4).reshape(5, 4, 4), affine)
    cut = cut_volume(scan, low_mm=low_mm, high_mm=high_mm)
    np.testing.assert_array_equal(cut.array, scan.array[slice(*slices)])
    np.testing.assert_allclose(cut.world_from_voxel([0, 1, 2]), scan.world_from_voxel([slices[0], 1, 2]))


def test_cut_queries_know_what_their_targets_show():
    volume = Volume(np.zeros((4, 4, 40), np.uint8), np.diag([2.0, 2.0, 3.0, 1.0]))
    queries = pd.DataFrame({"query_id": ["t/u/low", "t/u/high"], "template_id": "t", "target_id": "u"})
    queries[["truth_x_mm", "truth_y_mm"]] = 2.0
    queries["truth_z_mm"] = [3.0 * 5, 3.0 * 35]
    asked = with_cut_views(queries, {"u": volume}).set_index("query_id")
    # planes before the slices 16 and 32, at 3 * 15.5 = 46.5 and 3 * 31.5 = 94.5 mm
    assert len(asked) == 2 + 2 * 2 * 2
    assert asked.loc["t/u/low", "is_in_view"] == "true" and np.isnan(asked.loc["t/u/low", "view_low_mm"])
    below, above = asked.loc["t/u/low/below_16"], asked.loc["t/u/low/above_16"]
    assert (below["view_high_mm"], below["is_in_view"]) == (46.5, "true")
    assert (above["view_low_mm"], above["is_in_view"]) == (46.5, "false")
    high = asked.loc["t/u/high/below_32"]
    assert (high["view_high_mm"], high["is_in_view"]) == (94.5, "false")


def test_templates_take_turns_at_the_planes_of_a_cut_target():
    volume = Volume(np.zeros((4, 4, 60), np.uint8), np.diag([2.0, 2.0, 3.0, 1.0]))
    templates = ["a", "b", "c", "d"]
    queries = pd.DataFrame({"query_id": templates, "template_id": templates, "target_id": "u"})
    queries[["truth_x_mm", "truth_y_mm", "truth_z_mm"]] = 2.0
    asked = with_cut_views(queries, {"u": volume}, most_templates=3)["query_id"]
    assert list(asked[:4]) == templates  # whole targets are asked by all
    at_plane = {plane: sorted(asked[asked.str.endswith(f"/below_{plane}")].str[0]) for plane in (16, 32, 48)}
    assert at_plane == {16: ["a", "b", "c"], 32: ["a", "b", "d"], 48: ["a", "c", "d"]}
    assert len(asked) == 4 + 2 * 9
