"""What the profiles name exists."""

import re

import pytest
import yaml

from anatomical_embedding.code_fingerprint import REPOSITORY

PROFILES = sorted((REPOSITORY / "profiles").glob("*/config.yaml"))
RULE = re.compile(r"^(?:use rule \w+ as|rule) (\w+)", flags=re.MULTILINE)


def rules():
    sources = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "rules").glob("*.smk")]
    return {name for source in sources for name in RULE.findall(source)}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_every_rule_that_a_profile_names_exists(path):
    profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    named = {name for key in ("set-resources", "set-threads", "groups") for name in profile.get(key, {})}
    assert named
    assert named <= rules()


def test_every_stage_that_takes_several_processes_stands_in_every_profile():
    """So that the number to change is where a user looks for it."""
    sources = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "rules").glob("*.smk")]
    started = {"train_intra", "train_semantic", "train_inter", "export_embeddings"}
    assert sum(source.count("workflow_scripts.start_processes") for source in sources) == 2
    for path in PROFILES:
        resources = yaml.safe_load(path.read_text(encoding="utf-8"))["set-resources"]
        assert {name for name in resources if "gpu" in resources[name]} == started
