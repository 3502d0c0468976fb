# Contract
#   reads    trackings/<tracking>/<split>/: queries.csv and <model>.<method>.matches.csv; stores and index of the data set
#   writes   trackings/<tracking>/<model>.<method>.confidence.json, fitted on one split, and beside the answers of every
#            split <model>.<method>.evidence.csv, .judged.csv, .markups/ and .confidence_scores.json
#   used by  lesion_scores (its page shows judged answers) and report


def fitted_on(suffix):
    """Return the function that names a file of the split that a confidence is fitted on."""

    def path(wildcards):
        folder = RESULTS / "trackings" / wildcards.tracking
        return (
            folder
            / tracking_of(wildcards).confidence.fitted_on
            / suffix.format(answer=f"{wildcards.model}.{wildcards.method}")
        )

    return path


rule assess_matches:
    """Measure what speaks for and against every answer, without the truth."""
    input:
        queries="<results>/trackings/{tracking}/{split}/queries.csv",
        matches="<results>/trackings/{tracking}/{split}/{model}.{method}.matches.csv",
        stores=tracked_stores,
        index=tracked_index,
    output:
        "<results>/trackings/{tracking}/{split}/{model}.{method}.evidence.csv",
    log:
        "<logs>/assess_matches/{tracking}/{split}/{model}.{method}.log",
    benchmark:
        "<benchmarks>/assess_matches/{tracking}/{split}/{model}.{method}.tsv"
    wildcard_constraints:
        method=one_of(METHODS_OF_TRACKING),
    conda:
        TORCH_ENVIRONMENT
    threads: 2
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        settings=lambda wildcards: section_json(
            matching=SETTINGS.matching,
            evidence=tracking_of(wildcards).confidence.evidence,
        ),
        code=code_of("assess_matches"),
    shell:
        "python -m workflow_scripts.assess_matches"
        " --settings {params.settings:q}"
        " --queries {input.queries}"
        " --matches {input.matches}"
        " --stores {input.stores}"
        " --index {input.index}"
        " --threads {threads}"
        " --output {output}"
        " 2> {log}"


rule fit_confidence:
    """Fit the probability that an answer is right, and that the lesion left the view, on another split."""
    input:
        queries=fitted_on("queries.csv"),
        matches=fitted_on("{answer}.matches.csv"),
        evidence=fitted_on("{answer}.evidence.csv"),
    output:
        "<results>/trackings/{tracking}/{model}.{method}.confidence.json",
    log:
        "<logs>/fit_confidence/{tracking}/{model}.{method}.log",
    benchmark:
        "<benchmarks>/fit_confidence/{tracking}/{model}.{method}.tsv"
    wildcard_constraints:
        method=one_of(METHODS_OF_TRACKING),
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=lambda wildcards: section_of(tracking_of(wildcards).confidence.fit()),
        code=code_of("fit_confidence"),
    shell:
        "python -m workflow_scripts.fit_confidence"
        " --settings {params.settings:q}"
        " --queries {input.queries}"
        " --matches {input.matches}"
        " --evidence {input.evidence}"
        " --output {output}"
        " 2> {log}"


rule judge_matches:
    """Say of every answer how likely it is right: accept, review, or out of the field of view."""
    input:
        queries="<results>/trackings/{tracking}/{split}/queries.csv",
        matches="<results>/trackings/{tracking}/{split}/{model}.{method}.matches.csv",
        evidence="<results>/trackings/{tracking}/{split}/{model}.{method}.evidence.csv",
        confidence="<results>/trackings/{tracking}/{model}.{method}.confidence.json",
    output:
        judged="<results>/trackings/{tracking}/{split}/{model}.{method}.judged.csv",
        markups=directory(
            "<results>/trackings/{tracking}/{split}/{model}.{method}.markups"
        ),
    log:
        "<logs>/judge_matches/{tracking}/{split}/{model}.{method}.log",
    benchmark:
        "<benchmarks>/judge_matches/{tracking}/{split}/{model}.{method}.tsv"
    wildcard_constraints:
        method=one_of(METHODS_OF_TRACKING),
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_of("judge_matches"),
    shell:
        "python -m workflow_scripts.judge_matches"
        " --queries {input.queries}"
        " --matches {input.matches}"
        " --evidence {input.evidence}"
        " --confidence {input.confidence}"
        " --output {output.judged}"
        " --output-markups {output.markups}"
        " 2> {log}"


rule score_confidence:
    """Score probabilities and decisions on lesions that they were not fitted on."""
    input:
        queries="<results>/trackings/{tracking}/{split}/queries.csv",
        matches="<results>/trackings/{tracking}/{split}/{model}.{method}.matches.csv",
        judged="<results>/trackings/{tracking}/{split}/{model}.{method}.judged.csv",
    output:
        "<results>/trackings/{tracking}/{split}/{model}.{method}.confidence_scores.json",
    log:
        "<logs>/score_confidence/{tracking}/{split}/{model}.{method}.log",
    benchmark:
        "<benchmarks>/score_confidence/{tracking}/{split}/{model}.{method}.tsv"
    wildcard_constraints:
        method=one_of(METHODS_OF_TRACKING),
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=lambda wildcards: section_of(
            tracking_of(wildcards).confidence.decision
        ),
        code=code_of("score_confidence"),
    shell:
        "python -m workflow_scripts.score_confidence"
        " --settings {params.settings:q}"
        " --queries {input.queries}"
        " --matches {input.matches}"
        " --judged {input.judged}"
        " --output {output}"
        " 2> {log}"
