"""Organs carried by prototypes: to a body of known shape, and refused where there is nothing to carry."""

import dataclasses

import numpy as np
import pytest

from anatomical_embedding.embedding.store import write_store
from anatomical_embedding.embedding.store_manifest import write_store_manifest
from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.label_transfer import organ_prototypes, transfer_labels
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.reference.synthetic_embeddings import synthetic_volume
from workflow_scripts.transfer_labels import main

GRID = np.diag([2.0, 2.0, 2.0, 1.0])
SHAPE = (48, 44, 40)
SCALE = np.array([1.1, 0.95, 1.05])
SHIFT_MM = np.array([-5.0, 4.0, 3.0])
CENTRES_MM = {3: np.array([30.0, 30.0, 40.0]), 7: np.array([66.0, 50.0, 36.0])}
RADIUS_MM = 12.0


def into_template(points_mm):
    return (points_mm - SHIFT_MM) / SCALE


def volume(name, anatomy_of=lambda points_mm: points_mm, **kind):
    return synthetic_volume(
        GRID,
        SHAPE,
        volume_id=name,
        anatomy_of=anatomy_of,
        has_semantic=True,
        num_channels=96,
        coarse_stride_vox=(8, 8, 8),
        **kind,
    )


def balls(anatomy_of=lambda points_mm: points_mm):
    """Return the labels of two balls of the template's world, seen through a map."""
    voxels = np.stack(np.indices(SHAPE), axis=-1).reshape(-1, 3)
    places = anatomy_of(transform_points(GRID, voxels))
    labels = np.zeros(len(voxels), np.uint8)
    for label, centre in CENTRES_MM.items():
        labels[np.linalg.norm(places - centre, axis=1) < RADIUS_MM] = label
    return Volume(labels.reshape(SHAPE), GRID)


def dice(found, truth, label):
    here, there = found.array == label, truth.array == label
    return 2 * (here & there).sum() / (here.sum() + there.sum())


def test_organs_arrive_in_a_body_of_another_shape():
    found = transfer_labels(volume("target", into_template), organ_prototypes(volume("template"), balls()))
    truth = balls(into_template)
    assert set(np.unique(found.array)) == {0, 3, 7}
    for label in CENTRES_MM:
        assert dice(found, truth, label) > 0.85


def test_threshold_of_a_prototype_is_the_best_of_the_template():
    """By trying every one."""
    template, labels = volume("template"), balls()
    prototypes = organ_prototypes(template, labels)
    cells = labels.array[::2, ::2, ::2].transpose(2, 1, 0)
    vectors = template.semantic.values.astype(np.float32)
    for label, vector, threshold, overlap in zip(
        prototypes.labels,
        prototypes.vectors,
        prototypes.thresholds,
        prototypes.template_dice,
        strict=True,
    ):
        similarity, is_organ = vectors @ vector, cells == label
        tried = [
            2 * (is_organ & (similarity >= value)).sum() / (is_organ.sum() + (similarity >= value).sum())
            for value in np.unique(similarity[is_organ])
        ]
        assert overlap == pytest.approx(max(tried))
        chosen = similarity >= threshold
        assert 2 * (is_organ & chosen).sum() / (is_organ.sum() + chosen.sum()) == pytest.approx(overlap)


def test_stage_writes_a_map_for_every_other_volume(tmp_path):
    volumes = {"template": volume("template"), "target": volume("target", into_template)}
    for name, embedded in volumes.items():
        write_store(tmp_path / f"{name}.safetensors", embedded)
    write_store_manifest(
        {name: tmp_path / f"{name}.safetensors" for name in volumes}, tmp_path / "stores.csv"
    )
    write_volume(balls(), tmp_path / "labels.nii.gz")
    arguments = ["--stores", tmp_path / "stores.csv", "--template", "template"]
    arguments += ["--labels", tmp_path / "labels.nii.gz", "--output-folder", tmp_path / "carried"]
    main([str(argument) for argument in arguments])
    assert [path.name for path in (tmp_path / "carried").iterdir()] == ["target.nii.gz"]
    carried = read_volume(tmp_path / "carried" / "target.nii.gz")
    assert dice(carried, balls(into_template), 7) > 0.85
    other = dataclasses.replace(volumes["target"].origin, checkpoint_sha256="d" * 64)
    write_store(tmp_path / "target.safetensors", dataclasses.replace(volumes["target"], origin=other))
    with pytest.raises(UserError, match=r"target\.safetensors.*model"):
        main([str(argument) for argument in arguments])
    arguments[3] = "nobody"
    with pytest.raises(UserError, match="lists no store of 'nobody'"):
        main([str(argument) for argument in arguments])


def test_what_cannot_be_carried_is_refused():
    template = volume("template")
    with pytest.raises(UserError, match="show no organ in the volume 'template'"):
        organ_prototypes(template, Volume(np.zeros(SHAPE, np.uint8), GRID))
    with pytest.raises(UserError, match="'template' has no semantic map; train a model of method sampp"):
        organ_prototypes(dataclasses.replace(template, semantic=None), balls())
