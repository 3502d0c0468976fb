# Contract
#   reads    models/<model>/<weights>.safetensors, volumes/<dataset>.csv, for the model of a fold
#            volumes/<dataset>.<fold>.csv, and the prepared volumes
#   writes   embeddings/<model>/<weights>/<dataset>.csv, a list of one store per volume
#   used by  evaluation, registration, tracking, confidence


def export_section(wildcards):
    """Return what the export of embeddings may see."""
    return section_json(
        embedding=SETTINGS.embedding, store=SETTINGS.store, intensity=SETTINGS.intensity
    )


def wanted_splits(wildcards):
    """Return the splits of a data set whose embeddings some evaluation, tracking or registration needs."""
    if wildcards.model in FOLD_MODELS:
        return ["test"]
    asked = [
        entry
        for entry in [*SETTINGS.evaluations.values(), *SETTINGS.trackings.values()]
        if entry.dataset == wildcards.dataset and wildcards.model in entry.models
    ]
    answered = {entry.split for entry in asked}
    # A confidence is fitted to the answers of patients that are not scored.
    answered |= {"validation" for _ in asked if wildcards.weights == "trained"}
    registered = {
        split
        for registration in SETTINGS.registrations.values()
        if registration.dataset == wildcards.dataset
        and registration.guide is not None
        and registration.guide.model == wildcards.model
        and wildcards.weights == "trained"
        for split in registration.splits
    }
    return sorted(answered | registered)


rule export_embeddings:
    """Embed the volumes of a data set; the model is loaded once, and what is stored already is left alone.

    The stores are no outputs: a volume that is added embeds itself only. There is one process per GPU, and they divide
    what is missing; gpu counts those of all nodes.
    """
    input:
        index=lambda wildcards: training_index(wildcards.model, wildcards.dataset),
        checkpoint="<results>/models/{model}/{weights}.safetensors",
    output:
        "<results>/embeddings/{model}/{weights}/{dataset}.csv",
    log:
        "<logs>/export_embeddings/{model}/{weights}/{dataset}.log",
    benchmark:
        "<benchmarks>/export_embeddings/{model}/{weights}/{dataset}.tsv"
    conda:
        TORCH_ENVIRONMENT
    threads: workflow.cores
    resources:
        mem_mb=8000,
        runtime=720,
        gpu=1,
        nodes=1,
    params:
        settings=export_section,
        splits=wanted_splits,
        stores=lambda wildcards, output: Path(output[0]).with_suffix(""),
        code=code_of("export_embeddings"),
    shell:
        "python -m workflow_scripts.start_processes"
        " --gpus {resources.gpu}"
        " --nodes {resources.nodes}"
        " --threads {threads}"
        " export_embeddings"
        " --settings {params.settings:q}"
        " --index {input.index}"
        " --checkpoint {input.checkpoint}"
        " --splits {params.splits}"
        " --store-folder {params.stores}"
        " --output {output}"
        " 2> {log}"
