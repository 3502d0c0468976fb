"""The configuration: the delivered files are sound, overlays merge, and what is wrong is named."""

import copy

import pytest
import yaml
from snakemake.utils import update_config

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.settings.pipeline import read_pipeline_settings, section_json
from workflow_scripts.write_schema import SCHEMA_PATH, schema_text

CONFIGS = REPOSITORY / "configs"
ADDING = CONFIGS / "phantom_moved_pairs.yaml"
ADDING_TO_HEADNECK = CONFIGS / "headneck_registration.yaml"
OVERLAYS = sorted(set(CONFIGS.glob("*.yaml")) - {ADDING, ADDING_TO_HEADNECK})
SPLIT = {"num_test": 0, "num_validation": 0, "seed": 1}
LABELLED = {"kind": "totalsegmentator", "root": "cases", "split": SPLIT, "organs": ["liver"]}


@pytest.fixture
def configuration():
    return yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))


def test_schema_is_in_step_with_the_settings():
    assert SCHEMA_PATH.read_text(encoding="utf-8") == schema_text(), "run `make schema`"


def test_delivered_configuration_is_sound(configuration):
    settings = read_pipeline_settings(configuration)
    assert settings.evaluations["phantom_ct"].models == ("sam", "sampp")


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_overlays_are_sound_and_take_the_demo_away(configuration, path):
    update_config(configuration, yaml.safe_load(path.read_text(encoding="utf-8")))
    settings = read_pipeline_settings(configuration)
    assert "phantom_ct" not in settings.datasets
    assert all("phantom_ct" not in model.training.mix for model in settings.models.values())


def test_moved_pairs_add_to_the_demo(configuration):
    before = read_pipeline_settings(copy.deepcopy(configuration))
    update_config(configuration, yaml.safe_load(ADDING.read_text(encoding="utf-8")))
    settings = read_pipeline_settings(configuration)
    assert settings.models == before.models
    assert settings.results == before.results
    assert set(settings.registrations) == {"round_1", "moved_pairs"}


def test_head_and_neck_registrations_add_to_the_data_set(configuration):
    for path in (CONFIGS / "headneck_ct.yaml", ADDING_TO_HEADNECK):
        update_config(configuration, yaml.safe_load(path.read_text(encoding="utf-8")))
    registrations = read_pipeline_settings(configuration).registrations
    assert registrations["embedding_start"].deeds.linear == registrations["linear_start"].deeds.linear
    assert registrations["embedding_start"].deeds.linear.kind == "affine"
    assert registrations["embedding_start"].pairs == registrations["linear_start"].pairs


def test_published_recipe_has_the_published_numbers(configuration):
    update_config(
        configuration, yaml.safe_load((REPOSITORY / "configs" / "nih_sam.yaml").read_text(encoding="utf-8"))
    )
    model = read_pipeline_settings(configuration).models["sam"]
    assert model.network.fine_stride_zyx == (2, 2, 2)
    assert model.network.coarse_stride_zyx == (4, 16, 16)
    assert model.training.mix == {"nih_lymph_node": 6}
    assert model.training.fine_loss.hard_negative_pool == 2000
    assert model.training.coarse_loss.num_other_negatives == 1000
    assert model.training.optimizer.learning_rate == 0.02


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("models", "sam", "training", "num_step"), 5, "models.sam.training.num_step: is not a known key"),
        (("models", "sam", "training", "num_steps"), -1, "models.sam.training.num_steps: "),
        (("models", "sam", "training", "mix"), {"other": 1}, "names 'other', which is not in datasets"),
        (("evaluations", "phantom_ct", "models"), ["none"], "names 'none', which is not in models"),
        (("volumes",), None, "volumes: "),
        *[
            (("results",), name, "results: ")
            for name in ("../$(rm)", "-rf", "a b", "a\nb", "a'b", "a{b}", "a\n", "")
        ],
        *[
            (
                ("datasets", "phantom_ct"),
                {"kind": "nih_lymph_node", "root": root, "split": SPLIT},
                "phantom_ct.root: ",
            )
            for root in ("a{b}c", "{volume}", "-rf", "a\0b")
        ],
        *[
            (("datasets", "phantom_ct"), LABELLED | {"label_map": name}, "phantom_ct.label_map: ")
            for name in ("../labels.nii.gz", "/etc/passwd", "", "{organ}.nii.gz")
        ],
        *[
            ((section, name), {}, f"{section}.{name}")
            for section in ("datasets", "models", "evaluations", "trackings", "registrations")
            for name in ("a b", "$(id)", "..", "a/b", "a'", 'a"', "a\nb", "-a", "a{b}")
        ],
        (("datasets", "../x"), {"kind": "phantom"}, "datasets"),
        (("volumes", "spacing_mm"), [2, 2, 0], "volumes.spacing_mm"),
        (("datasets", "phantom_ct", "kind"), "unheard_of", "datasets.phantom_ct"),
    ],
)
def test_faults_are_named(configuration, keys, value, message):
    section = configuration
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    with pytest.raises(SettingsError) as caught:
        read_pipeline_settings(configuration)
    assert message in str(caught.value)


def test_missing_section_is_named(configuration):
    del configuration["intensity"]
    with pytest.raises(SettingsError, match="intensity: is missing"):
        read_pipeline_settings(configuration)


def test_reading_leaves_the_configuration_as_it_was(configuration):
    before = copy.deepcopy(configuration)
    read_pipeline_settings(configuration)
    assert configuration == before


def test_equal_settings_give_equal_text(configuration):
    turned = {key: configuration[key] for key in reversed(configuration)}
    settings = [read_pipeline_settings(content).matching for content in (configuration, turned)]
    assert section_json(part=settings[0]) == section_json(part=settings[1])


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("models", "cross_sam_m1", "registered", "registration"), "none", "which is not in registrations"),
        (("registrations", "round_1", "guide"), None, "'round_1', which has no guide; give it one"),
        (("registrations", "round_1", "guide", "model"), "none", "round_1.guide.model names 'none'"),
        (("models", "cross_sam_m1", "initial_model"), "sam", "network differs from that of 'sam'"),
        (("registrations", "round_1", "guide", "model"), "cross_sam_m1", "cross_sam_m1 depends on itself"),
        (("models", "cross_sam_m1", "initial_model"), "cross_sam_m1", "cross_sam_m1 depends on itself"),
    ],
)
def test_rounds_of_cross_sam_are_checked(configuration, keys, value, message):
    place = configuration
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    with pytest.raises(SettingsError, match=message):
        read_pipeline_settings(configuration)


def test_a_second_round_is_two_more_sections(configuration):
    configuration["registrations"]["round_2"] = copy.deepcopy(configuration["registrations"]["round_1"])
    configuration["registrations"]["round_2"]["guide"]["model"] = "cross_sam_m1"
    second = copy.deepcopy(configuration["models"]["cross_sam_m1"])
    second["initial_model"] = "cross_sam_m1"
    second["registered"]["registration"] = "round_2"
    configuration["models"]["cross_sam_m2"] = second
    assert "cross_sam_m2" in read_pipeline_settings(configuration).models
