"""Tests of anatomical_embedding.matching.nearest and of the search below it."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anatomical_embedding.errors import SettingsError, UserError
from anatomical_embedding.matching.cell_search import CellSearch
from anatomical_embedding.matching.nearest import cycle_errors_mm, match_nearest, similarity_map
from anatomical_embedding.matching.prepared_target import prepare_target
from anatomical_embedding.matching.query_vectors import QueryVectors, nearest_cells, query_vectors
from anatomical_embedding.settings.matching import HeadWeights, MatchingSettings
from anatomical_embedding.volumes.affine import invert_affine, transform_points
from tests.reference.direct_matching import direct_similarity, upsample_by_cell_centres
from tests.reference.peak_memory import PeakMemory
from tests.reference.synthetic_embeddings import ORIGIN, synthetic_volume

EXACT = MatchingSettings(
    head_weights=HeadWeights(fine=1, coarse=1, semantic=1),
    query_interpolation="nearest",
    search="exact",
    num_candidates=16,
    scan_precision="fp32",
    refinement="none",
    max_memory_mb=256,
    device="cpu",
)
PRUNED = EXACT.model_copy(update={"search": "pruned"})
SPACING_MM = (2.0, 2.0, 3.0)
ANISOTROPIC = np.diag([*SPACING_MM, 1.0])
SHAPE = (64, 48, 20)


def changed(base: MatchingSettings, **values) -> MatchingSettings:
    return base.model_copy(update=values)


def warped(points_mm):
    """Move anatomy smoothly by a few mm, so that no cell of the target matches exactly."""
    return points_mm + 4.0 * np.sin(points_mm[..., ::-1] / 25.0)


def random_points_mm(volume, num_points: int, *, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    points_vox = random.uniform(-0.5, np.array(volume.shape) - 0.5, size=(num_points, 3))
    return transform_points(volume.affine, points_vox)


def direct_maps(template, target, points_mm, *, has_semantic: bool) -> np.ndarray:
    """Return the (N, Z, Y, X) similarity the slow way: everything upsampled to the fine grid."""
    heads = {}
    for role, volume in (("template", template), ("target", target)):
        strides = {"stride_fine": volume.fine.stride_zyx, "stride_coarse": volume.coarse.stride_zyx}
        coarse = upsample_by_cell_centres(volume.coarse.values, volume.fine.shape_zyx, **strides)
        heads[role] = {"fine": full_map(volume.fine), "coarse": coarse}
        if has_semantic:
            heads[role]["semantic"] = full_map(volume.semantic)
    x, y, z = nearest_cells(template.fine, points_mm).T
    queries = {name: head[z, y, x] for name, head in heads["template"].items()}
    queries = {name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in queries.items()}
    return direct_similarity(queries, heads["target"])


def full_map(head) -> np.ndarray:
    scale = 1.0 if head.scale is None else head.scale[..., None].astype(np.float64)
    return head.values.astype(np.float64) * scale


@pytest.mark.parametrize("search", ["exact", "pruned"])
@pytest.mark.parametrize("store_format", ["fp16", "int8"])
@pytest.mark.parametrize("has_semantic", [False, True])
@pytest.mark.parametrize("shape", [SHAPE, (51, 37, 23)])
def test_same_answer_as_upsampling_every_channel(search, store_format, has_semantic, shape):
    kind = {"has_semantic": has_semantic, "store_format": store_format, "noise": 0.3}
    template = synthetic_volume(ANISOTROPIC, shape, volume_id="template", **kind)
    target = synthetic_volume(ANISOTROPIC, shape, volume_id="target!", anatomy_of=warped, **kind)
    points_mm = random_points_mm(template, 70)
    maps = direct_maps(template, target, points_mm, has_semantic=has_semantic).reshape(len(points_mm), -1)

    prepared = prepare_target(target, settings=changed(EXACT, search=search))
    best = CellSearch(prepared).best_cells(query_vectors(template, points_mm, interpolation="nearest"))
    x, y, z = best.cells_xyz.astype(int).T
    found = np.ravel_multi_index((z, y, x), target.fine.shape_zyx)

    np.testing.assert_allclose(best.similarity, maps.max(axis=1), atol=1e-5)
    np.testing.assert_array_equal(found, maps.argmax(axis=1))


def test_similarity_map_is_the_direct_one():
    template = synthetic_volume(ANISOTROPIC, SHAPE)
    target = synthetic_volume(ANISOTROPIC, (50, 48, 19), anatomy_of=warped)
    point_mm = transform_points(ANISOTROPIC, [[30.2, 20.1, 9.7]])
    expected = direct_maps(template, target, point_mm, has_semantic=False)[0]
    for base in (EXACT, PRUNED):
        found = similarity_map(template, target, point_mm[0], settings=base)
        np.testing.assert_allclose(found.array, expected.transpose(2, 1, 0), atol=1e-5)
        assert found.array.dtype == np.float32
        np.testing.assert_array_equal(found.affine, target.fine.cell_affine)


def test_weights_are_shares_of_the_mean():
    volume = synthetic_volume(ANISOTROPIC, SHAPE, has_semantic=True)
    point_mm = transform_points(ANISOTROPIC, [[30.5, 20.5, 8.5]])

    def weighted(fine, coarse, semantic):
        weights = HeadWeights(fine=fine, coarse=coarse, semantic=semantic)
        return similarity_map(volume, volume, point_mm, settings=changed(EXACT, head_weights=weights)).array

    fine, coarse, semantic = weighted(2, 0, 0), weighted(0, 3, 0), weighted(1, 0, 1) * 2 - weighted(1, 0, 0)
    np.testing.assert_allclose(weighted(1, 2, 5), (fine + 2 * coarse + 5 * semantic) / 8, atol=1e-5)
    # Published scores are sums over the heads: 1.5 of two heads is 0.75 here.
    np.testing.assert_allclose(weighted(1, 1, 0), (fine + coarse) / 2, atol=1e-6)


def test_a_volume_matches_itself_with_similarity_one():
    volume = synthetic_volume(ANISOTROPIC, SHAPE)
    cells = np.array([[0, 0, 0], [31, 23, 9], [7, 11, 4]])
    points_mm = transform_points(volume.fine.cell_affine, cells)
    matches = match_nearest(
        volume, volume, points_mm, settings=changed(PRUNED, query_interpolation="trilinear")
    )
    np.testing.assert_allclose(matches.points_mm, points_mm, atol=1e-9)
    np.testing.assert_allclose(matches.similarity, 1.0, atol=1e-3)
    assert matches.status == ("found",) * 3


def test_cycle_errors_are_the_way_from_the_point_to_the_match_of_its_answer():
    """A volume matched with itself: an answer 12 mm along x, well inside, comes back to its own place."""
    volume = synthetic_volume(
        np.diag([2.0, 2.0, 2.0, 1.0]), (40, 36, 32), volume_id="itself!", num_channels=64
    )
    asked_mm = transform_points(volume.fine.cell_affine, [[6.0, 6.0, 6.0], [8.0, 7.0, 6.0], [5.0, 6.0, 7.0]])
    answers_mm = asked_mm + np.array([[0.0, 0, 0], [12.0, 0, 0], [np.nan, 0, 0]])
    errors_mm = cycle_errors_mm(volume, volume, asked_mm, answers_mm, settings=EXACT)
    np.testing.assert_allclose(errors_mm, [0.0, 12.0, np.nan], atol=0.5)


@st.composite
def affines(draw):
    """Draw oblique, flipped, permuted and anisotropic affines."""
    angles = draw(st.tuples(*[st.floats(-0.6, 0.6)] * 3))
    spacing = draw(st.tuples(*[st.sampled_from([1.0, 2.0, 3.0])] * 3))
    signs = draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    order = draw(st.permutations(range(3)))
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        first, second = (other for other in range(3) if other != axis)
        turn[[first, first, second, second], [first, second, first, second]] = (
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        )
        rotation = rotation @ turn
    affine = np.eye(4)
    affine[:3, :3] = (rotation @ np.diag(signs) @ np.eye(3)[list(order)]) * np.array(spacing)
    return affine


@pytest.mark.slow
@settings(max_examples=15)
@given(template_affine=affines(), target_affine=affines(), seed=st.integers(0, 10))
def test_points_are_recovered_through_any_affine(template_affine, target_affine, seed):
    """Anatomy is the world itself, so the answer must be the query, whatever the two grids are."""
    shape = (24, 26, 22)
    for affine in (template_affine, target_affine):
        affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)  # both centred on the origin
    kind = {"fine_stride_vox": (2, 2, 2), "coarse_stride_vox": (8, 8, 4), "num_channels": 128}
    template = synthetic_volume(template_affine, shape, **kind)
    target = synthetic_volume(target_affine, shape, volume_id="target", **kind)
    points_mm = np.random.default_rng(seed).uniform(-5, 5, size=(20, 3))  # inside both, however turned
    asked = changed(PRUNED, query_interpolation="trilinear", refinement="parabolic")
    matches = match_nearest(template, target, points_mm, settings=asked)
    error_cells = transform_points(
        invert_affine(target.fine.cell_affine), matches.points_mm
    ) - transform_points(invert_affine(target.fine.cell_affine), points_mm)
    assert np.abs(error_cells).max() < 0.5


@pytest.mark.parametrize("refinement", ["none", "parabolic"])
def test_answers_have_no_bias_at_anisotropic_strides(refinement):
    """Half a voxel lost anywhere would show as a mean signed error of 0.5 to 8 mm."""
    template = synthetic_volume(np.diag([1.0, 1.0, 5.0, 1.0]), (96, 96, 18), fine_stride_vox=(4, 4, 1))
    target_affine = np.diag([-2.0, 2.0, 1.5, 1.0])
    target_affine[0, 3] = 94.0
    target = synthetic_volume(
        target_affine, (48, 48, 60), fine_stride_vox=(2, 1, 4), coarse_stride_vox=(8, 16, 4)
    )
    points_mm = np.random.default_rng(3).uniform([12, 12, 12], [80, 80, 72], size=(600, 3))
    asked = changed(EXACT, query_interpolation="trilinear", refinement=refinement)
    error_mm = match_nearest(template, target, points_mm, settings=asked).points_mm - points_mm
    cell_mm = np.array([4.0, 2.0, 6.0])
    standard_error = error_mm.std(axis=0) / np.sqrt(len(points_mm))
    assert np.all(np.abs(error_mm.mean(axis=0)) < 4 * standard_error + 0.01 * cell_mm)
    bound_mm = 0.75 * cell_mm if refinement == "none" else 1.0
    assert np.all(np.quantile(np.abs(error_mm), 0.99, axis=0) < bound_mm)


def test_queries_outside_or_not_finite_fail_with_a_reason():
    volume = synthetic_volume(ANISOTROPIC, SHAPE)
    points_mm = [[10, 10, 10], [-1.01, 10, 10], [-0.99, 10, 10], [np.nan, 0, 0], [10, 10, 3 * 19.6]]
    matches = match_nearest(volume, volume, points_mm, settings=EXACT)
    assert matches.status == ("found", "failed", "found", "failed", "failed")
    assert matches.reason[1] == matches.reason[4] == "the point lies outside the scan that it belongs to"
    assert matches.reason[3] == "the query is not finite"
    assert np.isnan(matches.points_mm[1]).all()
    assert np.isnan(matches.similarity[3])
    with pytest.raises(UserError, match="the point lies outside the scan that it belongs to"):
        similarity_map(volume, volume, points_mm[1], settings=EXACT)


def test_no_queries_give_no_matches():
    volume = synthetic_volume(ANISOTROPIC, SHAPE)
    matches = match_nearest(volume, volume, np.empty((0, 3)), settings=PRUNED)
    assert matches.points_mm.shape == (0, 3)
    assert matches.status == ()


def test_answers_lie_inside_the_target():
    """At 17 voxels and stride 4 the last cell is centred on voxel 17.5, beyond the volume."""
    template = synthetic_volume(np.eye(4), (40, 40, 40), fine_stride_vox=(4, 4, 4))
    target = synthetic_volume(np.eye(4), (17, 17, 17), fine_stride_vox=(4, 4, 4))
    matches = match_nearest(template, target, [[30, 30, 30]], settings=EXACT)
    np.testing.assert_allclose(matches.points_mm, [[16, 16, 16]])


def test_other_model_is_refused():
    volume = synthetic_volume(ANISOTROPIC, SHAPE)
    other = dataclasses.replace(
        volume, volume_id="other", origin=dataclasses.replace(ORIGIN, checkpoint_sha256="d" * 64)
    )
    with pytest.raises(
        UserError, match=r"other and synthetic come from different models \(d{12} and c{12}\)"
    ):
        match_nearest(other, volume, [[0, 0, 0]], settings=EXACT)


def test_target_prepared_for_other_settings_is_a_defect():
    volume = synthetic_volume(ANISOTROPIC, SHAPE)
    with pytest.raises(ValueError, match="prepared for other matching settings"):
        match_nearest(volume, prepare_target(volume, settings=EXACT), [[0, 0, 0]], settings=PRUNED)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the message is for machines without a CUDA device")
def test_missing_gpu_is_named():
    volume = synthetic_volume(ANISOTROPIC, SHAPE)
    with pytest.raises(SettingsError, match=r"matching\.device: is cuda, but no GPU is available"):
        prepare_target(volume, settings=changed(EXACT, device="cuda"))


@pytest.mark.parametrize("search", ["exact", "pruned"])
def test_answers_do_not_depend_on_the_memory_bound(search):
    """Queries in one group, and in groups of a few."""
    template = synthetic_volume(ANISOTROPIC, SHAPE, noise=0.2)
    target = prepare_target(
        synthetic_volume(ANISOTROPIC, SHAPE, noise=0.2, volume_id="target"),
        settings=changed(EXACT, search=search),
    )
    queries = query_vectors(template, random_points_mm(template, 200), interpolation="trilinear")
    whole = CellSearch(target).best_cells(queries)
    for start in range(0, 200, 37):
        part = QueryVectors(queries.fine[start : start + 37], queries.coarse[start : start + 37], None)
        pieces = CellSearch(target).best_cells(part)
        np.testing.assert_array_equal(pieces.cells_xyz, whole.cells_xyz[start : start + 37])


def test_int8_stores_give_the_matches_of_fp16_stores():
    points_mm = random_points_mm(synthetic_volume(ANISOTROPIC, SHAPE), 300)
    answers = []
    for store_format in ("fp16", "int8"):
        kind = {"num_channels": 128, "noise": 0.3, "store_format": store_format}
        template = synthetic_volume(ANISOTROPIC, SHAPE, volume_id="template", **kind)
        target = synthetic_volume(ANISOTROPIC, SHAPE, volume_id="target!", anatomy_of=warped, **kind)
        answers.append(match_nearest(template, target, points_mm, settings=EXACT).points_mm)
    assert (answers[0] == answers[1]).all(axis=1).mean() >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("search", ["exact", "pruned"])
def test_memory_of_a_thousand_queries_is_bounded(search):
    volume = synthetic_volume(np.eye(4), (160, 160, 96), num_channels=64)
    target = prepare_target(volume, settings=changed(EXACT, search=search, max_memory_mb=128))
    queries = query_vectors(volume, random_points_mm(volume, 1000), interpolation="nearest")
    CellSearch(target).best_cells(QueryVectors(queries.fine[:10], queries.coarse[:10], None))
    with PeakMemory() as peak:
        CellSearch(target).best_cells(queries)
    assert peak() <= 1.25 * 128 * 1024**2  # all scores at once would be 1.2 GB
