"""Which volumes the batches hold."""

from collections import Counter

from anatomical_embedding.patches.batch_mix import BatchMix


def test_counts_are_exact_over_1000_batches():
    mix = BatchMix({"a": 7, "b": 3, "c": 1}, mix={"a": 3, "b": 1, "c": 2}, seed=5)
    batches = [mix.batch(step) for step in range(1000)]
    assert all(Counter(slot.dataset for slot in batch) == {"a": 3, "b": 1, "c": 2} for batch in batches)
    served = Counter((slot.dataset, slot.volume_index) for batch in batches for slot in batch)
    assert {served["a", volume] for volume in range(7)} <= {428, 429}
    assert {served["b", volume] for volume in range(3)} <= {333, 334}
    assert served["c", 0] == 2000


def test_a_batch_depends_on_seed_and_step_alone():
    arguments = {"num_volumes": {"a": 20}, "mix": {"a": 4}}
    mix = BatchMix(**arguments, seed=1)
    forwards = [mix.batch(step) for step in range(50)]
    backwards = [BatchMix(**arguments, seed=1).batch(step) for step in reversed(range(50))][::-1]
    assert forwards == backwards
    assert forwards != [BatchMix(**arguments, seed=2).batch(step) for step in range(50)]


def test_one_volume_fills_a_larger_batch():
    mix = BatchMix({"only": 1}, mix={"only": 4}, seed=0)
    assert [slot.volume_index for slot in mix.batch(3)] == [0, 0, 0, 0]
