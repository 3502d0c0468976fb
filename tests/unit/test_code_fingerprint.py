"""A stage's fingerprint changes with the code that it reaches, and with nothing else."""

import ast
import functools
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from anatomical_embedding.code_fingerprint import (
    PLUMBING,
    PROGRESS,
    REPOSITORY,
    modules_that_count,
    reachable_modules,
    syntax_that_counts,
)

TRAININGS = {"train_intra": 1, "train_semantic": 2, "train_inter": 3}
NUM_SEEDED_CHANGES = 200
HARMLESS_IN_PLUMBING = {"pydantic", "rich"}


@pytest.fixture
def checkout(tmp_path):
    for name in ("anatomical_embedding", "workflow_scripts"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def fingerprint(checkout, stage):
    code = f"from anatomical_embedding.code_fingerprint import code_of; print(code_of({stage!r}))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, check=True, capture_output=True, encoding="utf-8"
    ).stdout


def fingerprint_and_sources_read(checkout, stage):
    """Return the fingerprint of a stage, and how many sources the process that asked had to parse."""
    code = f"""
import ast
from unittest import mock
from anatomical_embedding.code_fingerprint import code_of
with mock.patch("ast.parse", wraps=ast.parse) as parse:
    print(code_of({stage!r}), parse.call_count)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, check=True, capture_output=True, encoding="utf-8"
    ).stdout
    found, num_read = said.split()
    return found, int(num_read)


def edit(checkout, path, old, new):
    text = (checkout / path).read_text(encoding="utf-8")
    assert old in text
    (checkout / path).write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.slow
def test_comments_docstrings_and_place_do_not_count(checkout):
    before = fingerprint(REPOSITORY, "train_intra")
    path = "anatomical_embedding/losses/contrastive.py"
    edit(checkout, path, '"""The contrastive losses', '"""Other words about the contrastive losses')
    (checkout / path).write_text(
        (checkout / path).read_text(encoding="utf-8") + "\n# a comment at the end\n", encoding="utf-8"
    )
    assert fingerprint(checkout, "train_intra") == before


@pytest.mark.slow
def test_an_edit_reaches_the_stages_that_import_it(checkout):
    before = {stage: fingerprint(REPOSITORY, stage) for stage in ("train_intra", "initialise_network")}
    edit(checkout, "anatomical_embedding/losses/cross_entropy.py", "/ temperature", "/ (2 * temperature)")
    assert fingerprint(checkout, "train_intra") != before["train_intra"]
    assert fingerprint(checkout, "initialise_network") == before["initialise_network"]


@pytest.mark.slow
def test_the_next_start_reads_only_the_sources_that_have_changed(checkout):
    stage = "fit_affine"
    first, num_sources = fingerprint_and_sources_read(checkout, stage)
    assert num_sources == len(modules_that_count(f"workflow_scripts.{stage}"))
    assert fingerprint_and_sources_read(checkout, stage) == (first, 0)
    edit(
        checkout,
        "anatomical_embedding/volumes/affine.py",
        "import numpy as np\n",
        "import glob\nimport numpy as np\n",
    )
    changed, num_read = fingerprint_and_sources_read(checkout, stage)
    assert (changed != first, num_read) == (True, 1)
    kept = checkout / "anatomical_embedding" / "__pycache__" / "code_fingerprint.json"
    kept.write_bytes(kept.read_bytes()[:1000])
    assert fingerprint_and_sources_read(checkout, stage) == (changed, num_sources)


@pytest.mark.slow
def test_what_another_reader_kept_does_not_count(checkout):
    stage = "fit_affine"
    first, num_sources = fingerprint_and_sources_read(checkout, stage)
    with (checkout / "anatomical_embedding" / "code_fingerprint.py").open("a", encoding="utf-8") as stream:
        stream.write("# reads otherwise\n")
    assert fingerprint_and_sources_read(checkout, stage) == (first, num_sources)


@pytest.mark.slow
def test_a_checkout_that_cannot_be_written_has_its_fingerprint(checkout):
    stage = "fit_affine"
    (checkout / "anatomical_embedding" / "__pycache__").touch()  # root may write into any folder
    assert fingerprint(checkout, stage) == fingerprint(REPOSITORY, stage)


def test_reachable_modules_follow_imports_of_imports():
    reached = reachable_modules("workflow_scripts.train_intra")
    assert "anatomical_embedding.patches.views" in reached
    assert "anatomical_embedding.volumes.affine" in reached
    assert not any("evaluation" in name for name in reached)


def source_of(module):
    """Return the text of a module; a package named by an import has none."""
    path = REPOSITORY / module.replace(".", "/")
    return "" if path.is_dir() else path.with_suffix(".py").read_text(encoding="utf-8")


@functools.cache
def unparsed(module):
    """Return the text of a module without comments, and what of it counts."""
    text = ast.unparse(ast.parse(source_of(module)))
    return text, syntax_that_counts(text)


def words_of_people(tree):
    """Return the nodes below a raise, a log line, an error and a `help`; a rewording may change them."""
    spoken = set()
    for node in ast.walk(tree):
        is_spoken = isinstance(node, ast.Raise) or (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).split(".")[-1] in {"log", "track", "add_argument", "InputFileError"}
        )
        if is_spoken:
            spoken |= {id(inner) for inner in ast.walk(node)}
    return spoken


def changed(node, generator):
    """Change one node so that another number, comparison, function or order comes out; say whether it could."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1
    elif isinstance(node, ast.BinOp):
        node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
    elif isinstance(node, ast.Compare):
        node.ops[0] = ast.Lt() if isinstance(node.ops[0], ast.GtE) else ast.GtE()
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        node.id += "_other"
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        node.attr += "_other"
    elif isinstance(node, ast.keyword) and node.arg:
        node.arg += "_other"
    elif isinstance(node, ast.If):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Call) and len(node.args) > 1:
        node.args = [*node.args[1:], node.args[0]]
    elif isinstance(node, ast.FunctionDef) and len(node.body) > 2:  # the first may be a docstring
        del node.body[generator.integers(1, len(node.body))]
    else:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "seed"), TRAININGS.items())
def test_seeded_changes_of_what_a_training_computes_all_count(stage, seed):
    generator = np.random.default_rng(seed)
    modules = sorted(modules_that_count(f"workflow_scripts.{stage}"))
    missed = []
    num_changes = 0
    while num_changes < NUM_SEEDED_CHANGES:
        module = modules[generator.integers(len(modules))]
        before, counted_before = unparsed(module)
        tree = ast.parse(before)
        nodes = list(ast.walk(tree))
        node = nodes[generator.integers(len(nodes))]
        if id(node) in words_of_people(tree) or not changed(node, generator):
            continue
        after = ast.unparse(tree)
        if after == before:
            continue
        num_changes += 1
        if syntax_that_counts(after) == counted_before:
            missed.append(f"{module}: {ast.unparse(node)}")
    assert not missed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("raise ValueError('no scan')", "raise ValueError(f'no scan in {folder}')"),
        ("raise ValueError('no ' + name)", "raise ValueError(f'not one {name}')"),
        ("raise fail(column, 'a number')", "raise fail(column, 'a positive number')"),
        ("error = InputFileError(path, 'cut off')", "error = InputFileError(path, 'too short')"),
        (f"from {PROGRESS} import log\nlog('one')", ""),
        (
            f"from {PROGRESS} import log\nlog(f'{{n}} volumes')",
            f"from {PROGRESS} import log\nlog(f'volumes: {{n}} of {{m}}')",
        ),
        (
            f"from {PROGRESS} import log\nlog('{{}} of {{}}'.format(n, len(m)))",
            f"from {PROGRESS} import log\nlog('all {{}} of {{}}'.format(n, len(m)))",
        ),
        (
            f"from {PROGRESS} import track\nfor a in track(b, description='x'): f(a)",
            f"from {PROGRESS} import track\nfor a in track(b, description='y'): f(a)",
        ),
        ("parser.add_argument('--a', help='one')", "parser.add_argument('--a', help='two', metavar='A')"),
        ("class A:\n    b: int\n    'one'", "class A:\n    b: int\n    'two'"),
    ],
)
def test_words_for_people_do_not_count(before, after):
    assert syntax_that_counts(before) == syntax_that_counts(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("raise ValueError('no scan')", "raise KeyError('no scan')"),
        ("raise Found(3)", "raise Found(4)"),
        ("if a: raise ValueError('x')", "if not a: raise ValueError('x')"),
        ("from math import log\nlog(2.0)", "from math import log\nlog(3.0)"),
        (
            f"from {PROGRESS} import log\nlog('one')",
            f"from {PROGRESS} import log\nlog(f'{{generator.normal()}}')",
        ),
        ("parser.add_argument('--a', type=int)", "parser.add_argument('--a', type=float)"),
        ("head = 'fine'", "head = 'coarse'"),
        ("weights['fine']", "weights['coarse']"),
    ],
)
def test_what_acts_counts(before, after):
    assert syntax_that_counts(before) != syntax_that_counts(after)


def test_plumbing_handles_no_arrays_and_needs_nothing_that_does():
    for module in PLUMBING:
        for node in ast.walk(ast.parse(source_of(module))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                is_harmless = name.split(".")[0] in sys.stdlib_module_names | HARMLESS_IN_PLUMBING
                assert is_harmless or name in PLUMBING, f"{module} imports {name}"


@pytest.mark.slow
def test_an_edit_of_plumbing_does_not_count(checkout):
    before = fingerprint(REPOSITORY, "train_intra")
    edit(checkout, "anatomical_embedding/files.py", "import json\n", "import glob\nimport json\n")
    assert fingerprint(checkout, "train_intra") == before
    edit(
        checkout,
        "anatomical_embedding/volumes/volume.py",
        "import numpy as np\n",
        "import numpy as np\nimport glob\n",
    )
    assert fingerprint(checkout, "train_intra") != before


def test_what_counts_for_a_training_is_what_it_computes_with():
    counted = modules_that_count("workflow_scripts.train_intra")
    assert counted < reachable_modules("workflow_scripts.train_intra")
    assert not counted & PLUMBING
    assert {"anatomical_embedding.training.loop", "anatomical_embedding.volumes.nifti"} <= counted


@pytest.mark.parametrize("stage", ["index_dataset", "move_volume", "train_intra"])
def test_what_splits_patients_and_seeds_moves_counts(stage):
    assert "anatomical_embedding.canonical_text" in modules_that_count(f"workflow_scripts.{stage}")


@pytest.mark.parametrize("stage", TRAININGS)
def test_a_training_does_not_depend_on_the_readers_of_raw_scans(stage):
    readers = re.compile(r"anatomical_embedding\.volumes\.(dicom.*|nrrd|metaimage|raw_scan|segments?)")
    counted = modules_that_count(f"workflow_scripts.{stage}")
    assert {module for module in counted if readers.fullmatch(module)} == set()
