# Contract
#   reads    models/<model>/: trained.safetensors, validation_log.csv; the indices of its training data; the scores of every
#            evaluation that asks it; its <method>.confidence.json and their scores on held-out answers
#   writes   models/<model>/model.safetensors: all that a user needs
#   used by  follow, and the run's end


def usage_section(wildcards):
    """Return what it takes to use a model on a new scan."""
    return section_json(**SETTINGS.usage().model_dump(mode="json"))


def scores_of_model(wildcards):
    """Return the scores of a trained model, of every evaluation that asks it."""
    return [
        RESULTS / "evaluations" / name / f"{wildcards.model}.{matching}.scores.json"
        for name, evaluation in sorted(SETTINGS.evaluations.items())
        if wildcards.model in evaluation.models
        for matching in evaluation.methods
    ]


def methods_of_model(model):
    """Return the ways of matching by which some evaluation or tracking asks a model."""
    return [
        method
        for method in ASKED_METHODS
        if any(is_asked(asked, model, method) for asked in ASKED)
    ]


def confidences_of_model(wildcards):
    """Return the confidence of each way of matching of a model."""
    return [
        RESULTS / "models" / wildcards.model / f"{method}.confidence.json"
        for method in methods_of_model(wildcards.model)
    ]


def confidence_options(wildcards, input):
    """Return the options that name confidences by their way of matching."""
    return [
        f"--confidence={Path(path).name.removesuffix('.confidence.json')}={path}"
        for path in input.confidences
    ]


def held_out_confidence(wildcards):
    """Return (way of matching, source, scores) of every confidence on held-out answers."""
    model = wildcards.model
    return [
        (
            method,
            source,
            path.with_name(f"{path.name}.confidence_scores.json"),
        )
        for method in methods_of_model(model)
        for source, path in answers_of(model, method).items()
    ]


def held_out_options(wildcards):
    """Return the options that name the scores of confidences."""
    return [
        str(word)
        for named in held_out_confidence(wildcards)
        for word in ("--confidence-scores", *named)
    ]


def limits_of(wildcards):
    """Return what a model should not be used for, as far as the configuration shows it."""
    mix = SETTINGS.models[wildcards.model].training.mix
    limits = ["For research; not a medical device."]
    if all(dataset in PHANTOMS for dataset in mix):
        limits.append(
            "Trained on synthetic bodies only; its answers on real scans mean nothing."
        )
    return limits


rule package_model:
    """Put the model card beside the weights: data, settings, accuracy, confidence and limits.

    The settings that only its use needs are no part of the training, so changing them trains nothing again.
    """
    input:
        checkpoint="<results>/models/{model}/trained.safetensors",
        validation_log="<results>/models/{model}/validation_log.csv",
        indices=training_indices,
        scores=scores_of_model,
        confidences=confidences_of_model,
        confidence_scores=lambda wildcards: [
            path for _, _, path in held_out_confidence(wildcards)
        ],
    output:
        "<results>/models/{model}/model.safetensors",
    log:
        "<logs>/package_model/{model}.log",
    benchmark:
        "<benchmarks>/package_model/{model}.tsv"
    conda:
        TORCH_ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=5,
    params:
        settings=usage_section,
        indices=index_options,
        confidences=confidence_options,
        confidence_scores=held_out_options,
        limits=lambda wildcards: [f"--limit={limit}" for limit in limits_of(wildcards)],
        code=code_of("package_model"),
    shell:
        "python -m workflow_scripts.package_model"
        " --settings {params.settings:q}"
        " --name {wildcards.model}"
        " --checkpoint {input.checkpoint}"
        " {params.indices}"
        " --validation-log {input.validation_log}"
        " --scores {input.scores}"
        " {params.confidences}"
        " {params.confidence_scores}"
        " {params.limits:q}"
        " --output {output}"
        " 2> {log}"
