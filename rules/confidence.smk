# Contract
#   reads    the queries, matches and indices of evaluations and trackings; stores of validation patients; the answers
#            of the models of folds
#   writes   evaluations/<evaluation>/fit/: queries.csv and <model>.<method>.matches.csv of patients set aside;
#            models/<model>/<method>.confidence.json, fitted to all of these; and beside the answers of every evaluation
#            and tracking <model>.<method>.judged.csv, .markups/ and .confidence_scores.json
#   used by  package, lesion_scores (its page shows judged answers) and report

FIT_SPLIT = "validation"
ASKED_METHODS = sorted(
    {
        method
        for asked in [*SETTINGS.evaluations.values(), *SETTINGS.trackings.values()]
        for method in asked.methods
    }
)


def is_asked(asked, model, method):
    """Say whether an evaluation or a tracking asks a model by a way of matching."""
    return model in asked.models and method in asked.methods


def answers_of(model, method):
    """Return source -> prefix of the files of the held-out answers of a model by a way of matching."""
    answer = f"{model}.{method}"
    evaluations = {
        name: RESULTS / "evaluations" / name / answer
        for name, evaluation in sorted(SETTINGS.evaluations.items())
        if is_asked(evaluation, model, method)
    }
    return evaluations | {
        name: RESULTS / "trackings" / name / tracking.split / answer
        for name, tracking in sorted(SETTINGS.trackings.items())
        if is_asked(tracking, model, method)
    }


def evaluations_to_fit(model, method):
    """Return name -> evaluation that a confidence learns from, without those that ask a part of what another asks."""
    asked = {
        name: evaluation
        for name, evaluation in sorted(SETTINGS.evaluations.items())
        if is_asked(evaluation, model, method)
    }
    whole = [
        (evaluation.dataset, evaluation.pairs)
        for evaluation in asked.values()
        if evaluation.landmarks is None
    ]
    return {
        name: evaluation
        for name, evaluation in asked.items()
        if evaluation.landmarks is None
        or (evaluation.dataset, evaluation.pairs) not in whole
    }


def fitted_answers(wildcards):
    """Return source -> prefix of the files of the answers that a confidence is fitted to; never a split that is scored.

    None is of a patient that the model that answered was trained on.
    """
    answer = f"{wildcards.model}.{wildcards.method}"
    model = SETTINGS.models[wildcards.model]
    found = {}
    for name, evaluation in evaluations_to_fit(
        wildcards.model, wildcards.method
    ).items():
        folder = RESULTS / "evaluations" / name / "fit"
        if evaluation.split != FIT_SPLIT:
            found[name] = folder / answer
        if evaluation.dataset in training_datasets(model):
            found |= {
                f"{name}/{fold.name}": folder / fold.name / answer
                for fold in folds_of(model)
            }
    return found | {
        name: RESULTS / "trackings" / name / FIT_SPLIT / answer
        for name, tracking in sorted(SETTINGS.trackings.items())
        if is_asked(tracking, wildcards.model, wildcards.method)
        and tracking.split != FIT_SPLIT
        and has_annotations(tracking.dataset, FIT_SPLIT)
    }


def dataset_of_source(source):
    """Return the data set of an evaluation, of a fold of it, or of a tracking."""
    name = source.partition("/")[0]
    asked = SETTINGS.evaluations.get(name) or SETTINGS.trackings[name]
    return asked.dataset


rule make_fit_queries:
    """Choose what is asked of patients set aside, in whole targets and in targets that are cut."""
    input:
        index=evaluated_index,
        landmarks=lambda wildcards: f"<results>/landmarks/{evaluation_of(wildcards).dataset}.csv",
    output:
        "<results>/evaluations/{evaluation}/fit/queries.csv",
    log:
        "<logs>/make_fit_queries/{evaluation}.log",
    benchmark:
        "<benchmarks>/make_fit_queries/{evaluation}.tsv"
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=lambda wildcards: section_of(
            evaluation_of(wildcards).fit_queries(split=FIT_SPLIT)
        ),
        code=code_of("make_queries"),
    shell:
        "python -m workflow_scripts.make_queries"
        " --settings {params.settings:q}"
        " --index {input.index}"
        " --landmarks {input.landmarks}"
        " --output {output}"
        " 2> {log}"


use rule match_points as match_fit_points with:
    input:
        queries="<results>/evaluations/{evaluation}/fit/queries.csv",
        index=evaluated_index,
        stores=evaluated_stores,
        scans=lambda wildcards: scans_that_refine(evaluation_of(wildcards)),
    output:
        "<results>/evaluations/{evaluation}/fit/{model}.{matching}.matches.csv",
    log:
        "<logs>/match_fit_points/{evaluation}/{model}.{matching}.log",
    benchmark:
        "<benchmarks>/match_fit_points/{evaluation}/{model}.{matching}.tsv"


rule fit_confidence:
    """Fit how far the answers of a model can be trusted, on patients that neither training nor scoring sees."""
    input:
        queries=lambda wildcards: [
            path.with_name("queries.csv")
            for path in fitted_answers(wildcards).values()
        ],
        matches=lambda wildcards: [
            f"{path}.matches.csv" for path in fitted_answers(wildcards).values()
        ],
        indices=lambda wildcards: [
            index_of(dataset_of_source(source)) for source in fitted_answers(wildcards)
        ],
    output:
        "<results>/models/{model}/{method}.confidence.json",
    log:
        "<logs>/fit_confidence/{model}.{method}.log",
    benchmark:
        "<benchmarks>/fit_confidence/{model}.{method}.tsv"
    wildcard_constraints:
        method=one_of(ASKED_METHODS),
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        settings=section_of(SETTINGS.confidence.fit),
        sources=lambda wildcards: list(fitted_answers(wildcards)),
        code=code_of("fit_confidence"),
    shell:
        "python -m workflow_scripts.fit_confidence"
        " --settings {params.settings:q}"
        " --queries {input.queries}"
        " --matches {input.matches}"
        " --index {input.indices}"
        " --sources {params.sources}"
        " --output {output}"
        " 2> {log}"


rule judge_matches:
    """Say of every answer how likely it is right, and within which radius: found, for review, or out of view."""
    input:
        queries="<results>/evaluations/{evaluation}/queries.csv",
        matches="<results>/evaluations/{evaluation}/{model}.{method}.matches.csv",
        confidence="<results>/models/{model}/{method}.confidence.json",
    output:
        judged="<results>/evaluations/{evaluation}/{model}.{method}.judged.csv",
        markups=directory("<results>/evaluations/{evaluation}/{model}.{method}.markups"),
    log:
        "<logs>/judge_matches/{evaluation}/{model}.{method}.log",
    benchmark:
        "<benchmarks>/judge_matches/{evaluation}/{model}.{method}.tsv"
    wildcard_constraints:
        method=one_of(ASKED_METHODS),
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=section_of(SETTINGS.confidence.decision),
        code=code_of("judge_matches"),
    shell:
        "python -m workflow_scripts.judge_matches"
        " --settings {params.settings:q}"
        " --queries {input.queries}"
        " --matches {input.matches}"
        " --confidence {input.confidence}"
        " --output {output.judged}"
        " --output-markups {output.markups}"
        " 2> {log}"


use rule judge_matches as judge_lesions with:
    input:
        queries="<results>/trackings/{tracking}/{split}/queries.csv",
        matches="<results>/trackings/{tracking}/{split}/{model}.{method}.matches.csv",
        confidence="<results>/models/{model}/{method}.confidence.json",
    output:
        judged="<results>/trackings/{tracking}/{split}/{model}.{method}.judged.csv",
        markups=directory(
            "<results>/trackings/{tracking}/{split}/{model}.{method}.markups"
        ),
    log:
        "<logs>/judge_lesions/{tracking}/{split}/{model}.{method}.log",
    benchmark:
        "<benchmarks>/judge_lesions/{tracking}/{split}/{model}.{method}.tsv"


rule score_confidence:
    """Score probabilities, radii and decisions on answers that they were not fitted to."""
    input:
        queries="<results>/evaluations/{evaluation}/queries.csv",
        matches="<results>/evaluations/{evaluation}/{model}.{method}.matches.csv",
        judged="<results>/evaluations/{evaluation}/{model}.{method}.judged.csv",
    output:
        "<results>/evaluations/{evaluation}/{model}.{method}.confidence_scores.json",
    log:
        "<logs>/score_confidence/{evaluation}/{model}.{method}.log",
    benchmark:
        "<benchmarks>/score_confidence/{evaluation}/{model}.{method}.tsv"
    wildcard_constraints:
        method=one_of(ASKED_METHODS),
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=section_of(SETTINGS.confidence.fit),
        code=code_of("score_confidence"),
    shell:
        "python -m workflow_scripts.score_confidence"
        " --settings {params.settings:q}"
        " --queries {input.queries}"
        " --matches {input.matches}"
        " --judged {input.judged}"
        " --output {output}"
        " 2> {log}"


use rule score_confidence as score_lesion_confidence with:
    input:
        queries="<results>/trackings/{tracking}/{split}/queries.csv",
        matches="<results>/trackings/{tracking}/{split}/{model}.{method}.matches.csv",
        judged="<results>/trackings/{tracking}/{split}/{model}.{method}.judged.csv",
    output:
        "<results>/trackings/{tracking}/{split}/{model}.{method}.confidence_scores.json",
    log:
        "<logs>/score_lesion_confidence/{tracking}/{split}/{model}.{method}.log",
    benchmark:
        "<benchmarks>/score_lesion_confidence/{tracking}/{split}/{model}.{method}.tsv"
