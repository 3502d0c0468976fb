# Contract
#   reads    the run file, the names of raw scans, the sources of the stages
#   writes   nothing
#   used by  every rule: RUN_FILES, their names; SETTINGS, checked; RESULTS, and <results>, <logs>, <benchmarks> in the paths of
#            rules; RAW_VOLUMES;
#            the two environments; what a stage sees of the settings (section_json, section_of), of its code (code_of) and
#            of the user's files (state_of); options for inputs that may be lacking (given_options)
# A rule that says no number of threads has one.

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(workflow.basedir))
# Stages run with the interpreter of this Snakemake, unless conda puts its own before it.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
# Threads that wait for each other must sleep: spinning makes two threads many times slower than one on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Some network file systems refuse locks, which HDF5 asks for unless this is set.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
# Stages run as `python -m workflow_scripts.<stage>`, from whatever folder the run works in.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(workflow.basedir), os.environ.get("PYTHONPATH")])
)

from anatomical_embedding.code_fingerprint import code_of_program
from anatomical_embedding.code_fingerprint import code_of as fingerprint_of
from anatomical_embedding.errors import SettingsError, UserError
from anatomical_embedding.datasets.input_state import input_state
from anatomical_embedding.datasets.listing import (
    list_raw_volumes,
    phantom_landmarks_path,
)
from anatomical_embedding.datasets.parts import check_parts
from anatomical_embedding.datasets.raw_volume import reading_settings
from anatomical_embedding.provenance import code_variable
from anatomical_embedding.settings.folds import fold_models, folds_of
from anatomical_embedding.settings.model import training_datasets
from anatomical_embedding.settings.one_spelling import with_one_spelling
from anatomical_embedding.settings.pipeline import read_pipeline_settings, section_json
from anatomical_embedding.settings.run_file import read_run_files

if {"{", "}"} & set(str(workflow.basedir)):
    raise WorkflowError(
        f"{workflow.basedir}: expected a path of the checkout without braces, which Snakemake takes for wildcards; "
        "move the checkout"
    )
RUN_FILES = ", ".join(
    map(str, workflow.overwrite_configfiles or [Path(workflow.basedir) / "config.yaml"])
)
try:
    # Snakemake has read these files, and takes a key twice or 012 for 10 without a word.
    paths = map(Path, workflow.configfiles)
    read_run_files(path for path in paths if path.suffix.lower() != ".json")
    SETTINGS = with_one_spelling(read_pipeline_settings(config))
except SettingsError as error:
    raise WorkflowError(f"{RUN_FILES}: {error}") from None
except UserError as error:
    raise WorkflowError(str(error)) from None
RESULTS = Path(SETTINGS.results)
if RESULTS == Path("."):
    raise WorkflowError(
        f"{RUN_FILES}: results: expected a folder of its own for what the run writes, got '.'"
    )
os.environ["ANATOMICAL_EMBEDDING_PROVENANCE"] = str(RESULTS / "provenance")


# None may hold a wildcard: constraints do not reach wildcards that a path gets in this way.
pathvars:
    results=str(RESULTS),
    logs=str(RESULTS / "logs"),
    benchmarks=str(RESULTS / "benchmarks"),


CPU_ENVIRONMENT = "../envs/cpu_stages.yaml"
TORCH_ENVIRONMENT = "../envs/torch_stages.yaml"

MODELS = sorted(SETTINGS.models)
# <model>/<fold> -> a model that is trained without some patients, for a confidence alone
FOLD_MODELS = fold_models(SETTINGS.models)
DATASETS = sorted(
    {
        dataset
        for model in MODELS
        for dataset in training_datasets(SETTINGS.models[model])
    }
    | {evaluation.dataset for evaluation in SETTINGS.evaluations.values()}
    | {registration.dataset for registration in SETTINGS.registrations.values()}
    | {tracking.dataset for tracking in SETTINGS.trackings.values()}
)
PHANTOMS = [name for name in DATASETS if SETTINGS.datasets[name].kind == "phantom"]
TRACKED_PHANTOMS = [
    name for name in DATASETS if SETTINGS.datasets[name].kind == "phantom_tracking"
]

MOVED = [
    name
    for name in DATASETS
    if SETTINGS.datasets[name].kind == "ct_mr_pairs"
    and SETTINGS.datasets[name].known_move is not None
]


def code_of(stage):
    """Return the fingerprint of a stage's code; its jobs find it in the environment and need not read the code again."""
    os.environ[code_variable(stage)] = fingerprint_of(stage)
    return os.environ[code_variable(stage)]


def section_of(settings):
    """Return settings that a stage may see as a whole."""
    return section_json(**settings.model_dump(mode="json"))


def given_options(*names):
    """Return the function that gives `--name=path` for the inputs of those names that a job has."""

    def options(wildcards, input):
        return [
            f"--{name.replace('_', '-')}={input[name]}"
            for name in names
            if input.get(name)
        ]

    return options


def index_options(wildcards, input):
    """Return the options that name the indices of several data sets."""
    return [f"--index={Path(path).stem}={path}" for path in input.indices]


def index_of(dataset):
    """Return the index of a data set."""
    return RESULTS / "volumes" / f"{dataset}.csv"


def trained_settings(model):
    """Return how a model, or one of a fold, is trained."""
    fold_model = FOLD_MODELS.get(model)
    return fold_model.settings if fold_model else SETTINGS.models[model]


def training_index(model, dataset):
    """Return the index of a data set as a model sees it: one of a fold sees fewer patients."""
    if model not in FOLD_MODELS:
        return index_of(dataset)
    return RESULTS / "volumes" / f"{dataset}.{FOLD_MODELS[model].fold.name}.csv"


def stores_of(model, weights, dataset):
    """Return the list of the embeddings of a data set's volumes."""
    return RESULTS / "embeddings" / model / weights / f"{dataset}.csv"


def one_of(names):
    """Return a pattern that matches just these names, and nothing if there are none."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    dataset=one_of(DATASETS),
    model=one_of([*MODELS, *FOLD_MODELS]),
    evaluation=one_of(SETTINGS.evaluations),
    tracking=one_of(SETTINGS.trackings),
    split="validation|test",
    volume=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    weights="untrained|trained",
    matching=one_of(["untrained", *SETTINGS.methods]),


def made_folder(dataset):
    """Return the folder that holds the volumes of a data set that the workflow makes: phantoms, or moved scans."""
    return RESULTS / ("moved" if dataset in MOVED else "phantoms") / dataset


def _raw_volumes(dataset):
    try:
        volumes = list_raw_volumes(
            SETTINGS.datasets[dataset], made_folder=made_folder(dataset)
        )
    except UserError as error:
        raise WorkflowError(f"{RUN_FILES}: datasets.{dataset}: {error}") from None
    return {volume.volume_id: volume for volume in volumes}


def state_of(paths):
    """Return what changes when a file of the user is replaced, also by one with an older date: sizes, dates and links.

    It must stand in functions of the wildcards alone: Snakemake does not compare parameters that are made from inputs.
    """
    return input_state(path for path in paths if not Path(path).is_relative_to(RESULTS))


# data set name -> volume id -> RawVolume
RAW_VOLUMES = {dataset: _raw_volumes(dataset) for dataset in DATASETS}
try:
    check_parts(
        SETTINGS, {dataset: known.values() for dataset, known in RAW_VOLUMES.items()}
    )
except UserError as error:
    raise WorkflowError(f"{RUN_FILES}: {error}") from None
