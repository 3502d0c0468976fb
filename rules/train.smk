# Contract
#   reads    volumes/<dataset>.csv, for the model of a fold volumes/<dataset>.<fold>.csv, and the prepared volumes; for
#            Cross-SAM registrations/<registration>/pairs.csv, training_moving.nii and training_mask.nii of its pairs, and
#            the index of their data set; the trained weights of the model that another starts from
#   writes   models/<model>/, and models/<model>/<fold>/ for a model of a fold: untrained.safetensors, trained.safetensors,
#            training_log.csv, validation_log.csv
#   used by  embeddings, registration (the weights of a guide), package, report; another training that starts from these
#            weights

METHOD_OF = {model: trained_settings(model).method for model in [*MODELS, *FOLD_MODELS]}


def models_of(method):
    """Return the models that are trained by a method, those of folds among them."""
    return [model for model, its_method in METHOD_OF.items() if its_method == method]


def initial_model(wildcards):
    """Return the trained weights of the model that another starts from, nothing where there is none."""
    name = trained_settings(wildcards.model).initial_model
    return RESULTS / "models" / name / "trained.safetensors" if name else []


def initialise_section(wildcards):
    """Return what the first weights of a model depend on."""
    model = trained_settings(wildcards.model)
    started_from = initial_model(wildcards) or model.initial_weights
    return section_json(
        seed=model.training.seed,
        initial_weights=None if started_from is None else str(started_from),
        network=model.network,
    )


def train_intra_section(wildcards):
    """Return what SAM's training may see."""
    model = trained_settings(wildcards.model)
    return section_json(
        network=model.network, training=model.training, intensity=SETTINGS.intensity
    )


def train_semantic_section(wildcards):
    """Return what SAM++'s training may see."""
    model = trained_settings(wildcards.model)
    return section_json(
        network=model.network,
        training=model.training,
        intensity=SETTINGS.intensity,
        semantic=model.semantic,
    )


def train_inter_section(wildcards):
    """Return what Cross-SAM's training may see."""
    model = trained_settings(wildcards.model)
    return section_json(
        network=model.network,
        training=model.training,
        intensity=SETTINGS.intensity,
        registered=model.registered,
    )


def registered_pairs(wildcards):
    """Return the list of registered pairs that a model is trained on."""
    name = SETTINGS.models[wildcards.model].registered.registration
    return RESULTS / "registrations" / name / "pairs.csv"


def registered_index(wildcards):
    """Return the index of the data set of those pairs."""
    name = SETTINGS.models[wildcards.model].registered.registration
    return index_of(SETTINGS.registrations[name].dataset)


def training_indices(wildcards):
    """Return the indices of the data sets that a model is trained on."""
    datasets = sorted(training_datasets(trained_settings(wildcards.model)))
    return [training_index(wildcards.model, dataset) for dataset in datasets]


def training_index_options(wildcards, input):
    """Return the options that name these indices."""
    datasets = sorted(training_datasets(trained_settings(wildcards.model)))
    return [
        f"--index={dataset}={path}" for dataset, path in zip(datasets, input.indices)
    ]


def state_folder(wildcards):
    """Return the folder of what an interrupted training goes on from."""
    return RESULTS / "models" / wildcards.model / "state"


rule initialise_network:
    """Write the weights that a training starts from; the untrained network is a baseline as well."""
    input:
        initial_model,
    output:
        "<results>/models/{model}/untrained.safetensors",
    log:
        "<logs>/initialise_network/{model}.log",
    benchmark:
        "<benchmarks>/initialise_network/{model}.tsv"
    conda:
        TORCH_ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=5,
    params:
        settings=initialise_section,
        code=code_of("initialise_network"),
    shell:
        "python -m workflow_scripts.initialise_network"
        " --settings {params.settings:q}"
        " --output {output}"
        " 2> {log}"


rule train_intra:
    """Train SAM: two views of one volume, fine and coarse contrastive loss.

    The state that a restart goes on from is no output, because Snakemake deletes the outputs of a failed job. There is
    one process per GPU; gpu counts those of all nodes.
    """
    input:
        indices=training_indices,
        initial_weights="<results>/models/{model}/untrained.safetensors",
    output:
        checkpoint="<results>/models/{model}/trained.safetensors",
        training_log="<results>/models/{model}/training_log.csv",
        validation_log="<results>/models/{model}/validation_log.csv",
    log:
        "<logs>/train_intra/{model}.log",
    benchmark:
        "<benchmarks>/train_intra/{model}.tsv"
    wildcard_constraints:
        model=one_of(models_of("sam")),
    # The longest chains of a run go through trainings, so nothing that can wait is started before them.
    priority: 10
    conda:
        TORCH_ENVIRONMENT
    threads: workflow.cores
    resources:
        mem_mb=8000,
        runtime=2880,
        gpu=1,
        nodes=1,
    params:
        settings=train_intra_section,
        indices=training_index_options,
        pairs=[],
        state=state_folder,
        stage="train_intra",
        code=code_of("train_intra"),
    shell:
        # Memory that is freed stays with the process: giving every large tensor back costs a fifth of a step.
        "MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824"
        " python -m workflow_scripts.start_processes"
        " --gpus {resources.gpu}"
        " --nodes {resources.nodes}"
        " --threads {threads}"
        " {params.stage}"
        " --settings {params.settings:q}"
        " {params.indices}"
        " {params.pairs}"
        " --initial-weights {input.initial_weights}"
        " --state-folder {params.state}"
        " --output {output.checkpoint}"
        " --training-log {output.training_log}"
        " --validation-log {output.validation_log}"
        " --threads {threads}"
        " --num-workers 0"
        " 2> {log}"


use rule train_intra as train_semantic with:
    """Train SAM++: the losses of SAM, and a prototype loss that learns the organs of the masks as well."""
    log:
        "<logs>/train_semantic/{model}.log",
    benchmark:
        "<benchmarks>/train_semantic/{model}.tsv"
    wildcard_constraints:
        model=one_of(models_of("sampp")),
    params:
        settings=train_semantic_section,
        indices=training_index_options,
        state=state_folder,
        stage="train_semantic",
        code=code_of("train_semantic"),


use rule train_intra as train_inter with:
    """Train Cross-SAM: views of the two volumes of registered pairs, beside SAM's views of single volumes."""
    input:
        indices=training_indices,
        initial_weights="<results>/models/{model}/untrained.safetensors",
        pairs=registered_pairs,
        pairs_index=registered_index,
    log:
        "<logs>/train_inter/{model}.log",
    benchmark:
        "<benchmarks>/train_inter/{model}.tsv"
    wildcard_constraints:
        model=one_of(models_of("cross_sam")),
    params:
        settings=train_inter_section,
        indices=training_index_options,
        pairs=lambda wildcards, input: [
            f"--pairs={input.pairs}",
            f"--pairs-index={input.pairs_index}",
        ],
        state=state_folder,
        stage="train_inter",
        code=code_of("train_inter"),
