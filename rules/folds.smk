# Contract
#   reads    volumes/<dataset>.csv, landmarks/<dataset>.csv; stores of the models of folds
#   writes   volumes/<dataset>.<fold>.csv, in which a part of the training patients is set aside; evaluations/<evaluation>/
#            fit/<fold>/: queries.csv and <model>.<method>.matches.csv of these patients, whom the model that answers was
#            not trained on
#   used by  train (the models of folds) and confidence


def fold_index(wildcards):
    """Return the index of a fold of the data set of an evaluation."""
    dataset = evaluation_of(wildcards).dataset
    return RESULTS / "volumes" / f"{dataset}.{wildcards.fold}.csv"


rule set_fold_aside:
    """Write the index of a fold: a part of the training patients is set aside to answer, the other ones train."""
    input:
        index="<results>/volumes/{dataset}.csv",
    output:
        "<results>/volumes/{dataset}.fold_{part}_of_{parts}.csv",
    log:
        "<logs>/set_fold_aside/{dataset}.fold_{part}_of_{parts}.log",
    benchmark:
        "<benchmarks>/set_fold_aside/{dataset}.fold_{part}_of_{parts}.tsv"
    wildcard_constraints:
        part=r"\d+",
        parts=r"\d+",
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=lambda wildcards: section_json(
            number=int(wildcards.part), count=int(wildcards.parts)
        ),
        code=code_of("set_fold_aside"),
    shell:
        "python -m workflow_scripts.set_fold_aside"
        " --settings {params.settings:q}"
        " --index {input.index}"
        " --output {output}"
        " 2> {log}"


use rule make_fit_queries as make_fold_queries with:
    input:
        index=fold_index,
        landmarks=lambda wildcards: f"<results>/landmarks/{evaluation_of(wildcards).dataset}.csv",
    output:
        "<results>/evaluations/{evaluation}/fit/{fold}/queries.csv",
    log:
        "<logs>/make_fold_queries/{evaluation}/{fold}.log",
    benchmark:
        "<benchmarks>/make_fold_queries/{evaluation}/{fold}.tsv"
    params:
        settings=lambda wildcards: section_of(
            evaluation_of(wildcards).fit_queries(split="test")
        ),
        code=code_of("make_queries"),


use rule match_fit_points as match_fold_points with:
    input:
        queries="<results>/evaluations/{evaluation}/fit/{fold}/queries.csv",
        index=fold_index,
        stores=lambda wildcards: stores_of(
            f"{wildcards.model}/{wildcards.fold}",
            "trained",
            evaluation_of(wildcards).dataset,
        ),
        scans=lambda wildcards: scans_that_refine(evaluation_of(wildcards)),
    output:
        "<results>/evaluations/{evaluation}/fit/{fold}/{model}.{matching}.matches.csv",
    log:
        "<logs>/match_fold_points/{evaluation}/{fold}/{model}.{matching}.log",
    benchmark:
        "<benchmarks>/match_fold_points/{evaluation}/{fold}/{model}.{matching}.tsv"
    wildcard_constraints:
        model=one_of(MODELS),
