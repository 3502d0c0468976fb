"""Run files: the delivered ones are sound and stand alone, recipes fill in the rest, and what is wrong is named."""

import copy

import pytest
import yaml
from snakemake.utils import update_config

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.settings.pipeline import read_pipeline_settings, section_json
from anatomical_embedding.settings.run_file import completed_run_file, known_recipes, read_run_files
from tests.run_files import (
    ADDED_TO,
    DELIVERED,
    LONGEST_RUN_FILE,
    lines_that_say_something,
    put,
    readme_example,
)
from workflow_scripts.write_schema import SCHEMAS, schema_text

SPLIT = {"num_test": 0, "num_validation": 0, "seed": 1}
LABELLED = {"kind": "case_folders", "modality": "ct", "root": "cases", "split": SPLIT, "organs": ["liver"]}


@pytest.fixture
def configuration():
    """Return the demo with every value written out."""
    return completed_run_file(read_run_files([REPOSITORY / "config.yaml"]))


@pytest.mark.parametrize(("path", "schema"), SCHEMAS.items(), ids=lambda value: getattr(value, "name", ""))
def test_schema_is_in_step_with_the_settings(path, schema):
    assert path.read_text(encoding="utf-8") == schema_text(schema()), "run `make schema`"


def test_delivered_configuration_is_sound(configuration):
    settings = read_pipeline_settings(configuration)
    assert settings.evaluations["phantom_ct"].models == ("sam", "sampp")


@pytest.mark.parametrize("path", DELIVERED, ids=lambda path: path.stem)
def test_delivered_run_files_are_sound_and_short_and_take_nothing_away(path):
    content = read_run_files([path])
    settings = read_pipeline_settings(read_run_files([*ADDED_TO.get(path.name, []), path]))
    assert settings.title == content.get("title", settings.title)
    assert "null" not in yaml.safe_dump(content)
    assert len(lines_that_say_something(path)) <= LONGEST_RUN_FILE


@pytest.mark.parametrize("path", DELIVERED, ids=lambda path: path.stem)
def test_a_run_file_is_what_it_names_and_nothing_more(path):
    content = read_run_files([path])
    settings = read_pipeline_settings(read_run_files([*ADDED_TO.get(path.name, []), path]))
    added_to = [read_run_files([before]) for before in ADDED_TO.get(path.name, [])]
    for section in ("datasets", "models", "evaluations", "registrations", "trackings"):
        named = {name for each in (content, *added_to) for name in each.get(section, {})}
        assert set(getattr(settings, section)) == named


def test_the_example_of_the_readme_is_short_and_sound():
    example = readme_example()
    assert len(example.splitlines()) <= 12
    settings = read_pipeline_settings(yaml.safe_load(example))
    assert set(settings.models) == {"sam"}
    assert settings.evaluations == {}


def test_moved_pairs_add_to_the_demo(configuration):
    before = read_pipeline_settings(configuration)
    added = REPOSITORY / "configs" / "phantom_moved_pairs.yaml"
    settings = read_pipeline_settings(read_run_files([REPOSITORY / "config.yaml", added]))
    assert settings.models == before.models
    assert settings.results == before.results
    assert set(settings.registrations) == {"round_1", "moved_pairs"}


def test_files_are_combined_as_snakemake_does_it():
    paths = [REPOSITORY / "configs" / name for name in ("headneck_ct.yaml", "headneck_registration.yaml")]
    content = {}
    for path in paths:
        update_config(content, yaml.safe_load(path.read_text(encoding="utf-8")))
    assert read_run_files(paths) == content
    settings = read_pipeline_settings(content)
    registrations = settings.registrations
    assert registrations["embedding_start"].deeds == settings.scan_registration.deeds
    assert registrations["embedding_start"].guide.fit == settings.scan_registration.fit
    assert registrations["linear_start"].deeds.linear.kind == "affine"
    assert registrations["embedding_start"].pairs == registrations["linear_start"].pairs


def test_published_recipe_has_the_published_numbers():
    model = read_pipeline_settings(read_run_files([REPOSITORY / "configs" / "nih_sam.yaml"])).models["sam"]
    assert model.network.fine_stride_zyx == (2, 2, 2)
    assert model.network.coarse_stride_zyx == (4, 16, 16)
    assert model.training.mix == {"nih_lymph_node": 6}
    assert model.training.fine_loss.hard_negative_pool == 2000
    assert model.training.coarse_loss.num_other_negatives == 1000
    assert model.training.optimizer.learning_rate == 0.02


def run_of(**models):
    """Return a run file of some models on one folder of scans."""
    scans = {"kind": "folder", "modality": "ct", "root": "scans", "split": SPLIT}
    return {"title": "A run", "results": "results", "datasets": {"scans": scans}, "models": models}


def sam(recipe, **training):
    return {"recipe": recipe, "training": {"mix": {"scans": 2}, **training}}


def test_what_a_model_says_has_the_last_word_and_the_recipe_says_the_rest():
    models = {
        "long": sam("sam_small", num_steps=7, views={"max_rotation_degrees": 3}),
        "plain": sam("sam_small"),
    }
    settings = read_pipeline_settings(run_of(**models)).models
    assert settings["long"].training.num_steps == 7
    assert settings["long"].training.views.max_rotation_degrees == 3
    assert settings["long"].training.views.patch_size_vox == (56, 48, 56)
    assert settings["plain"].training.num_steps == 400


def test_models_that_share_an_anchor_are_each_completed():
    shared = sam("sam_small")
    settings = read_pipeline_settings(run_of(first=shared, second=shared)).models
    assert settings["first"] == settings["second"]


def test_a_model_that_starts_from_another_has_its_network():
    first = {"recipe": "cross_sam_first_small", "network": {"embedding_channels": 24, "coarse_channels": 40}}
    second = {"recipe": "cross_sam_small", "initial_model": "first"}
    third = second | {"initial_model": "second", "network": {"coarse_channels": 48}}
    models = completed_run_file(run_of(third=third, second=second, first=first))["models"]
    assert models["second"]["network"] == models["first"]["network"]
    assert models["first"]["network"]["embedding_channels"] == 24
    assert models["third"]["network"] == models["first"]["network"] | {"coarse_channels": 48}


@pytest.mark.parametrize("network", [None, 5, ["a"]])
def test_a_network_that_is_no_section_is_left_to_the_check(network):
    first = {"recipe": "cross_sam_first_small", "network": network}
    second = {"recipe": "cross_sam_small", "initial_model": "first"}
    models = completed_run_file(run_of(first=first, second=second))["models"]
    assert models["first"]["network"] == network
    assert models["second"]["network"]["coarse_channels"] > 0


def test_models_that_start_from_each_other_are_left_to_the_check():
    models = {name: {"recipe": "cross_sam_small", "initial_model": other} for name, other in ("ab", "ba")}
    assert completed_run_file(run_of(**models))["models"]["a"]["initial_model"] == "b"


def test_registrations_of_the_workflow_ask_for_no_doubt_and_else_what_register_asks(configuration):
    asked = read_pipeline_settings(configuration).scan_registration.deeds
    assert asked.descent.doubt is not None
    without = asked.without_doubt()
    assert without.descent.doubt is None
    assert without.model_dump(exclude={"descent": {"doubt"}}) == asked.model_dump(
        exclude={"descent": {"doubt"}}
    )


def test_what_differs_between_modalities_is_taken_between_ct_and_mr_alone(configuration):
    asked = read_pipeline_settings(configuration).scan_registration.deeds
    assert asked.for_pair("ct", "ct") == asked
    assert asked.for_pair("mr", "mr") == asked.model_copy(update={"descent": None})
    differs = asked.between_modalities
    other = asked.for_pair("ct", "mr")
    assert (other.alpha, other.linear.kind) == (differs.alpha, differs.linear_kind)
    assert other.alpha > asked.alpha
    assert other.descent is None
    kept = {"alpha", "linear", "descent"}
    assert other.model_dump(exclude=kept) == asked.model_dump(exclude=kept)
    kept_linear = other.linear.model_dump(exclude={"kind"})
    assert kept_linear == asked.linear.model_dump(exclude={"kind"})


def test_without_what_differs_two_modalities_lose_the_descent_alone(configuration):
    asked = read_pipeline_settings(configuration).scan_registration.deeds
    plain = asked.model_copy(update={"between_modalities": None, "linear": None})
    assert plain.for_pair("mr", "ct") == plain.model_copy(update={"descent": None})
    stiff = asked.model_copy(update={"linear": None}).for_pair("ct", "mr")
    assert stiff.linear is None
    assert stiff.alpha == asked.between_modalities.alpha


def test_another_optimizer_replaces_that_of_the_recipe():
    published = {"name": "sgd", "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 0.0001}
    changed = {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0}
    run = run_of(a=sam("sam_nih_published", optimizer=changed), b=sam("sam_nih_published"))
    models = read_pipeline_settings(run).models
    assert models["a"].training.optimizer.model_dump() == changed
    assert models["b"].training.optimizer.model_dump() == published
    slower = run_of(a=sam("sam_nih_published", optimizer={"learning_rate": 0.01}))
    assert read_pipeline_settings(slower).models["a"].training.optimizer.momentum == 0.9


def test_volumes_are_prepared_as_the_recipes_of_the_models_want():
    published = read_pipeline_settings(run_of(sam=sam("sam_nih_published")))
    assert published.volumes.spacing_mm == (2, 2, 2)
    assert published.intensity.ct_low_hu == -1024
    wider = read_pipeline_settings(run_of(sam=sam("sam_small")) | {"volumes": {"spacing_mm": [3, 3, 3]}})
    assert wider.volumes.spacing_mm == (3, 3, 3)
    assert wider.intensity.ct_low_hu == -500
    both = run_of(a=sam("sam_small"), b=sam("sam_nih_published"))
    with pytest.raises(SettingsError, match=r"preparation: .* different ones \(a small, b published\)"):
        read_pipeline_settings(both)
    assert read_pipeline_settings(both | {"preparation": "small"}).volumes.spacing_mm == (4, 4, 4)


@pytest.mark.parametrize("recipe", known_recipes("models"))
def test_every_recipe_of_a_model_is_whole(recipe):
    labelled = LABELLED | {"organs": ["liver", "spleen"]}
    run = run_of(first=sam("sam_small"), model=sam(recipe)) | {"preparation": "published"}
    run["datasets"] |= {"labelled": labelled}
    model = run["models"]["model"]
    if recipe.startswith("sampp"):
        model["semantic"] = {"dataset": "labelled"}
    if recipe in ("cross_sam_small", "cross_sam_published"):
        model["registered"] = {"registration": "round"}
        pairs = {"fixed_modality": "ct", "moving_modality": "mr", "splits": ["train"]}
        guide = {"recipe": "published", "model": "first"}
        entry = {"dataset": "scans", "pairs": pairs, "guide": guide, "deeds": {"recipe": "published"}}
        run["registrations"] = {"round": entry}
    assert read_pipeline_settings(run).models["model"].training.mix == {"scans": 2}


def test_settings_written_out_say_the_same():
    content = read_run_files([REPOSITORY / "config.yaml"])
    whole = completed_run_file(content)
    assert read_pipeline_settings(yaml.safe_load(yaml.safe_dump(whole))) == read_pipeline_settings(content)
    assert "recipe" not in yaml.safe_dump(whole)
    assert completed_run_file(whole) == whole


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (
            ("models", "sam", "recipe"),
            "sam_smal",
            "models.sam.recipe: expected one of cross_sam_first_published, ",
        ),
        (("models", "sam", "recipe"), ["sam_small"], "models.sam.recipe: expected one of "),
        (("preparation",), "fine", "preparation: expected one of published, small, got 'fine'"),
        (
            ("registrations", "round_1", "deeds", "recipe"),
            "sam_small",
            "round_1.deeds.recipe: expected one of ",
        ),
        (
            ("models", "sampp"),
            None,
            "models.sampp: is null; a run file contains only what it names, so leave it out",
        ),
        (("datasets", "phantom_ct"), None, "datasets.phantom_ct: is null"),
        (
            ("stable_points",),
            {"num_places": 4},
            "stable_points: has a new place; move its keys to methods.stable_points",
        ),
        (
            ("models", "sam"),
            "sam_small",
            "models.sam: expected a section with keys of its own, got 'sam_small'",
        ),
        (("models",), ["sam"], "models: "),
        (("scan_registration",), 3, "scan_registration: "),
        (("datasets", "phantom_ct", "modalities"), 3, "phantom_ct.modalities: expected a list, got 3"),
        (("datasets", "phantom_ct", "kind"), ["phantom"], "datasets.phantom_ct"),
        (("registrations", "round_1", "deeds"), "small", "round_1.deeds: "),
        (("models", "sam", "training", "optimizer"), "sgd", "sam.training.optimizer: "),
        (("models", "sam", "training"), None, "models.sam.training: "),
    ],
)
def test_faults_of_run_files_are_named(keys, value, message):
    content = read_run_files([REPOSITORY / "config.yaml"])
    put(content, keys, value)
    with pytest.raises(SettingsError) as caught:
        read_pipeline_settings(content)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("models", "sam", "training", "num_step"), 5, "models.sam.training.num_step: is not a known key"),
        (
            ("models", "sam", "training", "num_steps"),
            -1,
            "models.sam.training.num_steps: should be greater than 0, got -1",
        ),
        (
            ("models", "sam", "training", "mix"),
            {"other": 1},
            "models.sam.training.mix names 'other', which is not in datasets",
        ),
        (("evaluations", "phantom_ct", "models"), ["none"], "names 'none', which is not in models"),
        (
            ("models", "sam", "training", "num_steps"),
            "many",
            "num_steps: expected a whole number, got 'many'",
        ),
        (("volumes",), None, "volumes: "),
        *[
            (("results",), name, "results: ")
            for name in ("../$(rm)", "-rf", "a b", "a\nb", "a'b", "a{b}", "a\n", "")
        ],
        *[
            (
                ("datasets", "phantom_ct"),
                {"kind": "folder", "modality": "ct", "root": root, "split": SPLIT},
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
        (
            ("datasets", "phantom_ct", "kind"),
            "unheard_of",
            "datasets.phantom_ct.kind: expected one of 'folder', 'case_folders', ",
        ),
        (("datasets", "phantom_ct"), {"root": "scans"}, "datasets.phantom_ct.kind: is missing"),
    ],
)
def test_faults_are_named(configuration, keys, value, message):
    put(configuration, keys, value)
    with pytest.raises(SettingsError) as caught:
        read_pipeline_settings(configuration)
    assert message in str(caught.value)


def test_a_run_file_without_recipes_is_told_of_them():
    dataset = {"kind": "folder", "modality": "ct", "root": "scans", "split": SPLIT}
    run = {"title": "Mine", "results": "results", "datasets": {"mine": dataset}}
    with pytest.raises(
        SettingsError, match=r"^preparation: is missing, expected one of published, small, as no"
    ):
        read_pipeline_settings(run)
    model = {"training": {"mix": {"mine": 1}}}
    with pytest.raises(
        SettingsError, match=r"^models\.sam\.recipe: is missing, expected one of .*, sam_small, "
    ):
        read_pipeline_settings(run | {"models": {"sam": model}})
    read_pipeline_settings(run | {"models": {"sam": model | {"recipe": "sam_small"}}})


def test_missing_section_is_named(configuration):
    del configuration["intensity"]  # no recipe is left that would say it
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
    put(configuration, keys, value)
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
