# Contract
#   reads    models/<model>/: trained.safetensors, validation_log.csv; the indices of its training data; the answers, errors
#            and scores of every evaluation that asks it
#   writes   models/<model>/model.safetensors: all that a user needs
#   used by  the run's end


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


def answers_of_model(wildcards, suffix):
    """Return one file of the answers of every evaluation that asks a trained model."""
    return [
        path.with_name(path.name.removesuffix("scores.json") + suffix)
        for path in scores_of_model(wildcards)
    ]


def answers_arguments(wildcards, input):
    """Return the arguments that name matches and errors by their way of matching."""
    methods = [Path(path).name.split(".")[-3] for path in input.matches]
    return [
        word
        for answer in zip(methods, input.matches, input.errors, strict=True)
        for word in ("--answers", *answer)
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
        matches=lambda wildcards: answers_of_model(wildcards, "matches.csv"),
        errors=lambda wildcards: answers_of_model(wildcards, "errors.csv"),
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
        answers=answers_arguments,
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
        " {params.answers}"
        " {params.limits:q}"
        " --output {output}"
        " 2> {log}"
