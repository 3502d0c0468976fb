# Contract
#   reads    landmarks/<dataset>.csv; the queries, matches and indices of evaluations and trackings; stores of validation
#            patients; the answers of the models of folds; raw scans and deeds/deeds, which move answers to the voxel
#   writes   evaluations/<evaluation>/<part of the fit>/: queries.csv and <model>.<method>.matches.csv of patients set
#            aside, from every training (fit) or from that of a fold (fit/<fold>), whose model answers, and both once more
#            in whole targets, moved to the voxel (.../to_the_voxel), where answers of the evaluation stay in cells;
#            models/<model>/<method>.confidence.json, fitted to all of these; and beside the answers of every evaluation
#            and tracking <model>.<method>.judged.csv, .markups/ and .confidence_scores.json
#   used by  package, lesion_scores (its page shows judged answers) and report

FIT_SPLIT = "validation"
TO_THE_VOXEL = "to_the_voxel"
FIT_PART = rf"fit(/fold_\d+_of_\d+)?(/{TO_THE_VOXEL})?"
ASKED = [*SETTINGS.evaluations.values(), *SETTINGS.trackings.values()]
ASKED_METHODS = sorted({method for asked in ASKED for method in asked.methods})


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


def parts_to_fit(evaluation, model):
    """Return the parts of an evaluation whose answers a confidence of a model is fitted to, as they are in paths.

    None is of a patient that the model that answers was trained on.
    """
    parts = [] if evaluation.split == FIT_SPLIT else ["fit"]
    if evaluation.dataset in training_datasets(SETTINGS.models[model]):
        parts += [f"fit/{fold.name}" for fold in folds_of(SETTINGS.models[model])]
    # The command moves a user's answers to the voxel, also by a model whose evaluation leaves them in their cells.
    if SETTINGS.matching.refinement == "voxel" and not evaluation.refined:
        parts += [f"{part}/{TO_THE_VOXEL}" for part in parts]
    return parts


def fitted_answers(wildcards):
    """Return source -> prefix of the files of the answers that a confidence is fitted to; never a split that is scored."""
    answer = f"{wildcards.model}.{wildcards.method}"
    asked = evaluations_to_fit(wildcards.model, wildcards.method)
    found = {
        f"{name}{part.removeprefix('fit')}": RESULTS
        / "evaluations"
        / name
        / part
        / answer
        for name, evaluation in asked.items()
        for part in parts_to_fit(evaluation, wildcards.model)
    }
    return found | {
        name: RESULTS / "trackings" / name / FIT_SPLIT / answer
        for name, tracking in sorted(SETTINGS.trackings.items())
        if is_asked(tracking, wildcards.model, wildcards.method)
        and tracking.split != FIT_SPLIT
        and has_annotations(tracking.dataset, FIT_SPLIT)
    }


def dataset_of_source(source):
    """Return the data set of an evaluation, of a part of it, or of a tracking."""
    name = source.partition("/")[0]
    asked = SETTINGS.evaluations.get(name) or SETTINGS.trackings[name]
    return asked.dataset


def is_to_the_voxel(wildcards):
    """Say whether a part of a fit is moved to the voxel though other answers of the evaluation stay in their cells."""
    return wildcards.get("fit_part", "").endswith(TO_THE_VOXEL)


def fold_of_part(wildcards):
    """Return the fold whose patients a part of a fit asks; empty for patients that no training sees."""
    return "".join(re.findall(r"fold_\d+_of_\d+", wildcards.fit_part))


def fit_index(wildcards):
    """Return the index that says whom a part of a fit asks."""
    index, fold = evaluated_index(wildcards), fold_of_part(wildcards)
    return index.with_suffix(f".{fold}.csv") if fold else index


def fit_stores(wildcards):
    """Return the list of the embedding stores of the model that answers a part of a fit."""
    model = Path(wildcards.model) / fold_of_part(wildcards)
    return stores_of(model, "trained", evaluation_of(wildcards).dataset)


def fit_queries_section(wildcards):
    """Return what a part of a fit asks of whom: of a fold, the patients that its index has for the test."""
    return section_of(
        evaluation_of(wildcards).fit_queries(
            split="test" if fold_of_part(wildcards) else FIT_SPLIT,
            with_cuts=not is_to_the_voxel(wildcards),
        )
    )


rule make_fit_queries:
    """Choose what is asked of patients set aside: in whole targets and, in cells, in targets that are cut."""
    input:
        index=fit_index,
        landmarks=lambda wildcards: f"<results>/landmarks/{evaluation_of(wildcards).dataset}.csv",
    output:
        "<results>/evaluations/{evaluation}/{fit_part}/queries.csv",
    log:
        "<logs>/make_fit_queries/{evaluation}/{fit_part}.log",
    benchmark:
        "<benchmarks>/make_fit_queries/{evaluation}/{fit_part}.tsv"
    wildcard_constraints:
        fit_part=FIT_PART,
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=fit_queries_section,
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
        queries="<results>/evaluations/{evaluation}/{fit_part}/queries.csv",
        index=fit_index,
        stores=fit_stores,
        scans=lambda wildcards: scans_that_refine(evaluation_of(wildcards)),
        deeds=lambda wildcards: program_that_registers(evaluation_of(wildcards)),
    output:
        "<results>/evaluations/{evaluation}/{fit_part}/{model}.{matching}.matches.csv",
    log:
        "<logs>/match_fit_points/{evaluation}/{fit_part}/{model}.{matching}.log",
    benchmark:
        "<benchmarks>/match_fit_points/{evaluation}/{fit_part}/{model}.{matching}.tsv"
    wildcard_constraints:
        fit_part=FIT_PART,
        model=one_of(MODELS),


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
