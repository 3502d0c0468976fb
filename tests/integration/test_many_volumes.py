"""A thousand volumes: one that is added is prepared and embedded alone, and planning takes seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anatomical_embedding.embedding import export as export_module
from anatomical_embedding.embedding.embed_volume import VolumeEmbedder
from anatomical_embedding.embedding.export import export_embeddings
from anatomical_embedding.networks.checkpoint import load_checkpoint, save_checkpoint
from anatomical_embedding.settings.export import ExportSettings
from anatomical_embedding.volumes.volume import Volume
from benchmarks.plan_workflow import MAX_CPU_SECONDS, plan, set_up_scans
from tests.integration.tiny_training import INTENSITY
from tests.integration.tiny_workflow import counted_jobs
from tests.prepared_volumes import lps_affine, write_prepared
from tests.reference.small_networks import isotropic_settings, network_with_statistics

pytestmark = pytest.mark.slow

NUM_VOLUMES = 1000
RESULTS = Path("results/nih_sam")
SETTINGS = ExportSettings.model_validate(
    {
        "embedding": {
            "precision": "fp32",
            "device": "cpu",
            "memory_limit_mb": 200,
            "with_semantic_map": False,
        },
        "store": {"format": "fp16"},
        "intensity": INTENSITY,
    }
)


@pytest.fixture
def work(monkeypatch):
    """Count how often a checkpoint is loaded and a volume embedded."""
    counts = {"loaded": 0, "embedded": 0}

    def load(path):
        counts["loaded"] += 1
        return load_checkpoint(path)

    def embed(self, array, **region):
        counts["embedded"] += 1
        return embed_for_real(self, array, **region)

    embed_for_real = VolumeEmbedder.embed
    monkeypatch.setattr(export_module, "load_checkpoint", load)
    monkeypatch.setattr(VolumeEmbedder, "embed", embed)

    def done_now():
        now = dict(counts)
        counts.update(loaded=0, embedded=0)
        return now

    return done_now


def rows_of(folder, *, num_volumes):
    """Return index rows that all name one small volume, as if each were a volume of its own."""
    image = Volume(np.random.default_rng(0).integers(-500, 500, (8, 8, 8)).astype(np.int16), lps_affine())
    row = write_prepared(
        folder, "volume", image, Volume(np.ones(image.shape, np.uint8), image.affine), patient_id="patient"
    )
    return [
        replace(row, volume_id=f"volume_{number:04d}", sha256=f"{number:064x}")
        for number in range(num_volumes)
    ]


def test_the_model_is_loaded_once_and_an_added_volume_is_embedded_alone(tmp_path, work):
    checkpoint = tmp_path / "model.safetensors"
    save_checkpoint(checkpoint, network_with_statistics(isotropic_settings(width=2)), metadata={})
    rows = rows_of(tmp_path, num_volumes=NUM_VOLUMES + 1)

    def export(rows):
        return export_embeddings(
            rows, checkpoint=checkpoint, store_folder=tmp_path / "stores", settings=SETTINGS
        )

    stores = export(rows[:-1])
    assert work() == {"loaded": 1, "embedded": NUM_VOLUMES}
    before = {path: path.stat().st_mtime_ns for path in stores.values()}
    assert len(before) == NUM_VOLUMES

    stores = export(rows)
    assert work() == {"loaded": 1, "embedded": 1}
    after = {path: path.stat().st_mtime_ns for path in stores.values()}
    assert after.keys() - before.keys() == {stores[rows[-1].volume_id]}
    assert {path: after[path] for path in before} == before

    export(rows)
    assert work() == {"loaded": 0, "embedded": 0}


def test_a_run_over_a_thousand_scans_is_planned_in_seconds(tmp_path):
    set_up_scans(tmp_path, num_volumes=NUM_VOLUMES)
    seconds, said = plan(tmp_path)
    assert seconds < MAX_CPU_SECONDS[NUM_VOLUMES]
    jobs = counted_jobs(said)
    assert jobs["resample_volume"] == NUM_VOLUMES
    assert jobs["train_intra"] == jobs["index_dataset"] == 1


def test_of_a_thousand_prepared_scans_and_a_new_one_the_new_one_is_prepared(tmp_path):
    set_up_scans(tmp_path, num_volumes=NUM_VOLUMES)
    prepared = tmp_path / RESULTS / "volumes" / "nih_lymph_node"
    prepared.mkdir(parents=True)
    for scan in (tmp_path / "scans").iterdir():
        for ending in (".nii", ".body_mask.nii", ".json"):
            (prepared / (scan.name.removesuffix(".nii.gz") + ending)).touch()
    (tmp_path / "scans" / "scan_99999.nii.gz").touch()
    seconds, said = plan(tmp_path, "--", str(RESULTS / "volumes" / "nih_lymph_node.csv"))
    assert seconds < MAX_CPU_SECONDS[NUM_VOLUMES]
    assert counted_jobs(said) == {"resample_volume": 1, "index_dataset": 1}
