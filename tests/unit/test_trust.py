"""Nothing that is read can run code: no pickle, no YAML with types, no shell, no text that is evaluated."""

import ast

import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY

FOLDERS = ("anatomical_embedding", "workflow_scripts", "benchmarks", "deeds", "tests")
SOURCES = sorted(path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py"))
FORBIDDEN = {
    *(
        "pickle.load",
        "pickle.loads",
        "pickle.Unpickler",
        "dill.load",
        "joblib.load",
        "shelve.open",
        "marshal.loads",
    ),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "yaml.unsafe_load_all"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("eval", "exec", "pandas.read_pickle", "pd.read_pickle"),
}
NEEDED = {"torch.load": ("weights_only", True)}
NEVER = {"shell": True, "allow_pickle": True, "weights_only": False}


def faults_of(source):
    """Return what a source does that it must not, each with its line."""
    tree = ast.parse(source)
    origins = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            origins |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            origins |= {alias.asname: alias.name for alias in node.names if alias.asname}
    faults = []
    for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
        first, *others = ast.unparse(call.func).split(".")
        name = ".".join([origins.get(first, first), *others])
        values = {
            keyword.arg: keyword.value.value
            for keyword in call.keywords
            if isinstance(keyword.value, ast.Constant)
        }
        key, value = NEEDED.get(name, (None, None))
        if name in FORBIDDEN or (key and values.get(key) is not value):
            faults.append((call.lineno, name))
        faults += [(call.lineno, key) for key, value in NEVER.items() if values.get(key) is value]
    return faults


@pytest.mark.slow
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_source_runs_nothing_that_it_reads(path):
    assert faults_of(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(path)",
        "from torch import load\nload(path, weights_only=False)",
        "from torch import load as read\nread(path)",
        "import pickle as p\np.loads(data)",
        "import yaml\nyaml.load(text, Loader=yaml.Loader)",
        "import subprocess\nsubprocess.run(command, shell=True)",
        "from os import system\nsystem(command)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "eval(text)",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert [line for line, _ in faults_of(source)][:1] == [source.count("\n") + 1]


def test_the_search_leaves_the_safe_ways_alone():
    assert faults_of("import torch, yaml\ntorch.load(path, weights_only=True)\nyaml.safe_load(text)") == []
