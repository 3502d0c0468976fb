# Contract
#   reads    volumes/<dataset>.csv
#   writes   volumes/<dataset>.<fold>.csv, in which a part of the training patients is set aside
#   used by  train and embeddings (the models of folds), and confidence, which asks those patients of a model that was not
#            trained on them


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
