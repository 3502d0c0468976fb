"""Imports go one way, and what plans a run never loads torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY, reachable_modules

LAYERS = [
    {
        "errors",
        "arguments",
        "files",
        "canonical_text",
        "progress",
        "identifiers",
        "code_fingerprint",
        "versions",
        "provenance",
        "csv_table",
        "late_parts",
        "swift_end",
    },
    {"settings"},
    {
        *("volumes", "index_file", "landmark_file", "checkpoint_header", "weights_checksum", "confidence"),
        "model_card",
    },
    {"points", "processes", "devices"},
    {"datasets", "phantom", "patches", "networks", "losses"},
    {"embedding", "registration", "training"},
    {"matching"},
    {"evaluation"},
    {"report"},
    {"workflow_scripts", "usage", "follow", "api", "answers_file"},
    {"viewer"},
    {"cli"},
]
WITHOUT_TORCH = [
    "settings",
    "volumes",
    "points",
    "index_file",
    "datasets",
    "phantom",
    "registration",
    "evaluation",
    "report",
    "checkpoint_header",
    "weights_checksum",
    "confidence",
    "model_card",
]


NOT_FOR_HELP = (
    "torch",
    "numpy",
    "pydantic",
    "yaml",
    "pydicom",
    "nibabel",
    "scipy",
    "SimpleITK",
    "webbrowser",
)


def modules():
    """Return the names of all first-party modules."""
    paths = [*REPOSITORY.glob("anatomical_embedding/**/*.py"), *REPOSITORY.glob("workflow_scripts/*.py")]
    return sorted(
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        for path in paths
        if path.name != "__init__.py"
    )


def layer_of(module):
    """Return the number of the layer of a module."""
    parts = module.split(".")
    part = parts[1] if parts[0] == "anatomical_embedding" else parts[0]
    return next(number for number, names in enumerate(LAYERS) if part in names)


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_its_own_layer_and_those_below(module):
    above = {name for name in reachable_modules(module) if layer_of(name) > layer_of(module)}
    assert not above


def test_the_package_needs_no_stage_of_the_workflow():
    for module in modules():
        if module.startswith("anatomical_embedding."):
            needed = {name for name in reachable_modules(module) if name.startswith("workflow_scripts.")}
            assert not needed, module


def test_evaluation_never_imports_networks():
    for module in modules():
        if ".evaluation." in module:
            assert not any(".networks." in name for name in reachable_modules(module)), module


@pytest.mark.slow
def test_no_torch_below():
    """One process loads part after part, and stops at the first that brings torch."""
    code = ["import sys"]
    for part in WITHOUT_TORCH:
        code += [f"import {name}" for name in modules() if name.split(".")[1] == part]
        code.append(f"assert 'torch' not in sys.modules, {part!r}")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], cwd=REPOSITORY, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_init_files_are_empty():
    for path in REPOSITORY.glob("anatomical_embedding/**/__init__.py"):
        assert Path(path).read_text(encoding="utf-8") == ""


def test_the_help_of_the_commands_loads_no_library():
    """Each of these takes longer to load than the whole of `--help`."""
    code = f"import anatomical_embedding.cli.main, sys; print([name for name in {NOT_FOR_HELP} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_stage_collects_garbage_once_it_is_loaded_and_leaves_parts_of_libraries_until_they_are_used(
    tmp_path,
):
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, gc, sys\n"
        "def tell():\n"
        "    numpy = sys.modules['numpy']\n"
        "    names = 'scipy.ndimage', 'numpy.f2py.f2py2e', 'numpy.testing._private'\n"
        "    loaded = [name in sys.modules for name in names]\n"
        "    print(gc.isenabled(), *loaded, callable(numpy.f2py.get_include), callable(numpy.testing.assert_equal))\n"
        "atexit.register(tell)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "workflow_scripts.resample_volume"],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the following arguments are required" in done.stderr
    assert done.stdout == "True True False False True True\n"


@pytest.mark.slow
def test_a_verb_with_a_model_collects_garbage_but_not_among_what_it_loaded_and_leaves_parts_for_later():
    code = (
        "import gc, sys\n"
        "from anatomical_embedding.cli.options import load_libraries\n"
        "load_libraries()\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000, 'torch' in sys.modules)\n"
        "import scipy.ndimage, scipy.special\n"
        "loaded = ('torch._prims', 'torch.distributions.normal', 'numpy.f2py.f2py2e', 'scipy.special._ufuncs')\n"
        "def tell(): print(*(name in sys.modules for name in loaded))\n"
        "tell()\n"
        "print(scipy.special.expit(0.0))\n"
        "tell()\n"
        "import torch.utils._content_store\n"  # of the compiler; it fails where torch._prims comes after it
        "tell()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "True True True\nFalse False False False\n0.5\nFalse False False True\nTrue True False True\n"
    )
